// SPDX-License-Identifier: MIT
//! Bytes that a thread writes and a client reads: collected in chunks, which pass through a bounded queue.
//!
//! Writing blocks while the queue is full and fails once nobody reads any more, so neither side outlives the other for long.

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::seam::FileStream;

/// Bytes collected before they are sent.
const CHUNK: usize = 128 * 1024;
/// How many chunks may wait for the reader.
const CHUNKS: usize = 8;

/// The end that is written to, on a thread that may block.
#[derive(Debug)]
pub struct ChunkWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    /// Makes both ends.
    pub fn pipe() -> (Self, FileStream) {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let writer = Self {
            sender,
            buffer: Vec::with_capacity(CHUNK),
        };
        let chunks = stream::unfold(receiver, |mut receiver: mpsc::Receiver<_>| async move {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
        (writer, Box::pin(chunks))
    }

    /// Ends the stream: with what is still collected, or with why the rest is missing. Blocks.
    pub fn finish(mut self, written: io::Result<()>) {
        if let Err(error) = written.and_then(|()| self.flush()) {
            // Whoever dropped the stream needs no reason.
            drop(self.sender.blocking_send(Err(error)));
        }
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        let sent = self.sender.blocking_send(Ok(chunk));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_failure_ends_what_was_written() {
        let (mut writer, mut stream) = ChunkWriter::pipe();
        let thread = tokio::task::spawn_blocking(move || {
            let written = writer.write_all(&[7; CHUNK + 1]);
            writer.finish(written.and(Err(io::Error::other("torn"))));
        });
        assert_eq!(stream.next().await.unwrap().unwrap().len(), CHUNK + 1);
        assert_eq!(stream.next().await.unwrap().unwrap_err().to_string(), "torn");
        assert!(stream.next().await.is_none());
        thread.await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_the_writer() {
        let (mut writer, stream) = ChunkWriter::pipe();
        drop(stream);
        let written = tokio::task::spawn_blocking(move || writer.write_all(&[0; CHUNK]));
        assert_eq!(written.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
