// SPDX-License-Identifier: MIT
//! The snapshotter: turns layers into root filesystems.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use async_trait::async_trait;
use hyperbox_types::{ByteSize, ContainerId, DiffId, ErrorKind, RootMount};

use super::content::io_kind;
use super::files::FileStream;

/// How a layer blob is compressed. Found by magic bytes, never believed from a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip (RFC 1952), possibly several members.
    Gzip,
    /// Zstandard (RFC 8878), possibly several frames and skippable frames.
    Zstd,
}

/// The key of an active (writable) snapshot: the container that owns it.
///
/// Committed snapshots are layers, keyed by [`DiffId`]: different types, so that they are never mixed up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ActiveKey(pub ContainerId);

/// Disk usage of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes on disk.
    pub size: ByteSize,
    /// Inodes.
    pub inodes: u64,
}

/// One path that an active snapshot changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Absolute path inside the root filesystem.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: FileChangeKind,
}

/// What happened to a path; the numbers are Docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChangeKind {
    /// Changed in place.
    Modified = 0,
    /// New.
    Added = 1,
    /// Removed.
    Deleted = 2,
}

/// What came of comparing a committed layer with what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerCheck {
    /// Every byte that a container can see is what the diff id promises.
    Intact,
    /// Nothing contradicts it, but not every byte could be compared.
    Plausible {
        /// What was compared.
        compared: &'static str,
    },
    /// It is not what it was.
    Damaged {
        /// The first difference.
        reason: String,
    },
}

/// Keeps unpacked layers and the writable parts of containers.
///
/// # Life of a layer (a committed snapshot)
/// 1. [`Snapshotter::stage_layer`] reads a (compressed) tar stream to its end on a blocking thread, unpacks it aside and computes
///    the diff id on the way. Layers are independent of their parents, so all layers of an image are staged at the same time.
///    The archive is hostile: nothing is ever written outside the staging directory, whatever names, links or devices it
///    contains; a malformed or absurd archive is an error.
/// 2. [`StagedLayer::commit`] makes it visible with one rename; if the layer is there already, the staged one is discarded
///    ([`StagedLayer::replace`]: exchanged with it).
///    Dropping a staged layer discards it. What a crash leaves staged is removed when the snapshotter is opened.
/// 3. [`Snapshotter::remove_layer`] when no image and no container uses it (decided by the caller).
///
/// # Life of an active snapshot
/// 1. [`Snapshotter::prepare`] makes the writable part for a container and returns how to mount it. Idempotent.
/// 2. [`Snapshotter::mount`] returns the recipe again (restart of a container). The snapshotter itself never mounts.
/// 3. [`Snapshotter::remove`] deletes it. It first becomes invisible by a rename, then it is deleted in the background;
///    removing what is not there succeeds.
///
/// A *view* ([`Snapshotter::view`]) is a read-only recipe of layers and owns nothing.
#[async_trait]
pub trait Snapshotter: Send + Sync + std::fmt::Debug {
    /// Returns the driver's name as `docker info` shows it, such as `overlay2`.
    fn name(&self) -> &'static str;

    /// Tells whether the layer is committed.
    fn has_layer(&self, layer: &DiffId) -> bool;

    /// Unpacks a layer stream aside. The reader is read to its end, also beyond the end of the archive.
    ///
    /// # Errors
    /// `InvalidArgument` for a malformed or hostile archive, else I/O classes. Nothing is left behind.
    async fn stage_layer(&self, stream: Box<dyn Read + Send>) -> Result<Box<dyn StagedLayer>, SnapshotError>;

    /// Removes a committed layer; removing what is not there succeeds.
    async fn remove_layer(&self, layer: &DiffId) -> Result<(), SnapshotError>;

    /// Compares a committed layer with what it was made of, changing nothing. `archive` is its blob, compressed or not, for
    /// snapshotters that do not keep the archive themselves; without it they compare what they can. Reads the whole layer (and may
    /// unpack the archive aside) on a blocking thread; when the caller stops waiting, that ends in order.
    ///
    /// # Errors
    /// `NotFound` when the layer is not committed, `InvalidArgument` when `archive` is not that of the layer, else I/O classes.
    /// Bytes that the disk refuses to give (`EIO`) are damage, not an error.
    async fn verify_layer(
        &self,
        layer: &DiffId,
        archive: Option<Box<dyn Read + Send>>,
    ) -> Result<LayerCheck, SnapshotError>;

