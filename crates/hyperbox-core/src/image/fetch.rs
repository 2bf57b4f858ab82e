// SPDX-License-Identifier: MIT
//! Getting one blob or layer into the stores, once, whoever asks for it at the same time.
//!
//! A layer is fetched in one streaming pass: each chunk goes to the content store's writer and, through a bounded queue, to the
//! snapshotter, which decompresses and unpacks it. Both are committed only after the whole blob was verified.

use std::io::Read;
use std::sync::{Arc, PoisonError, Weak};

use bytes::Bytes;
use futures_util::StreamExt;
use hyperbox_types::{Digest, ImageReference};
use tokio::sync::mpsc;

use super::record::ImageLayer;
use super::service::{Inner, TransferProgress, registry_failure};
use crate::seam::{ContentError, ContentWriter, Credentials, Descriptor, SnapshotError, StagedLayer};
use crate::{Result, ServiceError};

/// Chunks between the network and the unpacker: a few megabytes at most.
const QUEUE: usize = 32;

/// Where progress goes.
pub(super) type Progress = mpsc::Sender<TransferProgress>;

/// How many messages wait for a reader.
const NEWS: usize = 1024;

/// So many of them are kept for what is told once; counts of bytes take the others.
const KEPT_NEWS: usize = 768;

/// Makes the channel of a transfer's progress.
pub(super) fn progress_channel() -> (Progress, mpsc::Receiver<TransferProgress>) {
    mpsc::channel(NEWS)
}

/// Tells what happens. Never waits: a transfer holds locks that others wait for, and a reader may have been suspended. What a
/// reader has no room for is lost; a client that went away cancels the transfer elsewhere.
pub(super) fn tell(progress: &Progress, message: TransferProgress) {
    let counts = matches!(message, TransferProgress::Advance { .. });
    if !counts || progress.capacity() > KEPT_NEWS {
        drop(progress.try_send(message));
    }
}

/// Tells how a transfer ended; waits for the reader, since this must not be lost. The last words: the caller holds no lock.
pub(super) async fn tell_end(progress: &Progress, message: TransferProgress) {
    drop(progress.send(message).await);
}

/// What a fetch is done with.
pub(super) struct Source<'a> {
    pub inner: &'a Inner,
    pub reference: &'a ImageReference,
    pub credentials: Option<&'a Credentials>,
    pub progress: &'a Progress,
}

