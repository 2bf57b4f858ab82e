// SPDX-License-Identifier: MIT
//! The other side of a delta pull: what layers here consist of, for a store that lacks some of it.
//!
//! Nothing is kept between two questions. A client that goes away ends the work at the next piece.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures_util::stream;
use hyperbox_chunks::{ChunkSizes, ListedChunk, Range, chunks, decode_ranges, encode_list};
use hyperbox_types::{DiffId, ErrorKind};
use tokio::sync::mpsc;

use super::archives;
use crate::image::archive::ArchiveStream;
use crate::image::service::Images;
use crate::{Result, ServiceError};

/// How well ranges are compressed: as fast as they are read, or nearly so.
const LEVEL: i32 = 3;
/// Bytes that are read at once, and collected before they are sent.
const PIECE: usize = 128 * 1024;

impl Images {
    /// Cuts a layer's uncompressed archive into chunks and returns their list, encoded.
    ///
    /// # Errors
    /// `NotFound` without the layer or its archive, `ResourceExhausted` for one of too many chunks, I/O classes.
    pub async fn layer_chunks(&self, layer: &DiffId) -> Result<Vec<u8>> {
        let (images, layer) = (self.clone(), layer.clone());
        blocking(move || {
            let archive = open(&images, &layer)?;
            let mut list = Vec::new();
            for chunk in chunks(BufReader::with_capacity(1 << 20, archive), ChunkSizes::of_transfers()) {
                let chunk = chunk.map_err(|error| unreadable(&layer, error.source))?;
                list.push(ListedChunk {
                    id: chunk.id,
                    length: u32::try_from(chunk.bytes.len()).unwrap_or(u32::MAX),
                });
            }
            let too_many = || ServiceError::new(ErrorKind::ResourceExhausted, format!("{layer} has too many chunks"));
            encode_list(&list).ok_or_else(too_many)
        })
        .await
    }

    /// Streams ranges of a layer's uncompressed archive, one after the other, as one Zstandard frame.
    ///
    /// # Errors
    /// `InvalidArgument` for malformed ranges and those beyond the archive's end, `NotFound` without the layer or its archive.
    pub async fn layer_ranges(&self, layer: &DiffId, ranges: &[u8]) -> Result<ArchiveStream> {
        let ranges = decode_ranges(ranges)
            .map_err(|error| ServiceError::from_mechanism("cannot read ranges", ErrorKind::InvalidArgument, error))?;
        let (images, layer) = (self.clone(), layer.clone());
        let archive = blocking(move || {
            let archive = open(&images, &layer)?;
            let length = archive.metadata().map_err(|error| unreadable(&layer, error))?.len();
            match ranges.last() {
                Some(last) if last.offset + last.length > length => Err(ServiceError::invalid(format!(
                    "a range ends beyond the {length} bytes of {layer}"
                ))),
                _ => Ok((archive, ranges)),
            }
        });
        let (archive, ranges) = archive.await?;
        let (sender, receiver) = mpsc::channel(8);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = send(&archive, &ranges, sender.clone()) {
                // The client may be gone: then there is nobody to tell.
                drop(sender.blocking_send(Err(error)));
            }
        });
        Ok(Box::pin(stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        })))
    }
}

fn open(images: &Images, layer: &DiffId) -> Result<File> {
    let found = archives::find(images, layer)?;
    let archive = archives::open(images, &found).map_err(|error| unreadable(layer, error))?;
    archive.ok_or_else(|| ServiceError::not_found(format!("the archive of layer {layer} is not here")))
}

fn unreadable(layer: &DiffId, error: io::Error) -> ServiceError {
    let kind = crate::seam::io_kind(&error);
    ServiceError::from_mechanism(format!("cannot read the archive of layer {layer}"), kind, error)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ServiceError::internal("reading a layer was interrupted").with_source(error))?
}

fn send(archive: &File, ranges: &[Range], sender: mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let pieces = Pieces {
        sender,
        buffer: Vec::with_capacity(PIECE),
    };
    let mut encoder = zstd::Encoder::new(pieces, LEVEL)?;
    let mut buffer = vec![0; PIECE];
    for range in ranges {
        let (mut at, end) = (range.offset, range.offset + range.length);
        while at < end {
            let length = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
            archive.read_exact_at(&mut buffer[..length], at)?;
            encoder.write_all(&buffer[..length])?;
            at += length as u64;
        }
    }
    encoder.finish()?.flush()
}

/// Sends what is written, piece by piece.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE)));
        let sent = self.sender.blocking_send(Ok(piece));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
