// SPDX-License-Identifier: MIT
//! The client's end of a connection: a Unix or TCP stream, and bytes that HTTP has read of it already.
//!
//! [`ClientIo`] is what a hijacked connection becomes: plain, unbuffered, both directions in one object. On a Unix socket a client
//! that has gone can be told from one that only closed its sending half ([`ClientIo::is_gone`]); TCP cannot tell.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyperbox_sys::socket::unread_by_peer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// How long a connection whose output has ended waits for the end of its input.
const LINGER: Duration = Duration::from_secs(2);

/// Accepts connections.
pub trait Listener: Send + 'static {
    /// Accepts the next connection. Cancel-safe.
    fn accept(&self) -> impl Future<Output = io::Result<ClientStream>> + Send;
}

impl Listener for UnixListener {
    async fn accept(&self) -> io::Result<ClientStream> {
        Self::accept(self).await.map(|(stream, _)| ClientStream::Unix(stream))
    }
}

impl Listener for TcpListener {
    async fn accept(&self) -> io::Result<ClientStream> {
        let (stream, _) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(ClientStream::Tcp(stream))
    }
}

/// A connected stream of either transport.
#[derive(Debug)]
pub enum ClientStream {
    /// On this machine; access was decided by the socket's permissions.
    Unix(UnixStream),
    /// Over the network.
    Tcp(TcpStream),
}

impl ClientStream {
    /// Tells whether the peer may be anybody on the network, web pages included.
    pub(crate) fn is_network(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }
}

macro_rules! on_stream {
    ($this:expr, $stream:ident => $call:expr) => {
        match $this.get_mut() {
            Self::Unix($stream) => $call,
            Self::Tcp($stream) => $call,
        }
    };
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}

/// A connection that has left HTTP.
///
/// Reading and writing take `&self`, so one task can do both at once without splitting. One reader and one writer at a time.
#[derive(Debug)]
pub(crate) struct ClientIo {
    read_already: Bytes,
    stream: ClientStream,
}

impl ClientIo {
    /// Joins a stream with the bytes that were read of it already.
    pub(crate) fn new(stream: ClientStream, read_already: Bytes) -> Self {
        Self { read_already, stream }
    }

    /// Tells whether the client may be anybody on the network.
    pub(crate) fn is_network(&self) -> bool {
        self.stream.is_network()
    }

    /// Returns the bytes that HTTP read and did not need; they come before everything that [`ClientIo::read`] gives.
    pub(crate) fn take_read_already(&mut self) -> Bytes {
        std::mem::take(&mut self.read_already)
    }

    /// Reads what there is; 0 at the end. Cancel-safe.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match &self.stream {
                ClientStream::Unix(stream) => {
                    stream.readable().await?;
                    stream.try_read(buffer)
                }
                ClientStream::Tcp(stream) => {
                    stream.readable().await?;
                    stream.try_read(buffer)
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// Writes everything. Not cancel-safe: part of it may have been written.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let result = match &self.stream {
                ClientStream::Unix(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
                ClientStream::Tcp(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until a client on a Unix socket has read what was written so far, at most [`LINGER`]. A no-op over TCP, which cannot tell.
    ///
    /// Some clients read the head of the answer through a buffer and what follows past it (docker-py, for one): what arrives together
    /// with the head is lost to them. A quick command's output is in the socket before a slow client has looked at the head.
    /// Cancel-safe.
    pub(crate) async fn was_read(&self) {
        let ClientStream::Unix(stream) = &self.stream else {
            return;
        };
        // The kernel makes the socket writable anew each time the peer has emptied one of its buffers.
        // It does so before the last of what the buffer took is given back (`sock_wfree`), so whoever looks at once may still see one.
        let read = stream.async_io(Interest::WRITABLE, || match unread_by_peer(stream.as_fd()) {
            Ok(2..) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(..=1) | Err(_) => Ok(()),
        });
        drop(tokio::time::timeout(LINGER, read).await);
    }

    /// Ends the connection: closes the sending half and reads what the client still sends until it closes its own.
    ///
    /// Closing a socket with unread input resets the connection (`tcp(7)`, `unix(7)`), and the peer may lose what it has not read
    /// yet. A client that keeps its half open is not waited for longer than [`LINGER`].
    pub(crate) async fn finish(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut buffer = [0; 4096];
        let drain = async { while matches!(self.read(&mut buffer).await, Ok(1..)) {} };
        // Either way the connection is closed now.
        drop(tokio::time::timeout(LINGER, drain).await);
    }

    /// Tells, after the end of input was read, whether the client closed both directions.
    pub(crate) async fn is_gone(&self) -> bool {
        match &self.stream {
            ClientStream::Unix(stream) => stream
                .ready(Interest::WRITABLE)
                .await
                .is_ok_and(|ready| ready.is_write_closed()),
            ClientStream::Tcp(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_follows_waits_until_the_client_has_read_the_head() {
        let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
        let io = ClientIo::new(ClientStream::Unix(ours), Bytes::new());
        io.was_read().await;
        io.write_all(b"head").await.expect("write");
        let mut waiting = Box::pin(io.was_read());
        for _ in 0..10 {
            assert!(futures_util::poll!(&mut waiting).is_pending());
            tokio::task::yield_now().await;
        }
        let mut head = [0; 64];
        assert_eq!(theirs.read(&mut head).await.expect("read"), 4);
        assert!(LINGER > Duration::from_secs(1));
        tokio::time::timeout(LINGER.mul_f32(0.9), waiting)
            .await
            .expect("woken by the read, not by the time");
        io.write_all(b"lost").await.expect("write");
        let waiting = io.was_read();
        drop(theirs);
        tokio::time::timeout(LINGER.mul_f32(0.9), waiting)
            .await
            .expect("nobody is waited for who has gone");
    }

    #[tokio::test]
    async fn half_closed_is_not_gone() {
        let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
        let mut io = ClientIo::new(ClientStream::Unix(ours), Bytes::from_static(b"ab"));
        theirs.write_all(b"cd").await.expect("write");
        theirs.shutdown().await.expect("half close");
        let mut input = [0; 8];
        assert_eq!(io.take_read_already(), "ab");
        assert_eq!(io.read(&mut input).await.expect("read"), 2);
        assert_eq!(io.read(&mut input).await.expect("read"), 0);
        assert!(!io.is_gone().await);
        drop(theirs);
        // The event has to pass through the runtime first.
        let gone = async {
            while !io.is_gone().await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone)
            .await
            .expect("seen as gone");
    }
}
