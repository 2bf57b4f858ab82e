// SPDX-License-Identifier: MIT
//! Safe, owned wrappers of the Linux kernel interfaces that `std` and `rustix` lack; the only crate with unsafe code.
//!
//! One module per interface. File descriptors are owned or borrowed types, never numbers; errors are `std::io::Error` with the
//! kernel's code. Nothing here decides anything.
#![expect(
    unsafe_code,
    reason = "this crate is the fence around it; each block says why it is sound"
)]

pub mod cgroup_device;
pub mod detached_mount;
pub mod execute;
pub mod exit_info;
pub mod file_use;
pub mod fork;
pub mod init;
pub mod memory;
pub mod message;
pub mod mount_attributes;
pub mod mount_view;
pub mod network_namespace;
pub mod page_cache;
pub mod pidfd;
pub mod priority;
pub mod seccomp;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod tree;
pub mod writeback;
