// SPDX-License-Identifier: MIT
//! The stream of an exec, whose end is also the end of the exec.
//!
//! Clients read the stream to its end and then ask for the exit code. The stream may end a moment before the exit is recorded, so its
//! end is held back until then.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::seam::AttachIo;

/// A stream that ends only after something else has ended.
pub(crate) struct EndsAfter {
    io: Box<dyn AttachIo>,
    /// Resolves, one way or the other, when the other thing has ended; `None` afterwards.
    ended: Option<oneshot::Receiver<()>>,
}

impl EndsAfter {
    /// Holds the end of `io` back until the sender of `ended` is used or dropped.
    pub(crate) fn new(io: Box<dyn AttachIo>, ended: oneshot::Receiver<()>) -> Self {
        Self { io, ended: Some(ended) }
    }
}

impl AsyncRead for EndsAfter {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(context, buffer))?;
        if buffer.filled().len() == before
            && buffer.remaining() > 0
            && let Some(ended) = &mut this.ended
        {
            // A sender that was dropped has nothing more to record.
            drop(ready!(Pin::new(ended).poll(context)));
            this.ended = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EndsAfter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_the_other_end() {
        let (near, mut far) = duplex(64);
        let (sender, receiver) = oneshot::channel();
        let mut stream = EndsAfter::new(Box::new(near), receiver);
        far.write_all(b"out").await.expect("write");
        drop(far);
        let mut bytes = [0; 3];
        stream.read_exact(&mut bytes).await.expect("output comes at once");
        let mut rest = Vec::new();
        let reading = stream.read_to_end(&mut rest);
        tokio::pin!(reading);
        let waits = std::future::poll_fn(|context| Poll::Ready(reading.as_mut().poll(context).is_pending())).await;
        assert!(waits, "the exec has not ended yet");
        drop(sender);
        assert_eq!(reading.await.expect("end"), 0);
    }
}
