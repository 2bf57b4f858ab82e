// SPDX-License-Identifier: MIT
//! Length-prefixed messages with file descriptors on Unix stream sockets: the transport of `hyperbox_types::shim`.
//!
//! A message is a little-endian `u32` length and that many bytes; file descriptors travel with its first byte
//! (`SCM_RIGHTS`, `unix(7)`). The kernel may deliver the end of one message and the start of the next in one read, so
//! descriptors are kept in a queue in the order of arrival, and the message that announces them takes them from its front.
//! Received descriptors are close-on-exec. Nothing here blocks unless the socket does.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// The most file descriptors that one message carries.
pub const MAX_DESCRIPTORS: usize = 16;

/// Puts the length in front of a message.
///
/// # Errors
/// `InvalidInput` when the message is longer than `limit`.
pub fn frame(payload: &[u8], limit: u32) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= limit)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "message is too long"))?;
    let mut bytes = Vec::with_capacity(payload.len() + 4);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// Sends bytes, with file descriptors on the first of them, and returns how many bytes went out.
///
/// A closed peer is an error (`BrokenPipe`), never a signal.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "too many file descriptors in one message",
        ));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let slices = [IoSlice::new(bytes)];
    loop {
        match rustix::net::sendmsg(&socket, &slices, &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Sends all bytes of a framed message on a blocking socket.
pub fn send_all(socket: impl AsFd, mut bytes: &[u8], mut descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = send(&socket, bytes, descriptors)?;
        bytes = &bytes[sent..];
        descriptors = &[];
    }
    Ok(())
}

/// Receives bytes and appends the file descriptors that came with them; `Ok(0)` is the end of the stream.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], descriptors: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(&socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            result => break result?,
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    Ok(received.bytes)
}

/// Reads exactly one message from a blocking socket; `None` when the stream ended before it.
///
/// # Errors
/// `InvalidData` when the announced length exceeds `limit`; `UnexpectedEof` inside a message.
pub fn receive_one(socket: impl AsFd, limit: u32) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut descriptors = VecDeque::new();
    let mut header = [0; 4];
    match receive_exact(&socket, &mut header, &mut descriptors)? {
        0 => return Ok(None),
        4 => {}
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    let length = checked_length(header, limit)?;
    let mut payload = vec![0; length];
    if receive_exact(&socket, &mut payload, &mut descriptors)? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((payload, descriptors.into())))
}

fn receive_exact(socket: impl AsFd, buffer: &mut [u8], descriptors: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match receive(&socket, &mut buffer[filled..], descriptors)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn checked_length(header: [u8; 4], limit: u32) -> io::Result<usize> {
    let length = u32::from_le_bytes(header);
    if length > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "announced message is too long",
        ));
    }
    usize::try_from(length).map_err(io::Error::other)
}

/// Cuts a byte stream into messages.
#[derive(Debug)]
pub struct Decoder {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
    limit: u32,
}

impl Decoder {
    /// Makes a decoder that refuses messages longer than `limit`.
    pub fn new(limit: u32) -> Self {
        Self {
            bytes: Vec::new(),
            descriptors: VecDeque::new(),
            limit,
        }
    }

    /// Receives once from the socket; `Ok(0)` is the end of the stream.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let count = receive(socket, &mut buffer, &mut self.descriptors)?;
        self.bytes.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next complete message, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// `InvalidData` when the announced length exceeds the limit; the stream is unusable from then on.
    pub fn next_message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(header) = self.bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let end = 4 + checked_length(*header, self.limit)?;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let rest = self.bytes.split_off(end);
        let mut message = std::mem::replace(&mut self.bytes, rest);
        message.drain(..4);
        Ok(Some(message))
    }

    /// Takes the oldest `count` file descriptors; `None` when fewer have arrived (all are dropped then).
    pub fn take_descriptors(&mut self, count: usize) -> Option<Vec<OwnedFd>> {
        if self.descriptors.len() < count {
            self.descriptors.clear();
            return None;
        }
        Some(self.descriptors.drain(..count).collect())
    }

    /// Returns the bytes that belong to no complete message.
    pub fn into_rest(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn messages_arrive_whole_whatever_the_cuts() {
        let messages: [&[u8]; 3] = [b"first", b"", b"the third"];
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| frame(message, 100).unwrap())
            .collect();
        for step in 1..stream.len() {
            let mut decoder = Decoder::new(100);
            let mut seen = Vec::new();
            for chunk in stream.chunks(step) {
                decoder.push(chunk);
                while let Some(message) = decoder.next_message().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, messages, "cut every {step}");
            assert!(decoder.into_rest().is_empty());
        }
    }

    #[test]
    fn long_messages_are_refused() {
        assert!(frame(&[0; 11], 10).is_err());
        let mut decoder = Decoder::new(10);
        decoder.push(&11_u32.to_le_bytes());
        assert_eq!(decoder.next_message().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn descriptors_follow_their_message() {
        let (left, right) = UnixStream::pair().unwrap();
        let (passed, kept) = UnixStream::pair().unwrap();
        send_all(&left, &frame(b"plain", 100).unwrap(), &[]).unwrap();
        send_all(&left, &frame(b"with", 100).unwrap(), &[passed.as_fd(), kept.as_fd()]).unwrap();
        drop(left);
        assert_eq!(receive_one(&right, 100).unwrap().unwrap().0, b"plain");
        let (message, descriptors) = receive_one(&right, 100).unwrap().unwrap();
        assert_eq!((message.as_slice(), descriptors.len()), (b"with".as_slice(), 2));
        assert!(receive_one(&right, 100).unwrap().is_none());
    }
}
