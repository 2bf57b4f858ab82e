// SPDX-License-Identifier: MIT
//! What can go wrong, for writers and for readers, and whose fault it is.

use std::io;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What was given cannot be: a path, a link, an extent, an image.
    Input,
    /// What was given is well-formed, and EROFS or this crate cannot hold or read it.
    Unsupported,
    /// It is more than [`Limits`](crate::Limits) allow.
    Limit,
    /// Reading or writing failed.
    Io,
}

/// A tree that cannot be built or written.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A path that names nothing inside the tree.
    #[error("path {path}: {reason}")]
    Path {
        /// The path, escaped.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A parent is something else than a directory. The builder follows no links: see [`Builder::kind`](crate::Builder::kind).
    #[error("path {path}: {component} is no directory")]
    NotADirectory {
        /// The path, escaped.
        path: String,
        /// The parent's name, escaped.
        component: String,
    },
    /// The root can only be a directory.
    #[error("the root can only be a directory")]
    Root,
    /// A hard link to what is not there.
    #[error("hard link {path}: there is no {target}")]
    MissingTarget {
        /// The link, escaped.
        path: String,
        /// The target, escaped.
        target: String,
    },
    /// A hard link to a directory.
    #[error("hard link {path}: {target} is a directory")]
    DirectoryTarget {
        /// The link, escaped.
        path: String,
        /// The target, escaped.
        target: String,
    },
    /// Metadata, a target or a device number that EROFS cannot hold.
    #[error("{path}: {reason}")]
    Unsupported {
        /// The entry, escaped.
        path: String,
        /// What cannot be held.
        reason: &'static str,
    },
    /// Extents that overlap, leave the file, or leave their device.
    #[error("{path}: {reason}")]
    Extents {
        /// The entry, escaped.
        path: String,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// Extents that are not on boundaries of blocks. Such a file's data have to be laid out anew, or kept inline.
    #[error("{path}: its data are not aligned to blocks")]
    Misaligned {
        /// The entry, escaped.
        path: String,
    },
    /// More than was allowed, or than an image can hold.
    #[error("too many {what}: at most {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// The index cannot be written.
    #[error("cannot write the index")]
    Write {
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl BuildError {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unsupported { .. } | Self::Misaligned { .. } => Fault::Unsupported,
            Self::Limit { .. } => Fault::Limit,
            Self::Write { .. } => Fault::Io,
            _ => Fault::Input,
        }
    }
}

/// An image that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No EROFS image, or a damaged one.
    #[error("{what} at byte {offset}: {reason}")]
    Damaged {
        /// Which structure.
        what: &'static str,
        /// Where in the image.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// An image of a kind that this reader does not know: compressed, or newer.
    #[error("{what} at byte {offset}: {feature} is not supported")]
    Unsupported {
        /// Which structure.
        what: &'static str,
        /// Where in the image.
        offset: u64,
        /// What it uses.
        feature: &'static str,
    },
    /// More of something than the caller allows.
    #[error("{what} at byte {offset}: larger than {limit}")]
    TooLarge {
        /// Which structure.
        what: &'static str,
        /// Where in the image.
        offset: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// The file cannot be read.
    #[error("cannot read {length} bytes at {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// How much.
        length: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Damaged { .. } => Fault::Input,
            Self::Unsupported { .. } => Fault::Unsupported,
            Self::TooLarge { .. } => Fault::Limit,
            Self::Read { .. } => Fault::Io,
        }
    }
}

/// Bytes of a path for a person: printable, and not longer than is useful.
pub(crate) fn shown(path: &[u8]) -> String {
    const MOST: usize = 256;
    if path.len() <= MOST {
        return path.escape_ascii().to_string();
    }
    format!("{}…", path[..MOST].escape_ascii())
}
