// SPDX-License-Identifier: MIT
//! From a compressed stream to its uncompressed bytes, hashed on the way.
//!
//! Decompression runs on a thread of its own, a few chunks ahead of the consumer, so that it overlaps with writing files; a third one
//! hashes what the consumer has done with ([`hashing`]). The memory in between is bounded by a few times [`CHUNKS`] × [`CHUNK`].
//!
//! The compression is found by magic bytes. When the consumer is dropped early, the thread ends at its next chunk; it owns
//! nothing but the reader.

mod hashing;

use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hyperbox_core::seam::Compression;
use hyperbox_types::DiffId;

use self::hashing::Hashing;

const CHUNK: usize = 256 * 1024;
const CHUNKS: usize = 4;

/// Tells how data that begin with `start` are compressed.
///
/// gzip: RFC 1952 §2.3.1; Zstandard frames and skippable frames: RFC 8878 §3.1.
pub(crate) fn detect(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

enum Message {
    Data(Vec<u8>),
    End,
    Failed(io::Error),
}

/// The uncompressed stream.
pub(crate) struct Inflated {
    messages: Receiver<Message>,
    chunk: Vec<u8>,
    position: usize,
    ended: bool,
    hashing: Hashing,
    length: u64,
    limit: u64,
    /// Where every chunk goes, too.
    copy: Option<Box<dyn Write + Send>>,
}

impl Inflated {
    /// Starts to decompress `stream`. More than `limit` uncompressed bytes are an error of kind `FileTooLarge`.
    pub(crate) fn start(stream: Box<dyn Read + Send>, limit: u64) -> io::Result<Self> {
        Self::with(stream, limit, decoder)
    }

    /// [`Inflated::start`] for a stream that is known not to be compressed, whatever it begins with.
    pub(crate) fn plain(stream: Box<dyn Read + Send>, limit: u64) -> io::Result<Self> {
        Self::with(stream, limit, |stream| Ok(stream))
    }

    fn with(stream: Box<dyn Read + Send>, limit: u64, decoder: Decoder) -> io::Result<Self> {
        let (sender, messages) = sync_channel(CHUNKS);
        let (empties, recycled) = sync_channel(CHUNKS);
        std::thread::Builder::new()
            .name("layer-inflate".to_owned())
            .spawn(move || produce(stream, decoder, &sender, &recycled))?;
        Ok(Self {
            messages,
            chunk: Vec::new(),
            position: 0,
            ended: false,
            hashing: Hashing::new(empties),
            length: 0,
            limit,
            copy: None,
        })
    }

    /// Also writes everything to `copy`. Its errors come out of the reading; it is not flushed.
    pub(crate) fn copied_to(mut self, copy: Box<dyn Write + Send>) -> Self {
        self.copy = Some(copy);
        self
    }

    /// Reads what is left, and returns the digest and the length of the whole.
    pub(crate) fn finish(mut self) -> io::Result<(DiffId, u64)> {
        loop {
            let available = self.fill_buf()?.len();
            if available == 0 {
                break;
            }
            self.consume(available);
        }
        Ok((DiffId(self.hashing.finish()?), self.length))
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let done = std::mem::take(&mut self.chunk);
        if !done.is_empty() {
            self.hashing.append(done)?;
        }
        self.position = 0;
        match self.messages.recv() {
            Ok(Message::Data(chunk)) => {
                self.length += chunk.len() as u64;
                if let Some(copy) = &mut self.copy {
                    copy.write_all(&chunk)?;
                }
                self.chunk = chunk;
                if self.length > self.limit {
                    return Err(io::Error::new(
                        io::ErrorKind::FileTooLarge,
                        format!("more than the allowed {} bytes", self.limit),
                    ));
                }
                Ok(())
            }
            Ok(Message::End) => {
                self.ended = true;
                Ok(())
            }
            Ok(Message::Failed(error)) => Err(error),
            Err(_) => Err(io::Error::other("the decompressing thread died")),
        }
    }
}

impl BufRead for Inflated {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.position == self.chunk.len() && !self.ended {
            self.next_chunk()?;
        }
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position = (self.position + amount).min(self.chunk.len());
    }
}

impl Read for Inflated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&available[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

/// Makes the uncompressed stream.
type Decoder = fn(Box<dyn Read + Send>) -> io::Result<Box<dyn Read>>;

fn produce(stream: Box<dyn Read + Send>, decoder: Decoder, sender: &SyncSender<Message>, recycled: &Receiver<Vec<u8>>) {
    let outcome = decoder(stream).and_then(|mut decoder| {
        loop {
            let mut chunk = recycled.try_recv().unwrap_or_default();
            // One that comes back is whole: nothing is cleared again.
            chunk.resize(CHUNK, 0);
            let read = fill(decoder.as_mut(), &mut chunk)?;
            if read == 0 {
                return Ok(Some(Message::End));
            }
            chunk.truncate(read);
            if sender.send(Message::Data(chunk)).is_err() {
                return Ok(None);
            }
        }
    });
    let last = outcome.unwrap_or_else(|error| Some(Message::Failed(error)));
    if let Some(message) = last {
        // Nobody waits for it any more: the consumer gave up.
        drop(sender.send(message));
    }
}

/// Reads until the buffer is full or the stream ends; returns how much that is. The decoder gets all the room at once: each of its
/// calls costs a copy of its window.
fn fill(decoder: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match decoder.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn decoder(mut stream: Box<dyn Read + Send>) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::with_capacity(4);
    stream.by_ref().take(4).read_to_end(&mut start)?;
    let compression = detect(&start);
    let stream = BufReader::with_capacity(128 * 1024, Cursor::new(start).chain(stream));
    Ok(match compression {
        Compression::None => Box::new(stream),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
    })
}

#[cfg(test)]
mod tests;
