// SPDX-License-Identifier: MIT
//! Looking into a root filesystem without mounting it anywhere: `fsopen(2)` … `fsmount(2)`.
//!
//! The mount is never attached to a mount tree, so no other process sees it, and the kernel discards it with its last
//! descriptor: a crash leaves nothing behind.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use hyperbox_types::{RootMount, WritableLayer};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

/// `fsconfig(FSCONFIG_SET_STRING)` refuses longer values (`strndup_user(_value, 256)` in `fs/fsopen.c`).
const LONGEST_VALUE: usize = 255;

/// Opens the root of a filesystem that is mounted as `mount` says, attached to nothing.
///
/// A read-only view of one single directory needs no mount (an overlay needs at least two layers): the directory itself is
/// opened then, and it is up to the caller not to write.
///
/// # Errors
/// That of the failing system call; `EINVAL` when there is no lower directory.
pub fn open(mount: &RootMount) -> io::Result<OwnedFd> {
    match mount {
        RootMount::Bind { source, .. } => open_directory(source),
        RootMount::Overlay { lower, writable: None } if lower.len() == 1 => open_directory(&lower[0]),
        RootMount::Overlay { lower, writable } => open_overlay(lower, writable.as_ref()),
    }
}

/// Tells whether a filesystem could be mounted, by mounting it attached to nothing for a moment.
///
/// `data` are the filesystem's own options, such as `size=1m`, without those that `mount(8)` makes flags of.
///
/// # Errors
/// That of the failing system call.
pub fn probe(kind: &str, device: &str, data: &[&str]) -> io::Result<()> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", device)?;
    for option in data {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(context.as_fd(), key, value)?,
            None => fsconfig_set_flag(context.as_fd(), *option)?,
        }
    }
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::empty();
    drop(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?);
    Ok(())
}

fn open_overlay(lower: &[impl AsRef<Path>], writable: Option<&WritableLayer>) -> io::Result<OwnedFd> {
    if lower.is_empty() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let mut kept = Vec::new();
    set_lower_directories(&context, lower, &mut kept)?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    if let Some(layer) = writable {
        set_path(&context, "upperdir", &layer.upper, &mut kept)?;
        set_path(&context, "workdir", &layer.work, &mut kept)?;
    } else {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// `lowerdir+` (Linux 6.8) takes one directory at a time; before it, one colon-separated string had to hold them all.
fn set_lower_directories(context: &OwnedFd, lower: &[impl AsRef<Path>], kept: &mut Vec<OwnedFd>) -> io::Result<()> {
    for (index, directory) in lower.iter().enumerate() {
        match set_path(context, "lowerdir+", directory.as_ref(), kept) {
            Err(error) if index == 0 && error.raw_os_error() == Some(libc::EINVAL) => break,
            result => result?,
        }
        if index + 1 == lower.len() {
            return Ok(());
        }
    }
    let mut joined = Vec::new();
    for directory in lower {
        let fd = open_directory(directory.as_ref())?;
        if !joined.is_empty() {
            joined.push(b':');
        }
        joined.extend_from_slice(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_bytes());
        kept.push(fd);
    }
    if joined.len() > LONGEST_VALUE {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    Ok(fsconfig_set_string(context.as_fd(), "lowerdir", joined.as_slice())?)
}

/// Sets a path, through a descriptor (kept open until the mount exists) when it is too long for `fsconfig`.
fn set_path(context: &OwnedFd, key: &str, path: &Path, kept: &mut Vec<OwnedFd>) -> io::Result<()> {
    if path.as_os_str().len() <= LONGEST_VALUE {
        return Ok(fsconfig_set_string(context.as_fd(), key, path)?);
    }
    let fd = open_directory(path)?;
    fsconfig_set_string(context.as_fd(), key, format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    kept.push(fd);
    Ok(())
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error: Errno| error.into())
}
