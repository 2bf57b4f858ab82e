// SPDX-License-Identifier: MIT
//! Seeing the files of a container as one tree: a mount namespace for one thread, with detached mounts put together in it.
//!
//! The namespace lives as long as the thread that entered it, so whatever happens to the process, nothing stays mounted. It receives
//! unmounts of the host (so that it keeps nothing busy there) and tells the host of none of its own mounts.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount_change, move_mount, open_tree};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How often a lookup is repeated that renames disturb.
const ATTEMPTS: usize = 64;

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

/// Returns a copy of what is at a path of another process, resolved inside that process's root, attached to nothing.
///
/// Only the namespace's own members may copy a mount, so a thread of its own joins it; the calling thread stays where it is.
///
/// # Errors
/// `ENOENT` or `ESRCH` when there is no such process or path; else that of the failing system call.
pub fn copy_from_process(pid: u32, path: &Path, submounts: Submounts) -> io::Result<OwnedFd> {
    let relative = path.strip_prefix("/").unwrap_or(path).to_owned();
    let copy = move || -> io::Result<OwnedFd> {
        unshare(libc::CLONE_FS)?;
        let theirs = File::open(format!("/proc/{pid}/ns/mnt"))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty())?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let place = rustix::fs::openat2(&root, &relative, flags, Mode::empty(), resolve)?;
        move_into_link_name_space(theirs.as_fd(), Some(LinkNameSpaceType::Mount))?;
        let mut flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        if submounts == Submounts::Included {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        Ok(open_tree(&place, "", flags)?)
    };
    let thread = std::thread::Builder::new()
        .name("foreign-mount".to_owned())
        .spawn(copy)?;
    let failed = |_| io::Error::other("the thread that copies a mount has ended");
    thread.join().map_err(failed)?
}

/// Opens what a path leads to without leaving a directory, as an `O_PATH` descriptor. Symbolic links are followed as long as they stay
/// inside; nothing that somebody renames or links meanwhile leads out (`openat2(2)`, `RESOLVE_BENEATH`).
///
/// # Errors
/// `EXDEV` when the path leads out of the directory; else that of `openat2(2)`.
pub fn open_beneath(directory: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(&directory, path, flags, Mode::empty(), resolve) {
            // A rename anywhere made `..` unprovable for a moment (openat2(2)).
            Err(Errno::AGAIN) => {}
            result => return Ok(result?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// Returns a copy of what a path leads to beneath a directory of the calling thread's namespace, attached to nothing.
///
/// # Errors
/// Those of [`open_beneath`]; `EINVAL` when the directory is in another mount namespace, or in none.
pub fn copy_beneath(directory: impl AsFd, path: &Path, submounts: Submounts) -> io::Result<OwnedFd> {
    let place = open_beneath(directory, path)?;
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if submounts == Submounts::Included {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(&place, "", flags)?)
}

/// Returns what a path leads to beneath the root of a detached mount as a detached mount of its own.
///
/// Kernels before 6.15 copy only what is attached (`open_tree(2)`), so a thread of its own attaches it, in a mount namespace that
/// ends with the thread.
///
/// # Errors
/// Those of [`copy_beneath`], `unshare(2)` and `move_mount(2)`.
pub fn part_of(tree: OwnedFd, path: &Path, submounts: Submounts) -> io::Result<OwnedFd> {
    let path = path.to_owned();
    let cut = move || -> io::Result<OwnedFd> {
        enter()?;
        // Any directory will do: everything else goes through descriptors.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let point = rustix::fs::openat(CWD, "/", flags, Mode::empty())?;
        attach(&tree, point)?;
        copy_beneath(&tree, &path, submounts)
    };
    let thread = std::thread::Builder::new().name("mount-part".to_owned()).spawn(cut)?;
    let failed = |_| io::Error::other("the thread that copies a part of a mount has ended");
    thread.join().map_err(failed)?
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
