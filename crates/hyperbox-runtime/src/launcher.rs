// SPDX-License-Identifier: MIT
//! What a launcher does once, so that the shims it forks start containers faster.
//!
//! On version 1 each move into a cgroup waits for an RCU grace period (some 10 ms when the machine is idle), unless some
//! hierarchy of the machine is mounted with `favordynmods`. So the launcher makes one: a named hierarchy without controllers, as
//! a detached mount that nobody can see. It lives exactly as long as the descriptor, so it goes with the launcher, however
//! that ends. See the kernel's `Documentation/admin-guide/cgroup-v2.rst`, "favordynmods", and for what it gains
//! `docs/decisions/0008-quick-cgroup-moves.md`.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::cgroup::hierarchy::{hierarchies, is_pure_version_two};

/// What is held for as long as containers are started. Give it up in a process that starts none any more.
#[derive(Debug)]
pub struct Launcher {
    _quick_moves: Option<OwnedFd>,
}

/// Prepares this process to start containers fast. What the kernel does not offer is left out.
pub fn prepare_launcher() -> Launcher {
    let pure = is_pure_version_two(hierarchies());
    Launcher {
        _quick_moves: if pure { None } else { quick_moves().ok() },
    }
}

fn quick_moves() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("cgroup", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let name = format!("hyperbox-{}", std::process::id());
    rustix::mount::fsconfig_set_flag(context.as_fd(), "none")?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "name", name)?;
    rustix::mount::fsconfig_set_flag(context.as_fd(), "favordynmods")?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}
