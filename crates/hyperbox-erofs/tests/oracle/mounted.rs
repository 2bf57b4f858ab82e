// SPDX-License-Identifier: MIT
//! Mounting an index over its archive, attached to nothing.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

/// A mount that ends with this value.
pub(crate) struct Mounted {
    root: OwnedFd,
}

impl Mounted {
    /// Mounts an index; `devices` hold its data. Data are read directly, as the engine does it: cached once, not twice.
    pub(crate) fn new(index: &Path, devices: &[&Path]) -> Self {
        Self::try_new(index, devices).expect("the kernel mounts the index (6.12 or later, with erofs)")
    }

    /// As [`new`](Self::new), telling why it fails.
    pub(crate) fn try_new(index: &Path, devices: &[&Path]) -> rustix::io::Result<Self> {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: sudo cargo xtask test"
        );
        let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "source", index)?;
        for device in devices {
            fsconfig_set_string(context.as_fd(), "device", *device)?;
        }
        fsconfig_set_flag(context.as_fd(), "directio")?;
        fsconfig_set_flag(context.as_fd(), "ro")?;
        fsconfig_create(context.as_fd())?;
        let root = fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_RDONLY,
        )?;
        Ok(Self { root })
    }

    /// A path of its root that is good while this lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.root.as_raw_fd()))
    }
}
