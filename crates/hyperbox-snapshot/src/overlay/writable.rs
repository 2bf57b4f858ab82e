// SPDX-License-Identifier: MIT
//! The writable parts of containers: the same whatever form their layers have.

use std::path::Path;

use hyperbox_core::seam::{ActiveKey, SnapshotError};
use hyperbox_types::ContainerId;
use rustix::fs::{AtFlags, CWD, Mode};

use super::layout::{Layout, create_directory, entries};
use super::spares::{self, Spares};
use crate::failure::on_path;

impl Layout {
    /// Makes the writable part of a container, with the owner and mode of `top` (the root of the topmost layer): overlayfs
    /// shows those of the upper directory.
    pub(super) fn create_writable(
        &self,
        key: &ContainerId,
        top: Option<&Path>,
        spares: &Spares,
    ) -> Result<(), SnapshotError> {
        let (upper, work) = self.writable(key);
        let container = self.container(key);
        if spares.give(&container) {
            return copy_root_attributes(&upper, top, spares::MODE).map_err(|error| on_path("prepare", &upper, error));
        }
        for path in [&container, &work] {
            create_directory(path)?;
        }
        // Last, because its presence is what makes the snapshot exist.
        match rustix::fs::mkdirat(CWD, &upper, Mode::RWXU) {
            Ok(()) => copy_root_attributes(&upper, top, Mode::RWXU).map_err(|error| on_path("prepare", &upper, error)),
            Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(on_path("create", &upper, error)),
        }
    }

    /// Lists the containers that have one.
    pub(super) fn containers(&self) -> Result<Vec<ActiveKey>, SnapshotError> {
        let mut keys = Vec::new();
        for path in entries(&self.active())? {
            let name = path.file_name().and_then(|name| name.to_str());
            keys.extend(name.and_then(|name| ContainerId::parse(name).ok()).map(ActiveKey));
        }
        Ok(keys)
    }
}

/// Gives the upper directory, which is root's and has the mode `has`, what the topmost layer has.
fn copy_root_attributes(upper: &Path, top: Option<&Path>, has: Mode) -> Result<(), rustix::io::Errno> {
    let mut mode = Mode::from_raw_mode(0o755);
    if let Some(top) = top {
        // The path of a mount's descriptor is a link.
        let stat = rustix::fs::statat(CWD, top, AtFlags::empty())?;
        if (stat.st_uid, stat.st_gid) != (0, 0) {
            let (uid, gid) = (
                rustix::fs::Uid::from_raw(stat.st_uid),
                rustix::fs::Gid::from_raw(stat.st_gid),
            );
            rustix::fs::chownat(CWD, upper, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    }
    if mode == has {
        return Ok(());
    }
    rustix::fs::chmodat(CWD, upper, mode, AtFlags::empty())
}
