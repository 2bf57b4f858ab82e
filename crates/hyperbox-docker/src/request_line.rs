// SPDX-License-Identifier: MIT
//! Targets with characters that no URL may have, as people write them: `curl --globoff 'http://engine/images/json?filters={"dangling":["true"]}'`.
//!
//! Docker, whose HTTP server is Go's, takes them; hyper refuses a request whose target has them (RFC 3986, section 2). So they are
//! escaped in the first line of a connection before hyper sees it. Later requests on the same connection come from clients that
//! keep connections, which escape. Nothing else of what is read or written is touched, and nothing is buffered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client_io::ClientStream;

/// How much is read at once until the first line has ended.
const PIECE: usize = 4096;
/// How long one character becomes.
const ESCAPED: usize = 3;

/// A connection whose first line is made one that hyper takes.
#[derive(Debug)]
pub(crate) struct RequestLine {
    stream: ClientStream,
    /// The first line has been read.
    over: bool,
}

impl RequestLine {
    /// Wraps a connection of which nothing has been read yet.
    pub(crate) fn new(stream: ClientStream) -> Self {
        Self { stream, over: false }
    }

    /// Returns the connection.
    pub(crate) fn into_inner(self) -> ClientStream {
        self.stream
    }
}

/// Escapes what is in a part of a connection's beginning up to the end of the line; tells whether that was there.
fn escape(bytes: &[u8], mut put: impl FnMut(&[u8])) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    for byte in line {
        match byte {
            b'"' => put(b"%22"),
            b'<' => put(b"%3C"),
            b'>' => put(b"%3E"),
            b'`' => put(b"%60"),
            other => put(&[*other]),
        }
    }
    put(rest);
    end.is_some()
}

impl AsyncRead for RequestLine {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = (buffer.remaining() / ESCAPED).min(PIECE);
        if self.over || room == 0 {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let mut piece = [0; PIECE];
        let mut piece = ReadBuf::new(&mut piece[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
        self.over = escape(piece.filled(), |bytes| buffer.put_slice(bytes));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RequestLine {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn only_the_first_line_is_escaped() {
        let request = "GET /a`b?filters={\"label\":[\"<x>\"]} HTTP/1.1\r\nHost: \"x\"\r\n\r\nGET /\"y\" HTTP/1.1\r\n";
        let expected =
            "GET /a%60b?filters={%22label%22:[%22%3Cx%3E%22]} HTTP/1.1\r\nHost: \"x\"\r\n\r\nGET /\"y\" HTTP/1.1\r\n";
        for piece in [1, 7, request.len()] {
            let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
            let sent = async move {
                for bytes in request.as_bytes().chunks(piece) {
                    theirs.write_all(bytes).await.expect("write");
                    tokio::task::yield_now().await;
                }
            };
            let mut line = RequestLine::new(ClientStream::Unix(ours));
            let mut read = String::new();
            let (result, ()) = tokio::join!(line.read_to_string(&mut read), sent);
            result.expect("read");
            assert_eq!(read, expected, "{piece}");
        }
    }
}
