// SPDX-License-Identifier: MIT
//! The daemon's side of the shims: implements the [`hyperbox_core::seam::TaskRuntime`] seam.
//!
//! ```text
//! ShimTaskRuntime ──Launch + fds──▶ launcher ──fork──▶ shim
//!       │                                               ▲
//!       └─ ShimTask ── control: one owner task per connection, requests by sequence ──┘
//! ```
//!
//! On disk, under `run_dir`: `containers/ID/` (mode 0700) with what the shim writes there (`hyperbox_types::shim`). The directory
//! is made before the launch and removed by `discard`; a directory is the only sign that a container left something.

#![forbid(unsafe_code)]

mod cgroup;
mod config;
mod control;
mod discard;
mod groups;
mod launcher;
mod logs;
mod process;
mod reattach;
mod run_directory;
mod runtime;
mod runtimes;
mod task;

pub use config::{Config, ExternalRuntime};
pub use groups::KernelGroups;
pub use runtime::ShimTaskRuntime;
