// SPDX-License-Identifier: MIT
//! Owner, mode, times and extended attributes of unpacked files.
//!
//! The order matters: chown(2) clears setuid, setgid and `security.capability`, writing clears the last too, and everything
//! changes the times. So: data, owner, mode, attributes, times.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use hyperbox_core::seam::SnapshotError;
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use crate::archive::{Entry, Moment};
use crate::failure::on_entry;

/// Attributes that only overlayfs may set: `redirect` alone would let a layer show any directory of those below.
const OVERLAY: &[u8] = b"trusted.overlay.";

/// What an entry says of its file, without names and data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: Moment,
}

impl Attributes {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            uid: entry.uid,
            gid: entry.gid,
            mode: entry.mode,
            mtime: entry.mtime,
        }
    }

    /// Applies all of them to an open file.
    pub(crate) fn apply_to_file(self, file: &OwnedFd, entry: &Entry) -> Result<(), SnapshotError> {
        self.apply_early_with(file, entry, true)?;
        rustix::fs::futimens(file, &self.times()).map_err(|error| on_entry("set the times of", &entry.path, error))
    }

    /// Applies owner and extended attributes to a directory.
    pub(crate) fn apply_early(self, directory: &OwnedFd, entry: &Entry) -> Result<(), SnapshotError> {
        self.apply_early_with(directory, entry, false)
    }

    /// Applies mode and times to a directory whose content is complete.
    pub(crate) fn apply_late(self, directory: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::fchmod(directory, Mode::from_raw_mode(self.mode))?;
        rustix::fs::futimens(directory, &self.times())
    }

    /// Applies owner, extended attributes and times to what cannot be opened: links and devices.
    pub(crate) fn apply_to_name(self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), SnapshotError> {
        let (uid, gid) = self.owner();
        rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| on_entry("set the owner of", &entry.path, error))?;
        if !entry.xattrs.is_empty() {
            let path = [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name].concat();
            each_allowed(entry, |key, value| {
                rustix::fs::lsetxattr(path.as_slice(), key, value, XattrFlags::empty())
            })?;
        }
        rustix::fs::utimensat(parent, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| on_entry("set the times of", &entry.path, error))
    }

    fn apply_early_with(self, file: &OwnedFd, entry: &Entry, with_mode: bool) -> Result<(), SnapshotError> {
        let (uid, gid) = self.owner();
        rustix::fs::fchown(file, uid, gid).map_err(|error| on_entry("set the owner of", &entry.path, error))?;
        if with_mode {
            rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode))
                .map_err(|error| on_entry("set the mode of", &entry.path, error))?;
        }
        each_allowed(entry, |key, value| {
            rustix::fs::fsetxattr(file, key, value, XattrFlags::empty())
        })
    }

    fn owner(self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }

    fn times(self) -> Timestamps {
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: self.mtime.seconds,
                tv_nsec: self.mtime.nanoseconds.into(),
            },
        }
    }
}

/// Marks a directory as hiding what layers below have at its place.
pub(crate) fn set_opaque(directory: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fsetxattr(directory, "trusted.overlay.opaque", b"y", XattrFlags::empty())
}

/// Sets the attributes that an entry may have and that its file can have.
pub(crate) fn each_allowed(
    entry: &Entry,
    set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
) -> Result<(), SnapshotError> {
    for (key, value) in &entry.xattrs {
        if key.starts_with(OVERLAY) {
            continue;
        }
        match set(key, value) {
            Ok(()) => {}
            // As Docker does: what this filesystem or this kind of file cannot have is left out (xattr(7), "user").
            Err(Errno::OPNOTSUPP) => {}
            Err(Errno::PERM) if key.starts_with(b"user.") => {}
            Err(error) => return Err(on_entry("set an extended attribute of", &entry.path, error)),
        }
    }
    Ok(())
}
