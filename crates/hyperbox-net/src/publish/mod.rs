// SPDX-License-Identifier: MIT
//! Published ports: [`Publisher`] implements core's `PortPublisher`.
//!
//! Every published port is bound by a socket of this process, so that it is nobody else's; the kernel leads its packets to the container
//! (`firewall`), and what the kernel cannot lead there arrives at the socket and is carried by the one forwarder of the process.
//! From pure to effectful: `plan` decides what a wish means, `book` which numbers are free, `failure` what is said when none is,
//! `holder` who has it, `socket` binds, `forwarder` carries, `cutter` ends what is wrong, `worker` does all of it in order, and `publisher` is the seam.

mod book;
mod cutter;
mod failure;
mod forwarder;
mod holder;
mod plan;
mod publisher;
mod socket;
mod worker;

pub(crate) use holder::{bound, find as holder};
pub use publisher::Publisher;
pub(crate) use worker::free_numbers;
