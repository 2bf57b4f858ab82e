// SPDX-License-Identifier: MIT
//! A tree of files that a build reads: a context, a stage, an image.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::Ignore;
use hyperbox_types::{DiffId, ErrorKind};

/// The bytes of a file.
pub type FileReader = Box<dyn Read + Send>;

/// Something in a tree. Everything that can matter to a layer is here, but for a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where, relative to the tree's root, without `.`, `..` and a slash at either end; empty for the root.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions with set-id and sticky bits: `st_mode & 07777` (inode(7)).
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// When its content last changed.
    pub modified_at: Timestamp,
    /// Extended attributes that layers keep (`security.capability`, `user.*`, …).
    pub attributes: BTreeMap<OsString, Vec<u8>>,
    /// The SHA-256 of a file's bytes, where it is known without reading them.
    pub digest: Option<[u8; 32]>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its length in bytes.
        size: u64,
        /// The same number in two entries of one tree says that they are one file with two names; `None` for a single name.
        identity: Option<u64>,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it leads, as written.
        target: PathBuf,
    },
    /// A device of characters.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A device of blocks.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Pipe,
}

/// Where a tree can be mounted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreePlace {
    /// A directory of this machine that holds exactly the tree and belongs to it: nobody else writes there.
    Directory(PathBuf),
    /// Committed layers, lowest first.
    Layers(Vec<DiffId>),
}

/// A tree of files.
///
/// All calls block and may read a disk: they are made on threads for that. A tree never changes while it exists, or tells so by an
/// error; it holds whatever protects its content (a lease, a directory) until it is dropped. Files that `.dockerignore` leaves out
/// are not in it.
///
/// Paths are those of [`Entry::path`]. **No symbolic link is followed**, in no component: a path through a link is not there.
/// Resolving links is the caller's, who does it component by component with [`Tree::entry`] and so never leaves the tree. The content
/// is hostile: names, targets and sizes are whatever somebody wrote.
pub trait Tree: Send + Sync + std::fmt::Debug {
    /// Tells what is at a path; `None` when nothing is. The root is always a directory.
    ///
    /// # Errors
    /// I/O classes.
    fn entry(&self, path: &Path) -> Result<Option<Entry>, TreeError>;

    /// Lists what is at a path and everything below: each directory before its content, names of one directory in the order of their
    /// bytes. Empty when nothing is there.
    ///
    /// # Errors
    /// I/O classes, in the list too.
    fn walk(&self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + '_>, TreeError>;

    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` for what is no file, I/O classes.
    fn open(&self, path: &Path) -> Result<FileReader, TreeError>;

    /// Returns the SHA-256 of a file's bytes; remembered where that is cheaper than reading them again.
    ///
    /// # Errors
    /// As [`Tree::open`].
    fn digest(&self, entry: &Entry) -> Result<[u8; 32], TreeError>;

    /// Returns what can be mounted. What is kept in another form is unpacked at the first call.
    ///
    /// # Errors
    /// I/O classes.
    fn place(&self) -> Result<TreePlace, TreeError>;

    /// Returns what is left out of it, if a list says that.
    fn left_out(&self) -> Option<&Ignore> {
        None
    }
}

/// Why a tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The file is not there.
    #[error("{path:?}: not found")]
    NotFound {
        /// Which.
        path: PathBuf,
    },
    /// What is there cannot be used so, or is malformed.
    #[error("{path:?}: {reason}")]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The disk failed.
    #[error("cannot {operation} {path:?}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl TreeError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Refused { .. } => ErrorKind::InvalidArgument,
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
                _ => ErrorKind::Internal,
            },
        }
    }
}
