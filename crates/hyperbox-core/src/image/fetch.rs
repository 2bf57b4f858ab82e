// SPDX-License-Identifier: MIT
//! Getting one blob or layer into the stores, once, whoever asks for it at the same time.
//!
//! A layer is fetched in one streaming pass: each chunk goes to the content store's writer and, through a bounded queue, to the
//! snapshotter, which decompresses and unpacks it. Both are committed only after the whole blob was verified. A blob that stays with its
//! registry ([`PulledBlobs`]) is verified in the same way, and not written.

mod verifier;

use std::io::Read;
use std::sync::{Arc, PoisonError, Weak};

use bytes::Bytes;
use futures_util::StreamExt;
use hyperbox_types::{Digest, ErrorKind, ImageReference};
use tokio::sync::mpsc;

use self::verifier::Verifier;
use super::compression::{CUT_SHORT, is_cut_short};
use super::delta::Delta;
use super::elsewhere::PulledBlobs;
use super::lease::LayerLease;
use super::record::ImageLayer;
use super::service::{Inner, TransferProgress, registry_failure};
use crate::seam::{BlobStream, ContentError, ContentWriter, Credentials, Descriptor, SnapshotError, StagedLayer};
use crate::{Result, ServiceError};

/// Chunks between the network and the unpacker: a few megabytes at most.
const QUEUE: usize = 32;

/// Where progress goes.
pub(super) type Progress = mpsc::Sender<TransferProgress>;

/// How many messages wait for a reader.
const NEWS: usize = 1024;

/// So many of them are kept for what is told once; counts of bytes take the others.
const KEPT_NEWS: usize = 768;

/// A layer that cannot be unpacked is read to its end, to tell whether it is what was promised, if it has at most so many bytes.
const LONGEST_REST: u64 = 64 << 20;

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
    /// Protects what is fetched.
    pub lease: &'a LayerLease,
    /// Another store that is asked first.
    pub delta: Option<&'a Delta>,
    /// Which blobs of layers are wanted.
    pub blobs: Blobs,
}

/// Which blobs of layers a transfer is to bring. Who only runs an image needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blobs {
    /// All, also those of layers that are here.
    All,
    /// Those of layers that come.
    OfNewLayers,
    /// None: whoever needs them finds them at the registry.
    None,
}

impl Blobs {
    /// Returns what a pull brings.
    pub(super) fn of_pull(inner: &Inner) -> Self {
        let can_do_without = inner.with.snapshotter.keeps_archives();
        match inner.with.pulled_blobs {
            PulledBlobs::Left if can_do_without => Self::None,
            PulledBlobs::Left | PulledBlobs::Kept => Self::OfNewLayers,
        }
    }
}

/// Where the bytes of a blob go.
enum Sink {
    Store(Box<dyn ContentWriter>),
    /// Nowhere.
    Verify(Verifier),
}

impl Sink {
    async fn take(&mut self, chunk: &Bytes) -> std::result::Result<(), ContentError> {
        match self {
            Self::Store(writer) => writer.write(chunk).await,
            Self::Verify(verifier) => verifier.take(chunk.clone()).await,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Store(writer) => writer.offset(),
            Self::Verify(verifier) => verifier.length(),
        }
    }
}

/// How the transfer of a blob ended.
enum Downloaded<'a> {
    /// All of it came, and is what was promised.
    Verified,
    /// Its only user does not want the rest.
    GivenUp(Box<Transfer<'a>>),
}

/// A blob that comes.
struct Transfer<'a> {
    source: &'a Source<'a>,
    descriptor: &'a Descriptor,
    stream: BlobStream,
    sink: Sink,
}

