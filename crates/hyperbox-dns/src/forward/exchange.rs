// SPDX-License-Identifier: MIT
//! One question to one server.
//!
//! Every exchange has a socket of its own, so a random port, and a random identifier. It ends with the future: dropping it closes the socket.
//! How long it may take is the caller's business.

use std::io;
use std::net::{SocketAddr, TcpStream as BlockingStream, UdpSocket as BlockingDatagrams};

use hyperbox_core::seam::NameServer;
use rustix::net::SocketType;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::asking::Asking;
use crate::message::{Transport, Verdict, judge};

/// The largest message.
const LARGEST: usize = u16::MAX as usize;

/// Asks one server; returns its answer in the client's terms, or `None` when it has failed.
pub(super) async fn exchange(asking: &Asking, server: NameServer) -> Option<Vec<u8>> {
    let answer = match asking.transport {
        Transport::Datagram => by_datagram(asking, server).await,
        Transport::Connection => match connect(asking, server).await {
            Ok(stream) => by_connection(asking, stream).await,
            // Not every server takes connections; what fits into a datagram it can still say.
            Err(_) => by_datagram(asking, server).await,
        },
    };
    answer.unwrap_or_else(|error| {
        tracing::debug!(server = %server.address, %error, "name server not reached");
        None
    })
}

async fn by_datagram(asking: &Asking, server: NameServer) -> io::Result<Option<Vec<u8>>> {
    let sent = with_random_id(&asking.message)?;
    let socket = asking.socket(server, SocketType::DGRAM).await?;
    let socket = UdpSocket::from_std(BlockingDatagrams::from(socket))?;
    socket.connect(SocketAddr::new(server.address, asking.port)).await?;
    socket.send(&sent).await?;
    loop {
        // That nobody listens there is reported as an error of the socket, which does not make it readable.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        let mut bytes = Vec::with_capacity(LARGEST);
        match socket.try_recv_buf(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !ready.is_error() => continue,
            Err(error) => return Err(socket.take_error()?.unwrap_or(error)),
        }
        match judge(&asking.question, &sent, bytes) {
            Verdict::Foreign => tracing::debug!(server = %server.address, "answer to another question"),
            Verdict::Failed => return Ok(None),
            Verdict::Answer(answer) => return Ok(Some(answer)),
        }
    }
}

async fn connect(asking: &Asking, server: NameServer) -> io::Result<TcpStream> {
    let socket = asking.socket(server, SocketType::STREAM).await?;
    let socket = TcpSocket::from_std_stream(BlockingStream::from(socket));
    socket.connect(SocketAddr::new(server.address, asking.port)).await
}

async fn by_connection(asking: &Asking, mut stream: TcpStream) -> io::Result<Option<Vec<u8>>> {
    let sent = with_random_id(&asking.message)?;
    let length = u16::try_from(sent.len()).map_err(io::Error::other)?;
    // One segment: some servers read the length and expect the rest to be there (RFC 7766 §8).
    stream
        .write_all(&[&length.to_be_bytes(), sent.as_slice()].concat())
        .await?;
    loop {
        let length = stream.read_u16().await?;
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await?;
        match judge(&asking.question, &sent, bytes) {
            Verdict::Foreign => {}
            Verdict::Failed => return Ok(None),
            Verdict::Answer(answer) => return Ok(Some(answer)),
        }
    }
}

/// Returns the message with an identifier that nobody can guess (RFC 5452 §9.2).
fn with_random_id(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut id = [0; 2];
    // Two octets are never given in parts, see getrandom(2).
    getrandom(&mut id, GetRandomFlags::empty())?;
    let mut message = message.to_vec();
    message
        .get_mut(..id.len())
        .ok_or(io::ErrorKind::InvalidInput)?
        .copy_from_slice(&id);
    Ok(message)
}
