// SPDX-License-Identifier: MIT
//! A layer's archive as one stream: chunks that are here, read from files, and chunks from another store, asked for as they come.
//!
//! [`Assembly`] reads on a blocking thread; [`Feeder`] speaks with the other store beside it and ends with it. A connection that ends is
//! made again from the chunk on that is next; chunks that arrived set the count of attempts back. What a peer can make this side keep or
//! read is bounded: one chunk, a window of [`WINDOW`], and hardly more bytes than were asked for.

use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use hyperbox_chunks::{ChunkId, Origin, Range, Recipe, encode_ranges};
use tokio::sync::mpsc;

use super::archives::{Known, Place};
use super::told;
use crate::image::fetch::{ChunkReader, Progress, Source, tell};
use crate::image::record::ImageLayer;
use crate::image::service::TransferProgress;
use crate::seam::{RegistryError, RegistryFault};

/// The largest window of a Zstandard frame that is taken, as a power of two (8 MiB, what RFC 8878 §3.1.1.1.2 recommends to support).
pub(super) const WINDOW: u32 = 23;
/// Attempts that may fail in a row.
const ATTEMPTS: u32 = 5;
/// The pause before the second attempt; it grows by itself with each.
const PAUSE: Duration = Duration::from_millis(200);
/// Pieces between the network and the reader.
const QUEUE: usize = 16;

/// How many bytes came from where.
#[derive(Debug, Default)]
pub(super) struct Moved {
    bytes: AtomicU64,
    taken: AtomicU64,
}

impl Moved {
    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that the other store sent, compressed as they came.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that were read from layers here.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// Why an assembly ended early: its reader only sees that the stream did.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, reason: String) -> io::Error {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(reason);
        io::Error::other("the layer cannot be put together")
    }
}