impl Source<'_> {
    /// Returns a small blob, verified: from the content store if it is there, else from the registry. It is not put into the store.
    pub(super) async fn small_blob(
        &self,
        descriptor: &Descriptor,
        limit: hyperbox_types::ByteSize,
    ) -> Result<SmallBlob> {
        let content = &self.inner.with.content;
        let turn = self.inner.turn(&descriptor.digest);
        let mut fetched = turn.lock().await;
        if fetched.is_none() {
            *fetched = Some(if content.info(&descriptor.digest).map_err(stored)?.is_some() {
                content.read(&descriptor.digest, limit).await.map_err(stored)?.into()
            } else {
                self.fetch_small(descriptor, limit).await?
            });
        }
        let bytes = fetched.clone().unwrap_or_default();
        drop(fetched);
        Ok(SmallBlob { bytes, _turn: turn })
    }

    async fn fetch_small(&self, descriptor: &Descriptor, limit: hyperbox_types::ByteSize) -> Result<Bytes> {
        if descriptor.size > limit {
            return Err(ServiceError::invalid(format!(
                "{}: blob {} is larger than {limit}",
                self.reference.familiar(),
                descriptor.digest
            )));
        }
        let mut stream = self.open(descriptor).await?;
        let (mut bytes, mut verifier) = (Vec::new(), Verifier::new(descriptor));
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(pull_failure)?;
            bytes.extend_from_slice(&chunk);
            let taken = verifier.take(chunk).await;
            taken.map_err(|error| self.stored(descriptor, error))?;
        }
        let verified = verifier.finish().await;
        verified.map_err(|error| self.stored(descriptor, error))?;
        Ok(bytes.into())
    }

    /// Makes sure that a layer is unpacked, and that its blob is here if blobs are wanted. `all` are the layers of its image.
    pub(super) async fn layer(&self, layer: &ImageLayer, all: &[ImageLayer]) -> Result<()> {
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
                commit_layer(layer, staged, self.lease).await?;
            }
            (false, true) if self.blobs != Blobs::All => {
                tell(self.progress, status(&id, "Already exists"));
                return Ok(());
            }
            (false, has_layer) => {
                let made = match self.delta {
                    Some(delta) => delta.layer(layer, all, self).await?,
                    None => false,
                };
                if !made {
                    self.fetch_layer(layer, &id, has_layer).await?;
                }
            }
        }
        tell(self.progress, status(&id, "Pull complete"));
        Ok(())
    }

    async fn fetch_layer(&self, layer: &ImageLayer, id: &str, has_layer: bool) -> Result<()> {
        let with = &self.inner.with;
        tell(self.progress, status(id, "Pulling fs layer"));
        let sink = match self.blobs {
            Blobs::None => Sink::Verify(Verifier::new(&layer.blob)),
            Blobs::All | Blobs::OfNewLayers => {
                Sink::Store(with.content.writer(&layer.blob.digest).await.map_err(stored)?)
            }
        };
        if has_layer {
            return self.download(&layer.blob, sink, None).await.map(drop);
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let unpacking = with.snapshotter.stage_layer(Box::new(ChunkReader::new(receiver)));
        let (downloaded, staged) = tokio::join!(self.download(&layer.blob, sink, Some(sender)), unpacking);
        // When the download fails, the unpacker only saw a broken stream: the download's reason is the real one.
        let downloaded = downloaded?;
        tell(self.progress, status(id, "Extracting"));
        if let Downloaded::GivenUp(rest) = downloaded {
            let what = format!("layer {} was not read to its end", layer.blob.digest);
            let error = staged.map_or_else(unpacked, |_| ServiceError::internal(what));
            // What cannot be unpacked may be something else than what was promised: that is told rather, unless it is long.
            let is_short = layer.blob.size.0 <= LONGEST_REST;
            if is_short && error.kind() != ErrorKind::ResourceExhausted {
                rest.verify().await?;
            }
            return Err(error);
        }
        commit_layer(layer, staged.map_err(unpacked)?, self.lease).await
    }

    async fn open(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        let registry = &self.inner.with.registry;
        let stream = registry.blob(self.reference, descriptor, 0, self.credentials);
        stream.await.map_err(pull_failure)
    }

    /// Streams a blob into its sink and, if there is one, into an unpacker's queue; verifies it, and commits it if it is stored.
    async fn download<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        sink: Sink,
        unpacker: Option<mpsc::Sender<std::io::Result<Bytes>>>,
    ) -> Result<Downloaded<'a>> {
        let mut transfer = Transfer {
            source: self,
            descriptor,
            stream: self.open(descriptor).await?,
            sink,
        };
        if transfer.run(unpacker).await? == Reached::NoUser {
            return Ok(Downloaded::GivenUp(Box::new(transfer)));
        }
        transfer.finish().await?;
        Ok(Downloaded::Verified)
    }

    fn stored(&self, descriptor: &Descriptor, error: ContentError) -> ServiceError {
        let doing = format!("cannot store {} of {}", descriptor.digest, self.reference.familiar());
        ServiceError::from_mechanism(doing, error.kind(), error)
    }
}

