// SPDX-License-Identifier: MIT
//! HyperBox's own OCI runtime: runtime specification in, running process out.
//!
//! Blocking and without an async runtime or any thread; everything a process needs between its clone and its `execve` is made
//! before the clone. [`start()`] shows the whole choreography. Nothing is ever mounted on the host, and nothing is remembered
//! outside the kernel and the values returned here.
//!
//! ```text
//! StartRequest ──plan──▶ Plan ──prepare──▶ ContainerSetup ──clone──▶ child::run ──▶ execve
//!               (pure)         (fds, detached mounts, cgroups)  ◀─report─▶
//! ```
#![forbid(unsafe_code)]

mod cgroup;
mod child;
mod container;
mod error;
mod explain;
mod hold;
mod launcher;
mod plain;
mod plan;
mod prepare;
mod report;
mod rootfs;
mod seccomp;
mod start;
mod user;
mod watch;

pub use cgroup::{CgroupError, Cgroups};
pub use container::{Container, ExecRequest, Process};
pub use error::StartError;
pub use launcher::{Launcher, prepare_launcher};
pub use plain::make_mounts_plain;
pub use plan::possible_cgroups;
pub use rootfs::mount_root;
pub use seccomp::Filter;
pub use start::{StartRequest, StdioPlan, start, start_watched};
pub use user::{ResolvedUser, UserError, resolve_user};
pub use watch::{Born, Step, Watch};