    /// Opens the uncompressed archive of a committed layer, positioned at its start; `None` where it is not kept as a file of its own.
    /// Its bytes are not verified again.
    fn archive(&self, _layer: &DiffId) -> Option<File> {
        None
    }

    /// Tells whether [`Snapshotter::archive`] gives a committed layer's archive, without opening it.
    fn has_archive(&self, _layer: &DiffId) -> bool {
        false
    }

    /// Tells whether layers that are staged from now on will have an archive.
    fn keeps_archives(&self) -> bool {
        false
    }

    /// Returns what stores files of several layers once, if this one can.
    fn optimizer(&self) -> Option<&dyn super::LayerOptimizer> {
        None
    }

    /// Lists committed layers with their disk usage. What they share is counted in each ([`super::LayerOptimizer::shared`]).
    async fn layers(&self) -> Result<Vec<(DiffId, Usage)>, SnapshotError>;

    /// Makes the writable part of a container over `layers` (lowest first). An empty list gives an empty root.
    ///
    /// # Errors
    /// `NotFound` when a layer is missing.
    async fn prepare(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<RootMount, SnapshotError>;

    /// Returns how to mount an active snapshot.
    ///
    /// # Errors
    /// `NotFound` when the snapshot or one of its layers is missing.
    fn mount(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<RootMount, SnapshotError>;

    /// Returns how to mount layers (lowest first) read-only.
    ///
    /// # Errors
    /// `NotFound` when a layer is missing.
    fn view(&self, layers: &[DiffId]) -> Result<RootMount, SnapshotError>;

    /// Removes an active snapshot.
    async fn remove(&self, key: &ActiveKey) -> Result<(), SnapshotError>;

    /// Lists active snapshots.
    fn active(&self) -> Result<Vec<ActiveKey>, SnapshotError>;

    /// Returns what an active snapshot occupies beyond its layers.
    async fn usage(&self, key: &ActiveKey) -> Result<Usage, SnapshotError>;

    /// Lists what an active snapshot changes, sorted by path (`docker diff`).
    async fn changes(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<Vec<FileChange>, SnapshotError>;

    /// Reads what an active snapshot changes as a layer archive (OCI image-spec, `layer.md`): a tar, in the order of names, with
    /// whiteouts for what is gone. Staging it on the same layers gives the same tree. Sockets are left out.
    ///
    /// # Errors
    /// `NotFound` when the snapshot is missing; later ones are told in the stream.
    async fn pack_changes(&self, key: &ActiveKey) -> Result<FileStream, SnapshotError>;
}

/// A layer that is unpacked and not yet visible. Dropping it discards it.
pub trait StagedLayer: Send + std::fmt::Debug {
    /// Returns the digest of the uncompressed stream.
    fn diff_id(&self) -> &DiffId;

    /// Returns the length of the uncompressed stream.
    fn size(&self) -> ByteSize;

    /// Makes the layer visible; succeeds without doing anything when it is there already. Blocks for one rename and one sync.
    fn commit(self: Box<Self>) -> Result<(), SnapshotError>;

    /// As [`StagedLayer::commit`], but takes the place of a layer that is there, in one step: for one that is damaged. No container may
    /// run on that.
    ///
    /// # Errors
    /// Those of a commit; what is there stays then.
    fn replace(self: Box<Self>) -> Result<(), SnapshotError>;
}

/// Why a snapshotter failed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A layer is not there.
    #[error("layer {layer} is not unpacked")]
    LayerNotFound {
        /// The layer.
        layer: DiffId,
    },
    /// An active snapshot is not there.
    #[error("container {container} has no writable layer")]
    ActiveNotFound {
        /// The container.
        container: ContainerId,
    },
    /// The archive is malformed or hostile.
    #[error("refused layer archive: {reason}")]
    Archive {
        /// What is wrong, with the entry's name.
        reason: String,
        /// The parser's own error.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The filesystem failed.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl SnapshotError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::LayerNotFound { .. } | Self::ActiveNotFound { .. } => ErrorKind::NotFound,
            Self::Archive { .. } => ErrorKind::InvalidArgument,
            Self::Io { source, .. } => io_kind(source),
        }
    }
}
