// SPDX-License-Identifier: MIT
//! A stream that can be cut from elsewhere: reading and writing fail from then on, so that whatever stands on it ends.
//!
//! A connection of HTTP/2 is driven by a task of its own, which waits for a peer that does not answer for as long as calls are open.
//! Calls end with the connection, so it is the connection that has to be ended. What is read is counted, which tells a peer that is
//! slow to answer from one that is gone.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyperbox_core::seam::AttachIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A stream and what cuts it.
pub(super) struct Severable<I> {
    io: I,
    severed: CancellationToken,
    /// So many bytes were read.
    heard: Arc<AtomicU64>,
    /// Wakes who reads; a connection always does.
    waiting: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<I: AttachIo> Severable<I> {
    /// Makes a stream that lives until the token is cancelled.
    pub(super) fn new(io: I, severed: CancellationToken) -> Self {
        Self {
            io,
            waiting: Box::pin(severed.clone().cancelled_owned()),
            severed,
            heard: Arc::default(),
        }
    }

    /// Returns what counts the bytes that are read.
    pub(super) fn heard(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.heard)
    }

    fn check(&self) -> io::Result<()> {
        match self.severed.is_cancelled() {
            true => Err(cut()),
            false => Ok(()),
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up")
}

impl<I: AttachIo> AsyncRead for Severable<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waiting.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(cut()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        self.heard.fetch_add(count as u64, Ordering::Relaxed);
        read
    }
}

impl<I: AttachIo> AsyncWrite for Severable<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
