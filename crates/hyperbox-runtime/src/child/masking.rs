// SPDX-License-Identifier: MIT
//! Hiding and write-protecting parts of a container's `/proc` and `/sys`, and its root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_sys::mount_attributes::{Attributes, Change, Reach, change_mount};
use rustix::fs::{CWD, FileType};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};

use super::mounting::attach;
use super::place::{self, Links};
use crate::plan::Plan;
use crate::report::{At, Failure, IntoErrno, Stage};

const READ_ONLY: Change = Change {
    set: Attributes::READ_ONLY,
    clear: Attributes::NONE,
    propagation: None,
};

/// Masks and protects. The root comes last: mount points may still have to be made before.
pub(super) fn protect(root: BorrowedFd<'_>, plan: &Plan) -> Result<(), Failure> {
    for (index, target) in plan.read_only.iter().enumerate() {
        match place::find(root, &target.last().path, Links::Follow) {
            Ok(place) => protect_path(place.as_fd()).at_index(Stage::ReadOnlyPath, index)?,
            Err(error) => ignore_missing(error).at_index(Stage::ReadOnlyPath, index)?,
        }
    }
    let mut empty = None;
    for (index, target) in plan.masked.iter().enumerate() {
        match place::find(root, &target.last().path, Links::Follow) {
            Ok(place) => mask(root, place.as_fd(), &mut empty).at_index(Stage::MaskPath, index)?,
            Err(error) => ignore_missing(error).at_index(Stage::MaskPath, index)?,
        }
    }
    if plan.read_only_root {
        change_mount(root, Reach::Mount, &READ_ONLY, None).at(Stage::ReadOnlyRoot)?;
    }
    Ok(())
}

/// Kernels differ in what they have below `/proc` and `/sys`.
fn ignore_missing(error: Errno) -> Result<(), Errno> {
    match error {
        Errno::NOENT | Errno::NOTDIR => Ok(()),
        error => Err(error),
    }
}

fn copy(place: BorrowedFd<'_>, flags: OpenTreeFlags) -> Result<OwnedFd, Errno> {
    let flags =
        flags | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(place, c"", flags)
}

/// Covers a path with a read-only copy of itself.
fn protect_path(place: BorrowedFd<'_>) -> Result<(), Errno> {
    let tree = copy(place, OpenTreeFlags::AT_RECURSIVE)?;
    change_mount(tree.as_fd(), Reach::Tree, &READ_ONLY, None).map_err(IntoErrno::into_errno)?;
    attach(tree.as_fd(), place)
}

/// Covers a directory with an empty read-only one, and a file with the null device. All directories share one empty file
/// system.
fn mask(root: BorrowedFd<'_>, place: BorrowedFd<'_>, empty: &mut Option<OwnedFd>) -> Result<(), Errno> {
    if !place::is_directory(place)? {
        let null = own_null(root).map_or_else(host_null, Ok)?;
        return attach(null.as_fd(), place);
    }
    if let Some(empty) = empty {
        let cover = copy(empty.as_fd(), OpenTreeFlags::empty())?;
        return attach(cover.as_fd(), place);
    }
    // Attached before it is copied: kernels before 6.15 copy no detached mount.
    let made = make_empty()?;
    attach(made.as_fd(), place)?;
    *empty = Some(made);
    Ok(())
}

/// Copies the container's own null device. `None` unless it is exactly that: an image or a mount may have put something else
/// there, through which the masked file would be read (CVE-2025-31133).
fn own_null(root: BorrowedFd<'_>) -> Option<OwnedFd> {
    let place = place::find(root, c"dev/null", Links::Refuse).ok()?;
    let status = rustix::fs::fstat(&place).ok()?;
    let number = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
    let is_null = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && number == (1, 3);
    // A copy of the very place that was looked at, whatever its name means by now.
    is_null
        .then(|| copy(place.as_fd(), OpenTreeFlags::empty()).ok())
        .flatten()
}

/// Copies the host's null device, read-only, or the container could change its owner and mode; it still swallows what is written.
fn host_null() -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let null = rustix::mount::open_tree(CWD, c"/dev/null", flags)?;
    change_mount(null.as_fd(), Reach::Mount, &READ_ONLY, None).map_err(IntoErrno::into_errno)?;
    Ok(null)
}

/// Makes what runc makes, so that `/proc/mounts` says the same.
fn make_empty() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), c"nr_inodes", c"1")?;
    rustix::mount::fsconfig_set_string(context.as_fd(), c"nr_blocks", c"1")?;
    rustix::mount::fsconfig_set_string(context.as_fd(), c"source", c"tmpfs")?;
    rustix::mount::fsconfig_set_flag(context.as_fd(), c"ro")?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(context.as_fd(), flags, MountAttrFlags::MOUNT_ATTR_RDONLY)
}
