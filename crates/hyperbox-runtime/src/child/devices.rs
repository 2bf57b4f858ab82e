// SPDX-License-Identifier: MIT
//! Device nodes and the links of `/dev` in a new container.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::mounting::attach;
use super::place::{self, Links};
use crate::plan::devices::DevicePlan;
use crate::report::{At, Failure, Stage};

/// Links that programs expect ("Dev symbolic links" of the OCI specification).
const LINKS: [(&CStr, &CStr); 5] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

/// Makes all devices. With `bound`, nodes cannot be made (a user namespace) and copies of the host's are attached instead.
pub(super) fn make(root: BorrowedFd<'_>, plans: &[DevicePlan], bound: Option<&[OwnedFd]>) -> Result<(), Failure> {
    for (index, plan) in plans.iter().enumerate() {
        match bound.and_then(|bound| bound.get(index)) {
            Some(source) => bind(root, plan, source.as_fd()),
            None => make_node(root, plan),
        }
        .at_index(Stage::Device, index)?;
    }
    make_links(root).at(Stage::DeviceLink)
}

fn make_node(root: BorrowedFd<'_>, plan: &DevicePlan) -> Result<(), Errno> {
    let parent = place::make_parent(root, &plan.target, Links::Follow)?;
    let above = parent.as_ref().map_or(root, AsFd::as_fd);
    let name = plan.target.last().name.as_c_str();
    let (major, minor) = plan.number;
    let mode = Mode::from_raw_mode(plan.mode);
    match rustix::fs::mknodat(above, name, plan.kind, mode, rustix::fs::makedev(major, minor)) {
        // A `/dev` that is not a fresh tmpfs keeps the node of the last start. Anything else there is not ours to replace.
        Err(Errno::EXIST) if is_same(above, name, plan)? => {}
        other => other?,
    }
    if plan.owner != (0, 0) {
        let (uid, gid) = (Uid::from_raw(plan.owner.0), Gid::from_raw(plan.owner.1));
        rustix::fs::chownat(above, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn is_same(above: BorrowedFd<'_>, name: &CStr, plan: &DevicePlan) -> Result<bool, Errno> {
    let status = rustix::fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let number = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
    Ok(FileType::from_raw_mode(status.st_mode) == plan.kind && number == plan.number)
}

fn bind(root: BorrowedFd<'_>, plan: &DevicePlan, source: BorrowedFd<'_>) -> Result<(), Errno> {
    let place = place::find_or_make(root, &plan.target, Links::Follow)?;
    attach(source, place.as_fd())
}

fn make_links(root: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let directory = match place::open(root, c"dev", flags, Links::Follow) {
        // An image without `/dev`, and no mount there: nothing to link from.
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    for (name, text) in LINKS {
        match rustix::fs::symlinkat(text, &directory, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    if place::find(root, c"proc/kcore", Links::Refuse).is_ok() {
        match rustix::fs::symlinkat(c"/proc/kcore", &directory, c"core") {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
