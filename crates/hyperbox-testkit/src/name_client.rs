// SPDX-License-Identifier: MIT
//! A client of name servers: one question, one answer, no retries and no memory.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// After this an answer is taken for lost: longer than any server asks others.
const LOST: Duration = Duration::from_secs(10);

/// Returns a question with recursion desired.
///
/// # Panics
/// When this is no name.
pub fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(0x5a17, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    message.add_query(Query::query(name, record_type));
    message
}

/// Asks by a datagram and waits for the answer.
///
/// # Errors
/// When nobody listens there, or does not answer.
///
/// # Panics
/// When the answer cannot be read.
pub async fn ask(server: SocketAddr, message: &Message) -> io::Result<Message> {
    let bytes = message.to_vec().map_err(io::Error::other)?;
    let answer = exchange(server, &bytes).await?;
    let answer = Message::from_vec(&answer).expect("an answer");
    assert_eq!(answer.metadata.id, message.metadata.id);
    Ok(answer)
}

/// Sends a datagram and waits for another.
///
/// # Errors
/// When nobody listens there, or does not answer.
pub async fn exchange(server: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    let length = timeout(LOST, socket.recv(&mut answer)).await??;
    answer.truncate(length);
    Ok(answer)
}

/// Asks several questions by one connection, all at once, and returns the answers as they come.
///
/// # Errors
/// When nobody listens there, or the server ends the connection early.
///
/// # Panics
/// When an answer cannot be read.
pub async fn ask_by_connection(server: SocketAddr, messages: &[Message]) -> io::Result<Vec<Message>> {
    let mut stream = TcpStream::connect(server).await?;
    for message in messages {
        let bytes = message.to_vec().map_err(io::Error::other)?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream
            .write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat())
            .await?;
    }
    let mut answers = Vec::new();
    for _ in messages {
        let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut bytes).await?;
        answers.push(Message::from_vec(&bytes).expect("an answer"));
    }
    Ok(answers)
}

/// Returns the addresses in an answer, in order.
pub fn addresses(answer: &Message) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    answer
        .answers
        .iter()
        .filter_map(|record| address(&record.data))
        .collect()
}
