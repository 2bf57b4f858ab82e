// SPDX-License-Identifier: MIT
//! The session of an attached WebSocket: both directions until either ends.
//!
//! One loop writes, so that frames never mix: what the reading loop has to answer reaches it through a channel. Without a terminal the
//! engine's output is in Docker's frames, whose heads are taken away: a WebSocket client gets both channels as one stream.

use std::io;

use hyperbox_core::container::Attached;
use hyperbox_core::seam::AttachIo;
use hyperbox_types::stream::{HEADER_LEN, parse_header};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::frame::{Incoming, Kind, Reader, close, header};
use crate::client_io::ClientIo;
use crate::hijack::{Ending, Input};

const BUFFER: usize = 32 * 1024;
/// Section 7.4.1: all was said.
pub(super) const NORMAL: u16 = 1000;
/// Section 7.4.1: the peer does not speak the protocol.
pub(super) const PROTOCOL_ERROR: u16 = 1002;

/// Moves bytes between a client and an attached stream until either ends; output goes in frames of `kind`.
pub(crate) async fn pump(mut client: ClientIo, attached: Attached, kind: Kind, input: Input) -> Ending {
    let first = client.take_read_already();
    let plain = Plain {
        framed: !attached.terminal,
        ..Plain::default()
    };
    let (from, to) = tokio::io::split(attached.io);
    let (answers, asked) = mpsc::channel(8);
    let ending = {
        let output = write(from, &client, kind, plain, asked);
        let input = read(&client, &first, to, input, answers);
        tokio::pin!(output, input);
        tokio::select! {
            biased;
            ending = &mut output => ending,
            ending = &mut input => ending,
        }
    };
    let status = if ending == Ending::Malformed {
        PROTOCOL_ERROR
    } else {
        NORMAL
    };
    if ending != Ending::ClientGone {
        // A client that is gone needs no farewell.
        drop(client.write_all(&close(status)).await);
    }
    client.finish().await;
    ending
}

async fn write(
    mut from: ReadHalf<Box<dyn AttachIo>>,
    client: &ClientIo,
    kind: Kind,
    mut plain: Plain,
    mut answers: mpsc::Receiver<Vec<u8>>,
) -> Ending {
    let mut buffer = vec![0; BUFFER];
    loop {
        let sent = tokio::select! {
            Some(payload) = answers.recv() => send(client, Kind::Pong, &payload).await,
            length = from.read(&mut buffer) => match length {
                Ok(0) | Err(_) => return Ending::OutputEnded,
                Ok(length) => {
                    let payload = plain.pass(&buffer[..length]);
                    if payload.is_empty() { Ok(()) } else { send(client, kind, &payload).await }
                }
            },
        };
        if sent.is_err() {
            return Ending::ClientGone;
        }
    }
}

pub(super) async fn send(client: &ClientIo, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let mut bytes = header(kind, payload.len());
    bytes.extend_from_slice(payload);
    client.write_all(&bytes).await
}

async fn read(
    client: &ClientIo,
    first: &[u8],
    mut to: WriteHalf<Box<dyn AttachIo>>,
    mut input: Input,
    answers: mpsc::Sender<Vec<u8>>,
) -> Ending {
    let mut reader = Reader::default();
    let mut buffer = vec![0; BUFFER];
    buffer[..first.len().min(BUFFER)].copy_from_slice(&first[..first.len().min(BUFFER)]);
    let mut length = first.len().min(BUFFER);
    let mut ahead = &first[length..];
    let mut open = input.attached;
    let mut incoming = Vec::new();
    let mut passed = Vec::new();
    let ending = loop {
        let well_formed = reader.feed(&buffer[..length], &mut incoming);
        let mut end = well_formed.err().map(|_| Ending::Malformed);
        for message in incoming.drain(..) {
            match message {
                Incoming::Data(data) => {
                    passed.clear();
                    let detached = input.pass(&data, &mut passed);
                    open = open && to.write_all(&passed).await.is_ok();
                    end = if detached { Some(Ending::Detached) } else { end };
                }
                // The writer is gone only when the session is over.
                Incoming::Ping(payload) => drop(answers.send(payload).await),
                Incoming::Close => end = Some(Ending::Closed),
            }
        }
        if let Some(end) = end {
            break end;
        }
        if ahead.is_empty() {
            length = client.read(&mut buffer).await.unwrap_or(0);
        } else {
            length = ahead.len().min(BUFFER);
            buffer[..length].copy_from_slice(&ahead[..length]);
            ahead = &ahead[length..];
        }
        if length == 0 {
            break Ending::ClientGone;
        }
    };
    if input.attached && input.closes && ending != Ending::Detached {
        // The process may have ended already.
        drop(to.shutdown().await);
    }
    ending
}

/// Takes the heads of Docker's frames away.
#[derive(Debug, Default)]
struct Plain {
    framed: bool,
    head: Vec<u8>,
    rest: usize,
}

impl Plain {
    fn pass(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        if !self.framed {
            return bytes.to_vec();
        }
        let mut payload = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            if self.rest > 0 {
                let (ours, others) = bytes.split_at(self.rest.min(bytes.len()));
                payload.extend_from_slice(ours);
                self.rest -= ours.len();
                bytes = others;
                continue;
            }
            let (head, others) = bytes.split_at((HEADER_LEN - self.head.len()).min(bytes.len()));
            self.head.extend_from_slice(head);
            bytes = others;
            if let Some(head) = self.head.first_chunk::<HEADER_LEN>() {
                let length = parse_header(*head).map_or(0, |(_, length)| length);
                self.rest = usize::try_from(length).unwrap_or(usize::MAX);
                self.head.clear();
            }
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::stream::{Channel, header as docker_header};

    use super::*;

    #[test]
    fn output_without_the_heads_of_dockers_frames() {
        let mut stream = Vec::new();
        for (channel, text) in [
            (Channel::Stdout, "one"),
            (Channel::Stderr, ""),
            (Channel::Stderr, "two"),
        ] {
            stream.extend_from_slice(&docker_header(channel, u32::try_from(text.len()).expect("short")));
            stream.extend_from_slice(text.as_bytes());
        }
        for cut in 1..stream.len() {
            let mut plain = Plain {
                framed: true,
                ..Plain::default()
            };
            let pieces: Vec<Vec<u8>> = stream.chunks(cut).map(|piece| plain.pass(piece)).collect();
            assert_eq!(pieces.concat(), b"onetwo", "{cut}");
        }
        assert_eq!(Plain::default().pass(&stream), stream);
    }
}
