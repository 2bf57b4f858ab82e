// SPDX-License-Identifier: MIT
//! The volume driver: directories that outlive containers.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use hyperbox_types::{ErrorKind, RootMount, VolumeName};

use super::content::io_kind;

/// Keeps volumes.
///
/// [`VolumeDriver::create`] is idempotent; the record of a volume (labels, options, references) is kept by the `Volumes` service.
/// [`VolumeDriver::populate`] copies what an image has at the mount point into a volume that is still empty, as Docker does when
/// a new volume is mounted over existing content: owner, mode, links, devices and xattrs included. It is staged aside and moved
/// into place, so a crash leaves the volume empty and the next start tries again. Symbolic links inside the image are resolved
/// inside the image.
#[async_trait]
pub trait VolumeDriver: Send + Sync + std::fmt::Debug {
    /// Makes the volume's directory if it is missing and returns it.
    async fn create(&self, name: &VolumeName) -> Result<PathBuf, VolumeError>;

    /// Returns the directory that is bind-mounted into containers (`Mountpoint`), whether it exists or not.
    fn mountpoint(&self, name: &VolumeName) -> PathBuf;

    /// Copies the content that `view` has at `path` into the volume if the volume is empty. A path that the view lacks gives nothing.
    async fn populate(&self, name: &VolumeName, view: &RootMount, path: &Path) -> Result<(), VolumeError>;

    /// Removes the volume and its content; removing what is not there succeeds.
    async fn remove(&self, name: &VolumeName) -> Result<(), VolumeError>;

    /// Returns the bytes that a volume occupies.
    async fn usage(&self, name: &VolumeName) -> Result<u64, VolumeError>;

    /// Lists volumes on disk.
    fn list(&self) -> Result<Vec<VolumeName>, VolumeError>;
}

/// Why a volume driver failed.
#[derive(Debug, thiserror::Error)]
#[error("volume {name}: cannot {operation} {path}")]
pub struct VolumeError {
    /// The volume.
    pub name: String,
    /// What was tried.
    pub operation: &'static str,
    /// On which path.
    pub path: String,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

impl VolumeError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        io_kind(&self.source)
    }
}
