// SPDX-License-Identifier: MIT
//! From a stream that arrives in the runtime to a reader on a thread of its own.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use hyperbox_core::seam::FileStream;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Reads a stream; only on threads that may block. When nobody waits any more, reading fails.
pub(crate) struct StreamReader {
    /// `None` when it has ended: a stream is not asked again then.
    stream: Option<FileStream>,
    piece: Bytes,
    handle: Handle,
    cancel: CancellationToken,
}

impl std::fmt::Debug for StreamReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StreamReader").finish_non_exhaustive()
    }
}

impl StreamReader {
    /// To be called in the runtime.
    pub(crate) fn new(stream: FileStream, cancel: CancellationToken) -> Self {
        Self {
            stream: Some(stream),
            piece: Bytes::new(),
            handle: Handle::current(),
            cancel,
        }
    }
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Some(stream) = &mut self.stream else {
                return Ok(0);
            };
            let cancel = &self.cancel;
            let next = self.handle.block_on(async {
                tokio::select! {
                    () = cancel.cancelled() => Some(Err(io::Error::other("nobody waits for it any more"))),
                    piece = stream.next() => piece,
                }
            });
            match next {
                Some(piece) => self.piece = piece?,
                None => self.stream = None,
            }
        }
        let length = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