impl Source<'_> {
    /// Makes sure that a small blob is in the content store, and returns it.
    pub(super) async fn small_blob(&self, descriptor: &Descriptor, limit: hyperbox_types::ByteSize) -> Result<Vec<u8>> {
        let content = &self.inner.with.content;
        let turn = self.inner.turn(&descriptor.digest);
        let _turn = turn.lock().await;
        if content.info(&descriptor.digest).map_err(stored)?.is_none() {
            if descriptor.size > limit {
                return Err(ServiceError::invalid(format!(
                    "{}: blob {} is larger than {limit}",
                    self.reference.familiar(),
                    descriptor.digest
                )));
            }
            let writer = content.writer(&descriptor.digest).await.map_err(stored)?;
            self.download(descriptor, writer, None).await?;
        }
        content.read(&descriptor.digest, limit).await.map_err(stored)
    }

    /// Makes sure that a layer is in the content store and unpacked.
    pub(super) async fn layer(&self, layer: &ImageLayer) -> Result<()> {
        let id = layer.blob.digest.short().to_owned();
        let turn = self.inner.turn(&layer.blob.digest);
        let _turn = turn.lock().await;
        let with = &self.inner.with;
        let has_blob = with.content.info(&layer.blob.digest).map_err(stored)?.is_some();
        let has_layer = with.snapshotter.has_layer(&layer.diff_id);
        match (has_blob, has_layer) {
            (true, true) => {
                tell(self.progress, status(&id, "Already exists"));
                return Ok(());
            }
            (true, false) => {
                tell(self.progress, status(&id, "Extracting"));
                let file = with.content.open(&layer.blob.digest).map_err(stored)?;
                let staged = with.snapshotter.stage_layer(Box::new(file)).await.map_err(unpacked)?;
                commit_layer(layer, staged).await?;
            }
            (false, has_layer) => self.fetch_layer(layer, &id, has_layer).await?,
        }
        tell(self.progress, status(&id, "Pull complete"));
        Ok(())
    }

    async fn fetch_layer(&self, layer: &ImageLayer, id: &str, has_layer: bool) -> Result<()> {
        let with = &self.inner.with;
        tell(self.progress, status(id, "Pulling fs layer"));
        let writer = with.content.writer(&layer.blob.digest).await.map_err(stored)?;
        if has_layer {
            return self.download(&layer.blob, writer, None).await;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let unpacking = with.snapshotter.stage_layer(Box::new(ChunkReader::new(receiver)));
        let (downloaded, staged) = tokio::join!(self.download(&layer.blob, writer, Some(sender)), unpacking);
        // When the download fails, the unpacker only saw a broken stream: the download's reason is the real one.
        downloaded?;
        tell(self.progress, status(id, "Extracting"));
        commit_layer(layer, staged.map_err(unpacked)?).await
    }

    /// Streams a blob into a writer and, if there is one, into an unpacker's queue; commits the blob.
    async fn download(
        &self,
        descriptor: &Descriptor,
        mut writer: Box<dyn ContentWriter>,
        mut unpacker: Option<mpsc::Sender<std::io::Result<Bytes>>>,
    ) -> Result<()> {
        let registry = &self.inner.with.registry;
        let failure = |error| registry_failure("pull", error);
        let mut stream = registry
            .blob(self.reference, descriptor, 0, self.credentials)
            .await
            .map_err(failure)?;
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    if let Some(unpacker) = &unpacker {
                        drop(unpacker.send(Err(std::io::Error::other("the download failed"))).await);
                    }
                    return Err(failure(error));
                }
            };
            writer
                .write(&chunk)
                .await
                .map_err(|error| self.stored(descriptor, error))?;
            // An unpacker that gave up has its own error to report; the blob is still worth keeping.
            if let Some(sender) = &unpacker
                && sender.send(Ok(chunk)).await.is_err()
            {
                unpacker = None;
            }
            let message = TransferProgress::Advance {
                id: descriptor.digest.short().to_owned(),
                status: "Downloading",
                current: writer.offset(),
                total: descriptor.size.0,
            };
            tell(self.progress, message);
        }
        writer
            .commit(Some(descriptor.size))
            .await
            .map_err(|error| self.stored(descriptor, error))?;
        Ok(())
    }

    fn stored(&self, descriptor: &Descriptor, error: ContentError) -> ServiceError {
        let doing = format!("cannot store {} of {}", descriptor.digest, self.reference.familiar());
        ServiceError::from_mechanism(doing, error.kind(), error)
    }
}

pub(super) async fn commit_layer(layer: &ImageLayer, staged: Box<dyn StagedLayer>) -> Result<()> {
    if *staged.diff_id() != layer.diff_id {
        return Err(ServiceError::new(
            hyperbox_types::ErrorKind::Unavailable,
            format!(
                "layer {} does not match the image configuration: expected {}, got {}",
                layer.blob.digest,
                layer.diff_id,
                staged.diff_id()
            ),
        ));
    }
    tokio::task::spawn_blocking(move || staged.commit())
        .await
        .map_err(|error| ServiceError::internal("unpacking was interrupted").with_source(error))?
        .map_err(unpacked)
}

pub(super) fn status(id: &str, text: &str) -> TransferProgress {
    TransferProgress::Status {
        id: Some(id.to_owned()),
        status: text.to_owned(),
    }
}

pub(super) fn stored(error: ContentError) -> ServiceError {
    ServiceError::from_mechanism("content store", error.kind(), error)
}

pub(super) fn unpacked(error: SnapshotError) -> ServiceError {
    ServiceError::from_mechanism("failed to register layer", error.kind(), error)
}

impl Inner {
    /// Returns the lock under which a blob is fetched: the same blob is never fetched twice.
    fn turn(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = fetching.get(digest).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        fetching.insert(digest.clone(), Arc::downgrade(&turn));
        turn
    }
}

/// Reads queued chunks on a blocking thread.
pub(crate) struct ChunkReader {
    receiver: mpsc::Receiver<std::io::Result<Bytes>>,
    chunk: Bytes,
}

impl ChunkReader {
    pub(crate) fn new(receiver: mpsc::Receiver<std::io::Result<Bytes>>) -> Self {
        Self {
            receiver,
            chunk: Bytes::new(),
        }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}
