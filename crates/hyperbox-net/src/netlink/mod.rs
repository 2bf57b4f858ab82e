// SPDX-License-Identifier: MIT
//! Netlink: how messages look (`message`, `attribute`) and how they are exchanged with the kernel (`socket`).
//!
//! See <https://docs.kernel.org/userspace-api/netlink/intro.html>.

mod attribute;
mod message;
mod socket;

pub(crate) use attribute::{Attributes, Messages, number, text};
pub(crate) use message::{Message, flag};
pub(crate) use socket::{Family, Socket};
