// SPDX-License-Identifier: MIT
//! Seeing the files of a container as one tree: a mount namespace for one thread, with detached mounts put together in it.
//!
//! The namespace lives as long as the thread that entered it, so whatever happens to the process, nothing stays mounted. It receives
//! unmounts of the host (so that it keeps nothing busy there) and tells the host of none of its own mounts.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount_change, move_mount, open_tree};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Whether mounts below a directory come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submounts {
    /// They do.
    Included,
    /// The directory alone.
    LeftOut,
}

/// Moves the calling thread, and no other, into a mount namespace of its own. The thread must end afterwards: it has a root and a
/// working directory of its own by then.
///
/// # Errors
/// That of `unshare(2)` or `mount(2)`.
pub fn enter() -> io::Result<()> {
    unshare(libc::CLONE_FS | libc::CLONE_NEWNS)?;
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(mount_change("/", flags)?)
}

/// Returns the mount that is the root of a process, without what is mounted below it, attached to nothing.
///
/// Only the namespace's own members may copy a mount (`open_tree(2)`, `OPEN_TREE_CLONE`), so the calling thread joins it for a
/// moment. It must be one that ends afterwards.
///
/// # Errors
/// `ENOENT` or `ESRCH` when there is no such process; else that of the failing system call.
pub fn root_of(pid: u32) -> io::Result<OwnedFd> {
    unshare(libc::CLONE_FS)?;
    let home = File::open("/proc/thread-self/ns/mnt")?;
    let theirs = File::open(format!("/proc/{pid}/ns/mnt"))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty())?;
    move_into_link_name_space(theirs.as_fd(), Some(LinkNameSpaceType::Mount))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let cloned = open_tree(&root, "", flags);
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(cloned?)
}

/// Returns a copy of what is at a path of the calling thread's namespace, attached to nothing.
///
/// # Errors
/// That of `open_tree(2)`.
pub fn copy_of(path: &Path, submounts: Submounts) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if submounts == Submounts::Included {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(CWD, path, flags)?)
}

/// Attaches a detached mount to what `point` refers to.
///
/// # Errors
/// `ENOTDIR` when only one of both is a directory; else that of `move_mount(2)`.
pub fn attach(mount: &OwnedFd, point: impl AsFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", point, "", flags)?)
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: neither flag changes memory or the table of file descriptors; both concern the calling thread alone.
    if unsafe { libc::unshare(flags) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
