// SPDX-License-Identifier: MIT
//! The files of a container, looked at and changed from outside (`docker cp`, `docker export`).

use std::any::Any;
use std::io::Read;
use std::path::PathBuf;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use hyperbox_types::{ErrorKind, RootMount};

use super::content::io_kind;
use crate::time::Timestamp;

/// The bytes of a tar archive. Dropping it ends the work behind it; an error says that the archive is cut off.
pub type FileStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Where a container's own files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewRoot {
    /// Below the root of this process. Its overlay must not be mounted a second time (kernel: `overlayfs.rst`, "Sharing and
    /// copying layers").
    Running {
        /// The container's first process.
        pid: u32,
    },
    /// Nowhere: they have to be mounted for the occasion.
    Idle(RootMount),
}

/// Where something that is mounted in a container comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewSource {
    /// A file or directory of the host.
    Host(PathBuf),
    /// What is mounted at a path of a running container, which nobody else has.
    Process {
        /// A process of the container.
        pid: u32,
        /// The path, absolute in the container.
        path: PathBuf,
    },
    /// Layers of an image.
    Layers(RootMount),
}

/// Something that is mounted in the container's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewMount {
    /// What it is.
    pub source: ViewSource,
    /// What of it is mounted, relative to it; all of it when empty. A path that leads out of it shows nothing.
    pub part: PathBuf,
    /// Absolute path in the container.
    pub target: PathBuf,
    /// Whether nothing may be written there.
    pub read_only: bool,
    /// Whether what the host has mounted below the source comes along.
    pub recursive: bool,
}

/// A container's tree, as it is to be seen.
pub struct FilesView {
    /// The container's own files.
    pub root: ViewRoot,
    /// What is mounted in them. A source that does not exist is left out.
    pub mounts: Vec<ViewMount>,
    /// Kept until the work is over, and dropped then: what stops others from mounting the same files meanwhile.
    pub turn: Box<dyn Any + Send>,
}

impl std::fmt::Debug for FilesView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FilesView")
            .field("root", &self.root)
            .field("mounts", &self.mounts)
            .finish_non_exhaustive()
    }
}

/// What is at a path. A symbolic link in the last place is not followed, unless the path ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Last component of the path; `/` for the root.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// Kind and permissions as `st_mode` has them (inode(7)).
    pub mode: u32,
    /// When it was last written to.
    pub modified_at: Timestamp,
    /// Where a symbolic link ends after all links were followed, as far as they lead; empty for everything else.
    pub link_target: String,
}

/// What an archive may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replace {
    /// Whatever is in the way.
    #[default]
    Anything,
    /// No directory by something else and nothing else by a directory.
    SameKind,
}

/// How to write an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteFiles {
    /// What may be replaced.
    pub replace: Replace,
    /// `user[:group]`, looked up in the container's own files, to whom everything shall belong; `None` leaves it to the archive.
    pub owner: Option<String>,
    /// Whether the container's own files, outside of mounts, may not be changed.
    pub read_only_root: bool,
}

/// Looks at and changes the files of containers.
///
/// Every call gets a [`FilesView`] and puts it together for itself; nothing is kept between calls, and nothing is left on the
/// host, also after a crash. Other views and the container's own mounts are not touched.
///
/// The tree is hostile and may change while it is looked at. Paths are always resolved inside of it: no symbolic link, no `..`, no
/// name in an archive leads out, however the container renames its directories meanwhile. Nothing is opened that could block or
/// have an effect (devices, pipes). Paths are cleaned as text first (`a/../b` is `b`), as Docker does; a slash or `/.` at
/// the end means that a symbolic link is followed.
///
/// What a view does not name is not seen, even when it is mounted in the running container: `/proc`, `/dev`, `--tmpfs`. What is written
/// there lands in the container's own files below the mount. That is what Docker does.
///
/// Calls block threads of their own, not those of the runtime. Dropping a future or a stream ends the work at its next step; what was
/// written until then stays.
#[async_trait]
pub trait ContainerFiles: Send + Sync + std::fmt::Debug {
    /// Tells what is at a path.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` when the path leads through a file or in circles.
    async fn stat(&self, view: FilesView, path: &str) -> Result<PathStat, FilesError>;

    /// Reads what is at a path, with everything below it, as a tar archive whose names begin with the last component of the path.
    /// Files that grow or shrink meanwhile have the length that they had when their turn came; sockets are left out.
    ///
    /// # Errors
    /// As [`ContainerFiles::stat`].
    async fn read(&self, view: FilesView, path: &str) -> Result<(PathStat, FileStream), FilesError>;

    /// Unpacks a tar archive, plain or compressed (gzip, Zstandard), into an existing directory.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` for what is no directory or read-only and for malformed archives; else I/O classes.
    async fn write(
        &self,
        view: FilesView,
        path: &str,
        how: WriteFiles,
        archive: Box<dyn Read + Send>,
    ) -> Result<(), FilesError>;

    /// Finds the user and group ids that `user[:group]` means in the container's own files. A user without a group has that of its
    /// line, or 0.
    ///
    /// # Errors
    /// `InvalidArgument`, in Docker's words, for names that the files do not have.
    async fn find_user(&self, view: FilesView, user: &str) -> Result<(u32, u32), FilesError>;

    /// Reads the whole tree as a tar archive, names relative to the root, which has no entry itself.
    ///
    /// # Errors
    /// I/O classes.
    async fn export(&self, view: FilesView) -> Result<FileStream, FilesError>;
}

/// Why files could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Nothing is there.
    #[error("{path} does not exist")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// What was asked for is against the rules; the text is Docker's.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The archive is malformed or hostile.
    #[error("refused archive: {reason}")]
    Archive {
        /// What is wrong, with the entry's name.
        reason: String,
        /// The parser's own error.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The kernel or a filesystem failed.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl FilesError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Refused { .. } | Self::Archive { .. } => ErrorKind::InvalidArgument,
            Self::Io { source, .. } => match io_kind(source) {
                // A path of the machinery, not the one that was asked for.
                ErrorKind::NotFound => ErrorKind::Internal,
                kind => kind,
            },
        }
    }
}
