// SPDX-License-Identifier: MIT
//! An output that is opened when the first bytes come: a build that fails leaves the client's files as they are.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use hyperbox_build::StepError;
use hyperbox_build::context::Tree;
use hyperbox_build::request::{OutputSink, TreeSink};
use tokio::io::AsyncWrite;

use crate::session::Session;
use crate::transport::status::Status;

type Opening = BoxFuture<'static, Result<OutputSink, Status>>;

/// An output that is not open yet, or is.
pub(super) enum Later {
    Opening(Opening),
    Open(OutputSink),
}

impl Later {
    /// A file of the client.
    pub(super) fn file(session: Arc<dyn Session>, exporter: usize) -> OutputSink {
        Self::open_with(Box::pin(async move { session.send_file(exporter).await }))
    }

    fn open_with(opening: Opening) -> OutputSink {
        Box::new(Self::Opening(opening))
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&mut OutputSink>> {
        if let Self::Opening(opening) = self {
            let opened = ready!(opening.as_mut().poll(context)).map_err(io::Error::other)?;
            *self = Self::Open(opened);
        }
        match self {
            Self::Open(sink) => Poll::Ready(Ok(sink)),
            Self::Opening(_) => Poll::Pending,
        }
    }
}

impl AsyncWrite for Later {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sink = ready!(self.poll_open(context))?;
        Pin::new(sink).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sink = ready!(self.poll_open(context))?;
        Pin::new(sink).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sink = ready!(self.poll_open(context))?;
        Pin::new(sink).poll_shutdown(context)
    }
}

/// A directory of the client.
pub(super) struct LaterTree {
    pub(super) session: Arc<dyn Session>,
    pub(super) exporter: usize,
}

#[async_trait]
impl TreeSink for LaterTree {
    async fn take(self: Box<Self>, tree: Arc<dyn Tree>) -> Result<(), StepError> {
        let opened = self.session.send_directory(self.exporter).await;
        let sink = opened.map_err(|status| StepError::Refused {
            kind: status.code.kind(),
            message: status.message,
        })?;
        sink.take(tree).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::transport::status::Code;

    #[tokio::test]
    async fn it_opens_with_the_first_bytes() {
        let opened = Arc::new(AtomicBool::new(false));
        let (near, mut far) = tokio::io::duplex(16);
        let seen = Arc::clone(&opened);
        let mut sink = Later::open_with(Box::pin(async move {
            seen.store(true, Ordering::Relaxed);
            Ok(Box::new(near) as OutputSink)
        }));
        assert!(!opened.load(Ordering::Relaxed));
        sink.write_all(b"abc").await.expect("written");
        sink.shutdown().await.expect("closed");
        drop(sink);
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.expect("read");
        assert_eq!(read, b"abc");
        let mut refused = Later::open_with(Box::pin(async { Err(Status::new(Code::Unavailable, "gone")) }));
        assert_eq!(refused.write_all(b"x").await.expect_err("refused").to_string(), "gone");
    }
}
