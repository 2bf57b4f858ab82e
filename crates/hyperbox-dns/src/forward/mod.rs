// SPDX-License-Identifier: MIT
//! Asking others.

mod asking;
mod exchange;
mod plan;
mod sockets;

pub(crate) use asking::{Asking, ask};
pub(crate) use sockets::Sockets;
