// SPDX-License-Identifier: MIT
//! Safe, owned wrappers of the Linux kernel interfaces that `std` and `rustix` lack; the only crate with unsafe code.
//!
//! One module per interface. File descriptors are owned or borrowed types, never numbers; errors are `std::io::Error` with the
//! kernel's code. Nothing here decides anything.
#![expect(
    unsafe_code,
    reason = "this crate is the fence around it; each block says why it is sound"
)]

pub mod exit_info;
pub mod fork;
pub mod message;
pub mod signals;
