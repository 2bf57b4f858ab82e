// SPDX-License-Identifier: MIT
//! Blobs that are arriving: hashed and written in the background, verified at their commit.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::DigestHasher;
use hyperbox_core::seam::{BlobInfo, ContentError, ContentWriter};
use hyperbox_types::{ByteSize, Digest, DigestAlgorithm};
use tokio::task::JoinHandle;

use super::{Layout, blocking, failed, finished};

/// How many bytes are collected before they are hashed and written.
const BATCH: usize = 512 * 1024;

/// After so many bytes the disk is asked to begin, so that waiting for it at the commit is short.
const BEGIN: u64 = 8 << 20;

/// The file of a blob that is arriving; removed when dropped. It is made with the first bytes.
pub(super) struct Ingest {
    layout: Arc<Layout>,
    expected: Digest,
    hasher: DigestHasher,
    length: u64,
    /// Up to where the disk was asked to write.
    begun: u64,
    file: Option<(File, PathBuf)>,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ingest")
            .field("expected", &self.expected)
            .field("length", &self.length)
            .finish()
    }
}

impl Ingest {
    pub(super) fn new(layout: Arc<Layout>, expected: &Digest) -> Self {
        Self {
            layout,
            expected: expected.clone(),
            hasher: DigestHasher::new(expected.algorithm()),
            length: 0,
            begun: 0,
            file: None,
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        let (file, path) = self.file()?;
        file.write_all(bytes).map_err(failed("write", path))?;
        self.begin_writing();
        Ok(())
    }

    /// Has the disk begin with what it was not asked for yet, once that is worth it.
    fn begin_writing(&mut self) {
        let waiting = self.length - self.begun;
        if waiting >= BEGIN
            && let Some((file, _)) = &self.file
        {
            // A hint: where it fails, the commit waits longer.
            drop(hyperbox_sys::writeback::start(file.as_fd(), self.begun, waiting));
            self.begun = self.length;
        }
    }

    fn file(&mut self) -> Result<&mut (File, PathBuf), ContentError> {
        if self.file.is_none() {
            let parent = self.layout.ingest();
            let name = crate::random::name().map_err(failed("name a file in", &parent))?;
            let path = parent.join(&name);
            // Told before it is there: whoever looks for strays must not take it for one.
            self.layout.arriving().insert(name);
            match File::options().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => self.file = Some((file, path)),
                Err(error) => {
                    self.layout.has_arrived(&path);
                    return Err(failed("create", &path)(error));
                }
            }
        }
        Ok(self.file.as_mut().expect("it was made above"))
    }

    /// Verifies and publishes. Whatever goes wrong, dropping removes the file.
    fn commit(mut self, size: Option<ByteSize>, former: Former) -> Result<BlobInfo, ContentError> {
        let mismatch = |expected: String, actual: String| ContentError::Mismatch { expected, actual };
        if let Some(size) = size.filter(|size| size.0 != self.length) {
            return Err(mismatch(format!("{} bytes", size.0), format!("{} bytes", self.length)));
        }
        self.file()?;
        let hasher = std::mem::replace(&mut self.hasher, DigestHasher::new(DigestAlgorithm::Sha256));
        let actual = hasher.digest();
        if actual != self.expected {
            return Err(mismatch(self.expected.to_string(), actual.to_string()));
        }
        let info = BlobInfo {
            digest: self.expected.clone(),
            size: ByteSize(self.length),
        };
        let target = self.layout.blob(&self.expected);
        if former == Former::Kept && target.exists() {
            return Ok(info);
        }
        if let Some((file, path)) = &self.file {
            file.sync_all().map_err(failed("sync", path))?;
            hyperbox_core::failpoint!("content.before-rename");
            // Another writer of the same digest may have been faster; replacing its file by the same bytes changes nothing.
            std::fs::rename(path, &target).map_err(failed("commit", &target))?;
            self.layout.has_arrived(path);
        }
        self.file = None;
        let directory = self.layout.directory(self.expected.algorithm());
        let synced = File::open(&directory).and_then(|directory| directory.sync_all());
        synced.map_err(failed("sync", &directory))?;
        hyperbox_core::failpoint!("content.after-rename");
        Ok(info)
    }
}

/// What becomes of a blob of the same digest that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Former {
    Kept,
    /// Its name goes over to the new file in one step.
    Replaced,
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let Some((_, path)) = self.file.take() else {
            return;
        };
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished blob; the next start does");
        }
        self.layout.has_arrived(&path);
    }
}

/// An ingest whose file is handled on blocking threads.
#[derive(Debug)]
pub(super) struct Writer {
    offset: u64,
    batch: Vec<u8>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Idle(Ingest),
    /// A batch is being written; the buffer comes back empty.
    Writing(JoinHandle<Result<(Ingest, Vec<u8>), ContentError>>),
    /// A write failed or was dropped half-way.
    Broken,
}

impl Writer {
    pub(super) fn new(ingest: Ingest) -> Self {
        Self {
            offset: 0,
            batch: Vec::new(),
            stage: Stage::Idle(ingest),
        }
    }

    /// Waits for the batch under way.
    async fn settle(&mut self) -> Result<(Ingest, Vec<u8>), ContentError> {
        match std::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Idle(ingest) => Ok((ingest, Vec::new())),
            Stage::Writing(task) => finished(task.await),
            Stage::Broken => {
                let error = std::io::Error::other("an earlier write failed");
                Err(failed("write", std::path::Path::new("the blob"))(error))
            }
        }
    }

    async fn finish(&mut self, size: Option<ByteSize>, former: Former) -> Result<BlobInfo, ContentError> {
        let (mut ingest, _) = self.settle().await?;
        let rest = std::mem::take(&mut self.batch);
        blocking(move || {
            if !rest.is_empty() {
                ingest.append(&rest)?;
            }
            ingest.commit(size, former)
        })
        .await
    }
}

#[async_trait]
impl ContentWriter for Writer {
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ContentError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BATCH - self.batch.len()));
            self.batch.extend_from_slice(now);
            self.offset += now.len() as u64;
            bytes = later;
            if self.batch.len() == BATCH {
                let (mut ingest, empty) = self.settle().await?;
                let mut full = std::mem::replace(&mut self.batch, empty);
                self.stage = Stage::Writing(tokio::task::spawn_blocking(move || {
                    ingest.append(&full)?;
                    full.clear();
                    Ok((ingest, full))
                }));
            }
        }
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    async fn commit(mut self: Box<Self>, size: Option<ByteSize>) -> Result<BlobInfo, ContentError> {
        self.finish(size, Former::Kept).await
    }

    async fn replace(mut self: Box<Self>, size: Option<ByteSize>) -> Result<BlobInfo, ContentError> {
        self.finish(size, Former::Replaced).await
    }
}