/// What the reader wants to have.
struct Question {
    ranges: Vec<Range>,
    /// So many attempts have failed.
    failed: u32,
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

/// What is being answered.
struct Answer {
    decoder: Box<dyn Read + Send>,
    /// Bytes that are still to come.
    left: u64,
}

/// The stream.
pub(super) struct Assembly {
    known: Arc<Known>,
    recipe: Recipe<Place>,
    /// The next step.
    next: usize,
    chunk: Vec<u8>,
    position: usize,
    questions: mpsc::Sender<Question>,
    answer: Option<Answer>,
    failed: u32,
    failure: Failure,
    moved: Arc<Moved>,
    arrived: Arc<AtomicU64>,
}

/// The side that speaks with the other store.
pub(super) struct Feeder {
    questions: mpsc::Receiver<Question>,
    moved: Arc<Moved>,
    arrived: Arc<AtomicU64>,
    missing: u64,
}

/// Makes both sides; the reader is for a blocking thread.
pub(super) fn assemble(known: Arc<Known>, recipe: Recipe<Place>, moved: Arc<Moved>) -> (Assembly, Feeder) {
    let (sender, questions) = mpsc::channel(1);
    let arrived: Arc<AtomicU64> = Arc::default();
    let feeder = Feeder {
        questions,
        moved: Arc::clone(&moved),
        arrived: Arc::clone(&arrived),
        missing: recipe.missing(),
    };
    let assembly = Assembly {
        known,
        recipe,
        next: 0,
        chunk: Vec::new(),
        position: 0,
        questions: sender,
        answer: None,
        failed: 0,
        failure: Failure::default(),
        moved,
        arrived,
    };
    (assembly, feeder)
}

impl Assembly {
    pub(super) fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Puts the next chunk into the buffer; `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(step) = self.recipe.steps().get(self.next).copied() else {
            return Ok(false);
        };
        self.position = 0;
        self.chunk.resize(step.length as usize, 0);
        match step.origin {
            Origin::Here(place) => {
                let read = self.known.read(place, &mut self.chunk);
                read.map_err(|error| self.failure.set(format!("a layer here cannot be read: {error}")))?;
                self.moved.taken.fetch_add(u64::from(step.length), Ordering::Relaxed);
            }
            Origin::Elsewhere => self.receive(step.id)?,
        }
        self.next += 1;
        Ok(true)
    }

    /// Receives the chunk that is next, over as many connections as it takes.
    fn receive(&mut self, id: ChunkId) -> io::Result<()> {
        loop {
            let mut answer = match self.answer.take() {
                Some(answer) => answer,
                None => self.ask()?,
            };
            match answer.decoder.read_exact(&mut self.chunk) {
                Ok(()) => {
                    if ChunkId::of(&self.chunk) != id {
                        return Err(self
                            .failure
                            .set(format!("it sent other bytes than those of chunk {id}")));
                    }
                    let length = self.chunk.len() as u64;
                    self.failed = 0;
                    self.arrived.fetch_add(length, Ordering::Relaxed);
                    answer.left -= length.min(answer.left);
                    self.answer = (answer.left > 0).then_some(answer);
                    return Ok(());
                }
                Err(error) if is_worth_another_try(&error) && self.failed + 1 < ATTEMPTS => self.failed += 1,
                Err(error) => return Err(self.failure.set(error.to_string())),
            }
        }
    }

    /// Asks for everything from the next chunk on.
    fn ask(&mut self) -> io::Result<Answer> {
        let ranges = self.recipe.ranges_from(self.next);
        let left: u64 = ranges.iter().map(|range| range.length).sum();
        let (pieces, receiver) = mpsc::channel(QUEUE);
        let question = Question {
            ranges,
            failed: self.failed,
            pieces,
        };
        let asked = self.questions.blocking_send(question);
        asked.map_err(|_| self.failure.set("the pull has ended".to_owned()))?;
        // Bytes that cannot be compressed become a little longer.
        let limited = ChunkReader::new(receiver).take(left + left / 64 + (64 << 10));
        let mut decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(128 * 1024, limited))?;
        decoder.window_log_max(WINDOW)?;
        let decoder = Box::new(decoder);
        Ok(Answer { decoder, left })
    }
}

impl Read for Assembly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.chunk.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.chunk.len() - self.position);
        buffer[..length].copy_from_slice(&self.chunk[self.position..][..length]);
        self.position += length;
        Ok(length)
    }
}

/// Connections that end are made again; what is not Zstandard stays so.
fn is_worth_another_try(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
    )
}

fn as_io(error: &RegistryError) -> io::Error {
    let kind = match error.fault {
        RegistryFault::Unavailable => io::ErrorKind::ConnectionReset,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, told(error))
}

impl Feeder {
    /// Answers questions until the reader is gone.
    pub(super) async fn run(mut self, host: &str, layer: &ImageLayer, source: &Source<'_>) {
        while let Some(question) = self.questions.recv().await {
            if question.failed > 0 {
                tokio::time::sleep(PAUSE * question.failed).await;
            }
            let ranges = Bytes::from(encode_ranges(&question.ranges));
            self.moved.add(ranges.len() as u64);
            let peers = &source.inner.with.peers;
            let mut stream = match peers.ranges(host, &layer.diff_id, ranges).await {
                Ok(stream) => stream,
                Err(error) => {
                    drop(question.pieces.send(Err(as_io(&error))).await);
                    continue;
                }
            };
            while let Some(piece) = stream.next().await {
                let piece = piece.map_err(|error| as_io(&error));
                self.moved.add(piece.as_ref().map_or(0, |bytes| bytes.len() as u64));
                self.say(layer, source.progress);
                if question.pieces.send(piece).await.is_err() {
                    break;
                }
            }
        }
    }

    fn say(&self, layer: &ImageLayer, progress: &Progress) {
        let message = TransferProgress::Advance {
            id: layer.blob.digest.short().to_owned(),
            status: "Downloading",
            current: self.arrived.load(Ordering::Relaxed),
            total: self.missing,
        };
        tell(progress, message);
    }
}
