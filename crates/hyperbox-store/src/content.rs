// SPDX-License-Identifier: MIT
//! Blobs as files.
//!
//! ```text
//! ROOT/                       mode 0700
//!   blobs/<algorithm>/<hex>   a complete, verified blob
//!   ingest/<random>           bytes that are arriving
//!   trash/<random>            what is being deleted
//! ```
//!
//! **Commit point**: the rename from `ingest` to `blobs`, after the file was synced; the directory is synced before the commit
//! is reported. **Removal** is a rename to `trash`, which a thread empties. What a crash leaves in `ingest` and `trash` is removed
//! by the next [`FileContent::open`].
//!
//! Nothing is kept in memory. Bytes are collected to `BATCH` and then hashed and written on a blocking thread while the next
//! batch arrives; a blob that fits into one batch costs one trip to that thread, at its commit.

mod ingest;
mod strays;

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hyperbox_core::seam::{BlobInfo, ContentError, ContentStore, ContentWriter, Stray};
use hyperbox_types::{ByteSize, Digest, DigestAlgorithm};

use self::ingest::{Ingest, Writer};
use crate::trash::Trash;

/// Keeps blobs as files below one directory.
#[derive(Debug)]
pub struct FileContent {
    layout: Arc<Layout>,
    trash: Trash,
}

/// Where things are.
#[derive(Debug)]
struct Layout {
    root: PathBuf,
    /// Names in `ingest` that somebody writes.
    arriving: Mutex<HashSet<String>>,
}

impl Layout {
    fn directory(&self, algorithm: DigestAlgorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.as_str())
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.directory(digest.algorithm()).join(digest.hex())
    }

    fn ingest(&self) -> PathBuf {
        self.root.join("ingest")
    }

    fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Forgets an ingest that is not there any more.
    fn has_arrived(&self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.arriving().remove(name.as_ref());
    }

    fn arriving(&self) -> MutexGuard<'_, HashSet<String>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ALGORITHMS: [DigestAlgorithm; 2] = [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512];

impl FileContent {
    /// Opens the directory, made if it is missing, and removes what an earlier process left unfinished.
    ///
    /// # Errors
    /// I/O classes.
    pub fn open(root: &Path) -> Result<Self, ContentError> {
        let layout = Layout {
            root: root.to_path_buf(),
            arriving: Mutex::default(),
        };
        let (ingest, trash) = (layout.ingest(), layout.trash());
        for path in ALGORITHMS
            .map(|algorithm| layout.directory(algorithm))
            .iter()
            .chain([&ingest, &trash])
        {
            let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
            created.map_err(failed("create", path))?;
        }
        for entry in std::fs::read_dir(&ingest).map_err(failed("list", &ingest))? {
            let path = entry.map_err(failed("list", &ingest))?.path();
            strays::delete(&path).map_err(failed("remove", &path))?;
        }
        let trash = Trash::new(trash);
        trash.empty();
        Ok(Self {
            layout: Arc::new(layout),
            trash,
        })
    }
}

#[async_trait]
impl ContentStore for FileContent {
    fn info(&self, digest: &Digest) -> Result<Option<BlobInfo>, ContentError> {
        let path = self.layout.blob(digest);
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(BlobInfo {
                digest: digest.clone(),
                size: ByteSize(metadata.len()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", &path)(error)),
        }
    }

    fn open(&self, digest: &Digest) -> Result<File, ContentError> {
        open_blob(&self.layout, digest)
    }

    async fn read(&self, digest: &Digest, limit: ByteSize) -> Result<Vec<u8>, ContentError> {
        let (layout, digest) = (Arc::clone(&self.layout), digest.clone());
        blocking(move || {
            let file = open_blob(&layout, &digest)?;
            let path = layout.blob(&digest);
            let size = file.metadata().map_err(failed("look at", &path))?.len();
            if size > limit.0 {
                return Err(ContentError::TooLarge {
                    digest,
                    size,
                    limit: limit.0,
                });
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            file.take(limit.0)
                .read_to_end(&mut bytes)
                .map_err(failed("read", &path))?;
            Ok(bytes)
        })
        .await
    }

    async fn writer(&self, expected: &Digest) -> Result<Box<dyn ContentWriter>, ContentError> {
        Ok(Box::new(Writer::new(Ingest::new(Arc::clone(&self.layout), expected))))
    }

    fn remove(&self, digest: &Digest) -> Result<(), ContentError> {
        let path = self.layout.blob(digest);
        self.trash.discard(&path).map_err(failed("remove", &path))
    }

    async fn strays(&self) -> Result<Vec<Stray>, ContentError> {
        let layout = Arc::clone(&self.layout);
        let deleting = self.trash.is_busy();
        blocking(move || strays::find(&layout, deleting)).await
    }

    async fn remove_stray(&self, stray: &Stray) -> Result<(), ContentError> {
        let (layout, stray) = (Arc::clone(&self.layout), stray.clone());
        blocking(move || strays::remove(&layout, &stray)).await
    }

    async fn list(&self) -> Result<Vec<BlobInfo>, ContentError> {
        let layout = Arc::clone(&self.layout);
        blocking(move || list_blobs(&layout)).await
    }
}

fn open_blob(layout: &Layout, digest: &Digest) -> Result<File, ContentError> {
    let path = layout.blob(digest);
    File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ContentError::NotFound { digest: digest.clone() },
        _ => failed("open", &path)(error),
    })
}

fn list_blobs(layout: &Layout) -> Result<Vec<BlobInfo>, ContentError> {
    let mut found = Vec::new();
    for algorithm in ALGORITHMS {
        let directory = layout.directory(algorithm);
        for entry in std::fs::read_dir(&directory).map_err(failed("list", &directory))? {
            let entry = entry.map_err(failed("list", &directory))?;
            let name = entry.file_name();
            let text = format!("{}:{}", algorithm.as_str(), name.to_string_lossy());
            let Ok(digest) = Digest::parse(&text) else {
                continue;
            };
            match entry.metadata() {
                Ok(metadata) => found.push(BlobInfo {
                    digest,
                    size: ByteSize(metadata.len()),
                }),
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("look at", &entry.path())(error)),
            }
        }
    }
    Ok(found)
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ContentError {
    move |source| ContentError::Io {
        operation,
        path: path.display().to_string(),
        source,
    }
}

/// Runs blocking work on a thread made for it. When the caller stops waiting, the work still ends in order.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ContentError> + Send + 'static,
) -> Result<T, ContentError> {
    finished(tokio::task::spawn_blocking(work).await)
}

/// A blocking task that panicked, or that the runtime dropped while it shut down, is a failure like any other.
fn finished<T>(outcome: Result<Result<T, ContentError>, tokio::task::JoinError>) -> Result<T, ContentError> {
    outcome.unwrap_or_else(|error| {
        Err(failed("work on", Path::new("the content store"))(io::Error::other(
            error,
        )))
    })
}

#[cfg(test)]
mod tests;
