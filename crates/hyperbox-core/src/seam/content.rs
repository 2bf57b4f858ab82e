// SPDX-License-Identifier: MIT
//! The content store: verified, immutable blobs addressed by their digest.

use std::fs::File;

use async_trait::async_trait;
use hyperbox_types::{ByteSize, Digest, ErrorKind};

/// What is known of a stored blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub size: ByteSize,
}

/// Something in the store's place that is no blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Where, for people.
    pub path: String,
    /// Its length.
    pub size: ByteSize,
    /// Where it comes from.
    pub origin: StrayOrigin,
}

/// Where a stray comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrayOrigin {
    /// The store itself: an ingest that nobody writes any more, a deletion that did not succeed.
    Unfinished,
    /// Somebody else.
    Foreign,
}

/// Keeps blobs.
///
/// # Life of a blob
/// 1. [`ContentStore::writer`] opens an *ingest*: bytes arrive, are hashed and written aside; nobody sees them.
/// 2. [`ContentWriter::commit`] compares length and digest with what was expected, makes the bytes durable and moves them into
///    place with one rename: the commit point. A mismatch removes the ingest and is an error. Committing a blob that exists
///    already succeeds and keeps the old one.
/// 3. [`ContentStore::open`] reads it, any number of times, until [`ContentStore::remove`].
///
/// Dropping a writer discards the ingest. After a crash, ingests are garbage: implementations remove what an earlier process
/// left behind when they are opened. A blob that is visible is complete and was verified.
///
/// Two writers of the same digest may run at once; the first commit wins. Which blobs are needed is not known here: the caller
/// marks (`image::collect`) and calls [`ContentStore::remove`].
#[async_trait]
pub trait ContentStore: Send + Sync + std::fmt::Debug {
    /// Returns what is known of a blob, or `None`.
    fn info(&self, digest: &Digest) -> Result<Option<BlobInfo>, ContentError>;

    /// Opens a blob for reading, positioned at its start.
    ///
    /// # Errors
    /// `NotFound` when there is no such blob.
    fn open(&self, digest: &Digest) -> Result<File, ContentError>;

    /// Reads a whole small blob (a manifest, a configuration) of at most `limit` bytes.
    ///
    /// # Errors
    /// `NotFound`; `ResourceExhausted` when it is longer than `limit`.
    async fn read(&self, digest: &Digest, limit: ByteSize) -> Result<Vec<u8>, ContentError>;

    /// Opens an ingest for the blob with this digest.
    async fn writer(&self, expected: &Digest) -> Result<Box<dyn ContentWriter>, ContentError>;

    /// Removes a blob; removing what is not there succeeds.
    fn remove(&self, digest: &Digest) -> Result<(), ContentError>;

    /// Lists all blobs.
    async fn list(&self) -> Result<Vec<BlobInfo>, ContentError>;

    /// Lists what is there besides blobs, ingests in progress and deletions in progress.
    async fn strays(&self) -> Result<Vec<Stray>, ContentError>;

    /// Removes a stray of the store's own. Others are refused with `InvalidArgument`; what became a blob or went meanwhile is fine.
    async fn remove_stray(&self, stray: &Stray) -> Result<(), ContentError>;
}

/// An ingest in progress. Dropping it discards what was written.
#[async_trait]
pub trait ContentWriter: Send + std::fmt::Debug {
    /// Appends bytes. Not cancel-safe: after a dropped call, drop the writer.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), ContentError>;

    /// Returns how many bytes were written.
    fn offset(&self) -> u64;

    /// Verifies and publishes the blob: after an `Ok` it is durable and visible, before it is neither.
    ///
    /// # Errors
    /// `Mismatch` when digest or length (if given) differ; nothing is kept then.
    async fn commit(self: Box<Self>, size: Option<ByteSize>) -> Result<BlobInfo, ContentError>;

    /// As [`ContentWriter::commit`], but takes the place of a blob that is there, in one step: for one that is damaged. Whoever has that
    /// open goes on reading it.
    ///
    /// # Errors
    /// Those of a commit; what is there stays then.
    async fn replace(self: Box<Self>, size: Option<ByteSize>) -> Result<BlobInfo, ContentError>;
}

/// Why the content store failed.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// There is no such blob.
    #[error("no blob {digest} in the content store")]
    NotFound {
        /// The digest asked for.
        digest: Digest,
    },
    /// The bytes are not those that were promised.
    #[error("content does not match: expected {expected}, got {actual}")]
    Mismatch {
        /// Expected digest or length.
        expected: String,
        /// Found digest or length.
        actual: String,
    },
    /// The blob is larger than the caller is willing to read.
    #[error("blob {digest} has {size} bytes, more than the allowed {limit}")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The filesystem failed.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl ContentError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Mismatch { .. } => ErrorKind::Unavailable,
            Self::TooLarge { .. } => ErrorKind::ResourceExhausted,
            Self::Io { source, .. } => io_kind(source),
        }
    }
}

/// Classifies an I/O error.
pub(crate) fn io_kind(error: &std::io::Error) -> ErrorKind {
    use std::io::ErrorKind as Io;
    match error.kind() {
        Io::NotFound => ErrorKind::NotFound,
        Io::PermissionDenied => ErrorKind::PermissionDenied,
        Io::StorageFull | Io::QuotaExceeded | Io::OutOfMemory | Io::FileTooLarge => ErrorKind::ResourceExhausted,
        Io::Unsupported => ErrorKind::Unsupported,
        Io::InvalidData | Io::InvalidInput => ErrorKind::InvalidArgument,
        _ => ErrorKind::Internal,
    }
}
