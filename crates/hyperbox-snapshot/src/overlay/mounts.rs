// SPDX-License-Identifier: MIT
//! Mounts of indexed layers: one per layer, shared by all containers and views.
//!
//! A layer is mounted when it is first needed. As a rule the mount is *detached*: only its descriptor here keeps it, its place is
//! `/proc/PID/fd/N`, nothing is added to a mount table that each new mount namespace would copy, and the kernel takes it apart with
//! the process. An overlay has its own reference to the filesystem: containers go on when this process ends.
//!
//! Overlayfs takes layers from detached mounts since Linux 6.15 (`clone_private_mount()` in `fs/namespace.c`). On older kernels the
//! mount is attached in a directory of the run directory. What a crash leaves there is unmounted at the next open.

mod caching;
mod readahead;

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hyperbox_types::DiffId;
use rustix::fs::CWD;
use rustix::io::{DupFlags, Errno};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};

pub(super) use self::caching::Caching;
use super::layout::Facts;

/// `MOVE_MOUNT_BENEATH` of `linux/mount.h`.
const BENEATH: u32 = 0x200;

/// Where mounts of layers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountPlace {
    /// Nowhere: a descriptor keeps them.
    Detached,
    /// Below a directory that belongs to this instance and lasts no longer than the machine runs.
    Attached(PathBuf),
}

/// The layers that are mounted.
#[derive(Debug)]
pub(super) struct Mounts {
    place: MountPlace,
    mounted: Mutex<HashMap<DiffId, Mounted>>,
}

/// A mounted layer; unmounted when dropped.
#[derive(Debug)]
pub(super) struct Mounted {
    mount: OwnedFd,
    attached: Option<PathBuf>,
}

impl Mounts {
    /// Begins with none; what an earlier process left attached is unmounted.
    pub(super) fn open(place: MountPlace) -> io::Result<Self> {
        if let MountPlace::Attached(directory) = &place {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            for entry in std::fs::read_dir(directory)? {
                detach(&entry?.path());
            }
        }
        Ok(Self {
            place,
            mounted: Mutex::default(),
        })
    }

    /// Returns a path of the layer's root, which is mounted if it is not yet.
    pub(super) fn path(&self, facts: &Facts, index: &Path, devices: &[PathBuf]) -> io::Result<PathBuf> {
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = mounted.get(&facts.diff_id) {
            return Ok(known.path());
        }
        let caching = caching::choose(devices, facts);
        let new = Mounted::new(index, devices, caching, &self.place, facts.diff_id.0.hex())?;
        let path = new.path();
        mounted.insert(facts.diff_id.clone(), new);
        Ok(path)
    }

    /// Puts another mount of the same tree in the place of a layer's mount, if it has one: paths that were handed out stay good and never
    /// mean anything else. Returns the descriptor of the old mount.
    pub(super) fn replace(&self, layer: &DiffId, new: &Mounted) -> io::Result<Option<OwnedFd>> {
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        match mounted.get_mut(layer) {
            Some(known) => known.become_other(&new.mount).map(Some),
            None => Ok(None),
        }
    }

    /// Unmounts a layer that goes or has changed. Views that use it keep the filesystem.
    pub(super) fn forget(&self, layer: &DiffId) {
        let gone = self
            .mounted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(layer);
        // The kernel waits when it takes a mount apart: not under the lock.
        drop(gone);
    }
}

impl Mounted {
    /// Mounts an index with the files that hold its data.
    pub(super) fn new(
        index: &Path,
        devices: &[PathBuf],
        caching: Caching,
        place: &MountPlace,
        name: &str,
    ) -> io::Result<Self> {
        let mount = readahead::mounting(devices.first(), || mount_index(index, devices, caching))?;
        let attached = match place {
            MountPlace::Detached => None,
            MountPlace::Attached(directory) => {
                let point = directory.join(name);
                match std::fs::create_dir(&point) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                move_mount(&mount, "", CWD, &point, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
                Some(point)
            }
        };
        Ok(Self { mount, attached })
    }

    /// Takes over a detached mount under the own name, in one step; returns the old mount's descriptor.
    fn become_other(&mut self, other: &OwnedFd) -> io::Result<OwnedFd> {
        if let Some(path) = &self.attached {
            // The new one comes below the old one, which then goes (`MOVE_MOUNT_BENEATH`, Linux 6.5).
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::from_bits_retain(BENEATH);
            move_mount(other, "", CWD, path, flags)?;
            unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
        }
        let old = self.mount.try_clone()?;
        rustix::io::dup3(other, &mut self.mount, DupFlags::CLOEXEC)?;
        Ok(old)
    }

    /// Returns where its root is, for this and other processes.
    pub(super) fn path(&self) -> PathBuf {
        match &self.attached {
            Some(path) => path.clone(),
            None => format!("/proc/{}/fd/{}", std::process::id(), self.mount.as_raw_fd()).into(),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(path) = &self.attached {
            detach(path);
        }
    }
}

/// Unmounts what is at a place and removes the place. What is busy goes with its last user.
fn detach(path: &Path) {
    while unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
    if let Err(error) = std::fs::remove_dir(path) {
        tracing::warn!(path = %path.display(), %error, "the place of a layer's mount stays");
    }
}

/// Mounts an index.
fn mount_index(index: &Path, devices: &[PathBuf], caching: Caching) -> Result<OwnedFd, Errno> {
    // Through descriptors: values of fsconfig(2) are shorter than paths may be.
    let open = |path: &Path| File::open(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
    let itself = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
    let index = open(index)?;
    let devices: Vec<File> = devices.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", itself(&index))?;
    for device in &devices {
        fsconfig_set_string(context.as_fd(), "device", itself(device))?;
    }
    fsconfig_set_flag(context.as_fd(), "ro")?;
    if caching == Caching::Past {
        fsconfig_set_flag(context.as_fd(), "directio")?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
    )
}
