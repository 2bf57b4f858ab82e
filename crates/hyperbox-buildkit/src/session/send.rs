// SPDX-License-Identifier: MIT
//! What comes out of a build, given to the client: `moby.filesync.v1.FileSend`.
//!
//! A file is bytes in pieces; it is complete when the sink was shut down and the client has ended the call well. A sink that is dropped
//! before that resets the call, so that the client does not take a part for the whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hyperbox_build::request::{OutputSink, TreeSink};
use tokio::io::{AsyncReadExt as _, AsyncWrite, DuplexStream};
use tokio::task::JoinHandle;

use super::client::Line;
use super::metadata;
use super::send_tree::ClientDirectory;
use crate::proto::filesync::Piece;
use crate::transport::client::{Incoming, Metadata, Outgoing};
use crate::transport::status::{Code, Status};

const DIFF_COPY: &str = "/moby.filesync.v1.FileSend/DiffCopy";

/// How much is sent at a time; clients take messages of up to 4 MiB.
const PIECE: usize = 1 << 20;

/// Opens a call that gives the client an output; `exporter` is its place among them.
fn call(line: &Line, exporter: usize) -> Result<(Outgoing, Incoming), Status> {
    let mut headers = Metadata::new();
    metadata::append(&mut headers, "buildkit-attachable-exporter-id", [exporter.to_string()]);
    line.streaming(DIFF_COPY, &headers)
}

/// Gives the client a directory.
///
/// # Errors
/// When it takes none.
pub(super) fn directory(line: &Line, exporter: usize) -> Result<Box<dyn TreeSink>, Status> {
    let (outgoing, incoming) = call(line, exporter)?;
    Ok(Box::new(ClientDirectory { outgoing, incoming }))
}

/// Gives the client a file.
///
/// # Errors
/// When it takes none.
pub(super) fn file(line: &Line, exporter: usize) -> Result<OutputSink, Status> {
    let (outgoing, incoming) = call(line, exporter)?;
    let (near, far) = tokio::io::duplex(PIECE);
    let complete = Arc::new(AtomicBool::new(false));
    let sending = tokio::spawn(send(far, outgoing, incoming, Arc::clone(&complete)));
    Ok(Box::new(ClientFile {
        near,
        complete,
        sending: Some(sending),
    }))
}

/// Passes bytes on until the sink is shut down, then waits for the client.
async fn send(
    mut far: DuplexStream,
    outgoing: Outgoing,
    mut incoming: Incoming,
    complete: Arc<AtomicBool>,
) -> Result<(), Status> {
    let passing = async {
        loop {
            let mut data = BytesMut::with_capacity(PIECE);
            while data.len() < PIECE && far.read_buf(&mut data).await.unwrap_or(0) > 0 {}
            if data.is_empty() {
                break;
            }
            let data = data.freeze();
            if outgoing.send(&Piece { data }).await.is_err() {
                // How the call ended says why.
                return std::future::pending().await;
            }
        }
        if complete.load(Ordering::Acquire) {
            drop(outgoing.finish().await);
        }
    };
    let ending = async {
        while incoming.next().await?.is_some() {}
        Ok(())
    };
    tokio::pin!(passing, ending);
    tokio::select! {
        biased;
        ended = &mut ending => match ended {
            Ok(()) => return Err(Status::new(Code::Unavailable, "the client did not wait for the end of the output")),
            Err(status) => return Err(status),
        },
        () = &mut passing => {}
    }
    ending.await
}

/// A file of the client.
#[derive(Debug)]
struct ClientFile {
    near: DuplexStream,
    complete: Arc<AtomicBool>,
    /// `None` when it has told how it ended.
    sending: Option<JoinHandle<Result<(), Status>>>,
}

impl ClientFile {
    fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        let ended = ready!(Pin::new(sending).poll(context));
        self.sending = None;
        Poll::Ready(match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(io::Error::other(status.message)),
            Err(error) => Err(io::Error::other(error)),
        })
    }
}

impl AsyncWrite for ClientFile {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.near).poll_write(context, bytes)) {
            Ok(written) => Poll::Ready(Ok(written)),
            // The call ended first; it says why.
            Err(error) => Poll::Ready(Err(ready!(self.poll_ended(context)).err().unwrap_or(error))),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.complete.store(true, Ordering::Release);
        // Whether the other end still listens is told by the call.
        drop(ready!(Pin::new(&mut self.near).poll_shutdown(context)));
        self.poll_ended(context)
    }
}
