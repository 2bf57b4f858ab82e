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

    /// Tells whether what a volume consists of could be mounted now. Leaves nothing mounted.
    ///
    /// # Errors
    /// Those of `mount(2)`.
    fn probe(&self, mount: &VolumeMount) -> std::io::Result<()>;

    /// Tells whether a relative path leads to something beneath a root. The answer may be outdated at once: whoever mounts the path
    /// looks it up again without leaving the root.
    ///
    /// # Errors
    /// `CrossesDevices` when it leads out; else those of `openat2(2)`.
    fn look_beneath(&self, root: &RootMount, path: &Path) -> std::io::Result<()>;

    /// Lists volumes on disk.
    fn list(&self) -> Result<Vec<VolumeName>, VolumeError>;
}

/// What a volume with options consists of, instead of a directory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeMount {
    /// A directory of the host.
    Bind {
        /// Where it is.
        device: PathBuf,
        /// Whether what is mounted below comes along.
        recursive: bool,
        /// Options of the mount, such as `ro`.
        options: Vec<String>,
    },
    /// A filesystem.
    Filesystem {
        /// Its type, such as `tmpfs`.
        kind: String,
        /// What it is on.
        device: String,
        /// Options of the mount, such as `noexec`.
        options: Vec<String>,
        /// Its own options, such as `size=1m`.
        data: Vec<String>,
    },
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
