// SPDX-License-Identifier: MIT
//! Making the mounts of a container, one after the other, through descriptors.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use hyperbox_sys::mount_attributes::{Attributes, Change, Propagation, Reach, change_mount};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::mount::MoveMountFlags;

use super::place::{self, DescriptorPath, Links};
use super::{ChildMount, FileSystem, MountAction};
use crate::report::{At, Failure, IntoErrno, Stage};

pub(super) fn mount_all(root: BorrowedFd<'_>, mounts: &[ChildMount]) -> Result<(), Failure> {
    for mount in mounts {
        make(root, mount).at_index(Stage::Mount, mount.index)?;
    }
    Ok(())
}

fn make(root: BorrowedFd<'_>, mount: &ChildMount) -> Result<(), Errno> {
    match &mount.action {
        MountAction::Attach(tree) => {
            let place = place::find_or_make(root, &mount.target, Links::Follow)?;
            attach(tree.as_fd(), place.as_fd()).map_err(|error| explain_kind(error, tree.as_fd(), place.as_fd()))
        }
        MountAction::FileSystem(file_system) => mount_file_system(root, mount, file_system),
        MountAction::Link(text) => {
            let parent = place::make_parent(root, &mount.target, Links::Follow)?;
            let above = parent.as_ref().map_or(root, AsFd::as_fd);
            rustix::fs::symlinkat(text.as_c_str(), above, mount.target.last().name.as_c_str())
        }
    }
}

/// `move_mount(2)` says "invalid argument" where `mount(2)` says "not a directory": of a file on a directory or the reverse.
fn explain_kind(error: Errno, tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Errno {
    match (place::is_directory(tree), place::is_directory(place)) {
        (Ok(source), Ok(target)) if source != target && error == Errno::INVAL => Errno::NOTDIR,
        _ => error,
    }
}

/// Attaches a detached tree on a place.
pub(super) fn attach(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, c"", place, c"", flags)
}

fn mount_file_system(root: BorrowedFd<'_>, mount: &ChildMount, file_system: &FileSystem) -> Result<(), Errno> {
    let links = if file_system.no_links {
        Links::Refuse
    } else {
        Links::Follow
    };
    // A mount point that is made here has no mode worth keeping: the file system's own default is meant then, as with runc.
    let inherit_mode = file_system.inherit_mode && place::find(root, &mount.target.last().path, links).is_ok();
    let place = place::find_or_make(root, &mount.target, links)?;
    let mut buffer = [0; DATA_LIMIT];
    let data = if inherit_mode {
        data_with_mode(&mut buffer, place.as_fd(), &file_system.data)?
    } else {
        &file_system.data
    };
    rustix::mount::mount(
        file_system.source.as_c_str(),
        DescriptorPath::new(place.as_fd()).as_c_str(),
        file_system.kind.as_c_str(),
        file_system.flags,
        data,
    )
    .or_else(|error| mount_inherited(error, file_system, place.as_fd()))?;
    if let Some((propagation, reach)) = file_system.propagation {
        set_propagation(root, &mount.target.last().path, propagation, reach)?;
    }
    Ok(())
}

/// Mounting sysfs needs the network namespace to belong to the container's user namespace; where it does not, the host's is
/// shown, read-only, as crun does. Everything else keeps its error.
fn mount_inherited(error: Errno, file_system: &FileSystem, place: BorrowedFd<'_>) -> Result<(), Errno> {
    use rustix::mount::OpenTreeFlags;
    if error != Errno::PERM || file_system.kind.as_bytes() != b"sysfs" {
        return Err(error);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, c"/sys", flags)?;
    let change = Change {
        set: Attributes::READ_ONLY
            .with(Attributes::NO_SUID)
            .with(Attributes::NO_DEV)
            .with(Attributes::NO_EXEC),
        ..Change::default()
    };
    change_mount(tree.as_fd(), Reach::Tree, &change, None).map_err(IntoErrno::into_errno)?;
    attach(tree.as_fd(), place)
}

fn set_propagation(root: BorrowedFd<'_>, path: &CStr, propagation: Propagation, reach: Reach) -> Result<(), Errno> {
    // Looked up again: the first lookup found the place below the new mount.
    let place = place::find(root, path, Links::Follow)?;
    let change = Change {
        propagation: Some(propagation),
        ..Change::default()
    };
    change_mount(place.as_fd(), reach, &change, None).map_err(IntoErrno::into_errno)
}

/// `mount(2)` reads at most a page of options; ours are far shorter.
const DATA_LIMIT: usize = 512;

/// Puts the mode of the covered directory before the options, as runc does for a tmpfs without one.
fn data_with_mode<'a>(
    buffer: &'a mut [u8; DATA_LIMIT],
    place: BorrowedFd<'_>,
    data: &'a CStr,
) -> Result<&'a CStr, Errno> {
    let mode = rustix::fs::statat(place, c"", AtFlags::EMPTY_PATH)?.st_mode & 0o7777;
    let rest = data.to_bytes();
    if rest.len() + 12 > DATA_LIMIT {
        return Ok(data);
    }
    buffer[..5].copy_from_slice(b"mode=");
    for (place, shift) in buffer[5..9].iter_mut().zip([9, 6, 3, 0]) {
        *place = b'0' + u8::try_from(mode >> shift & 7).unwrap_or(0);
    }
    if !rest.is_empty() {
        buffer[9] = b',';
        buffer[10..10 + rest.len()].copy_from_slice(rest);
    }
    CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::INVAL)
}