/// How far a transfer came.
#[derive(Debug, PartialEq, Eq)]
enum Reached {
    End,
    /// Nobody wants the rest.
    NoUser,
}

impl Transfer<'_> {
    /// Streams what is left.
    async fn run(&mut self, mut unpacker: Option<mpsc::Sender<std::io::Result<Bytes>>>) -> Result<Reached> {
        let Self {
            source,
            descriptor,
            stream,
            sink,
        } = self;
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    if let Some(unpacker) = &unpacker {
                        drop(unpacker.send(Err(std::io::Error::other("the download failed"))).await);
                    }
                    return Err(pull_failure(error));
                }
            };
            let taken = sink.take(&chunk).await;
            taken.map_err(|error| source.stored(descriptor, error))?;
            // More than was promised is of no use to anybody.
            if sink.length() > descriptor.size.0 {
                break;
            }
            // An unpacker that gave up has its own error to report; a blob that is stored is still worth keeping.
            if let Some(sender) = &unpacker
                && sender.send(Ok(chunk)).await.is_err()
            {
                if matches!(sink, Sink::Verify(_)) {
                    return Ok(Reached::NoUser);
                }
                unpacker = None;
            }
            let message = TransferProgress::Advance {
                id: descriptor.digest.short().to_owned(),
                status: "Downloading",
                current: sink.length(),
                total: descriptor.size.0,
            };
            tell(source.progress, message);
        }
        Ok(Reached::End)
    }

    /// Tells whether all that came is what was promised; commits it if it is stored.
    async fn finish(self) -> Result<()> {
        let size = self.descriptor.size;
        let verified = match self.sink {
            Sink::Verify(verifier) => verifier.finish().await,
            Sink::Store(writer) => {
                let committing = async move { writer.commit(Some(size)).await };
                self.source.lease.during(committing).await?.map(drop)
            }
        };
        verified.map_err(|error| self.source.stored(self.descriptor, error))
    }

    /// Takes the rest, which nobody wants, to tell whether the blob is what was promised.
    async fn verify(mut self) -> Result<()> {
        self.run(None).await?;
        self.finish().await
    }
}

/// Makes a staged layer visible, if it is the right one.
pub(super) async fn commit_layer(layer: &ImageLayer, staged: Box<dyn StagedLayer>, lease: &LayerLease) -> Result<()> {
    if *staged.diff_id() != layer.diff_id {
        return Err(ServiceError::new(
            ErrorKind::Unavailable,
            format!(
                "layer {} does not match the image configuration: expected {}, got {}",
                layer.blob.digest,
                layer.diff_id,
                staged.diff_id()
            ),
        ));
    }
    let committing = tokio::task::spawn_blocking(move || staged.commit());
    lease
        .during(committing)
        .await?
        .map_err(|error| ServiceError::internal("unpacking was interrupted").with_source(error))?
        .map_err(unpacked)
}

pub(super) fn status(id: &str, text: &str) -> TransferProgress {
    TransferProgress::Status {
        id: Some(id.to_owned()),
        status: text.to_owned(),
    }
}

fn pull_failure(error: crate::seam::RegistryError) -> ServiceError {
    registry_failure("pull", error)
}

pub(super) fn stored(error: ContentError) -> ServiceError {
    ServiceError::from_mechanism("content store", error.kind(), error)
}

pub(super) fn unpacked(error: SnapshotError) -> ServiceError {
    ServiceError::from_mechanism("failed to register layer", error.kind(), error)
}

/// The same of a layer that a client brought, in Docker's words where it has some.
pub(super) fn brought(error: SnapshotError) -> ServiceError {
    if is_cut_short(&error) {
        return ServiceError::invalid(CUT_SHORT).with_source(error);
    }
    unpacked(error)
}

/// The lock under which a blob is fetched; holds one that is not in a store yet.
pub(super) type Turn = tokio::sync::Mutex<Option<Bytes>>;

/// A small blob. As long as this is there, nobody has to fetch it again.
pub(super) struct SmallBlob {
    pub(super) bytes: Bytes,
    _turn: Arc<Turn>,
}

impl Inner {
    /// Returns the lock under which a blob is fetched: the same blob is never fetched twice.
    fn turn(&self, digest: &Digest) -> Arc<Turn> {
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
