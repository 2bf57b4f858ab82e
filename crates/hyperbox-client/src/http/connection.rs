// SPDX-License-Identifier: MIT
//! A buffered connection, and the pool that keeps idle ones.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use crate::host::Host;
use crate::transport::Stream;

/// How much is asked of the kernel at once.
const READ_SIZE: usize = 16 * 1024;
/// More idle connections than this are closed: a command never has more than a few requests open.
const MAX_IDLE: usize = 4;

/// A stream with what was read from it but not yet used.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    reused: bool,
}

impl Connection {
    pub(crate) fn open(host: &Host) -> io::Result<Self> {
        Ok(Self {
            stream: Stream::connect(host)?,
            buffer: Vec::new(),
            start: 0,
            reused: false,
        })
    }

    /// Tells whether an earlier request used this connection: the daemon may have closed it since.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Returns the bytes that were read and not yet consumed.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Forgets the first `count` buffered bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start >= self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Reads once more into the buffer; 0 at the end of the stream.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + READ_SIZE, 0);
        let result = loop {
            match self.stream.read(&mut self.buffer[length..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(length + result.as_ref().map_or(0, |count| *count));
        result
    }

    /// Returns a second handle for writing.
    pub(crate) fn writer(&self) -> io::Result<Stream> {
        self.stream.duplicate()
    }
}

impl Read for Connection {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let buffered = self.buffered();
        if buffered.is_empty() {
            return self.stream.read(target);
        }
        let count = buffered.len().min(target.len());
        target[..count].copy_from_slice(&buffered[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Idle connections to one daemon.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Connection>>);

impl Pool {
    /// Takes an idle connection.
    pub(crate) fn take(&self) -> Option<Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps a connection whose answer was read to its end.
    pub(crate) fn put(&self, mut connection: Connection) {
        // Bytes after the end of an answer mean that the peer and we disagree about framing.
        if !connection.buffered().is_empty() {
            return;
        }
        connection.reused = true;
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }
}
