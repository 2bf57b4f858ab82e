// SPDX-License-Identifier: MIT
//! A control connection with the daemon: requests in, replies and events out, never blocking.
//!
//! Nothing a peer sends can stop the shim: a request that cannot be read is answered with an error, a stream that cannot be cut
//! into messages is closed, and a peer that does not read its answers is dropped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_sys::message::{self, Decoder};
use hyperbox_types::ErrorKind;
use hyperbox_types::shim::{MAX_MESSAGE, ShimCall, ShimError, ShimMessage, ShimReply, ShimRequest};
use rustix::event::PollFlags;
use serde::Deserialize;

use crate::failure::failure;

/// Answers in bytes that may wait for a peer.
const BACKLOG_LIMIT: usize = 16 * 1024 * 1024;

/// One control connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    decoder: Decoder,
    backlog: Vec<u8>,
    sent: usize,
    requests: u64,
    dead: bool,
}

/// A request with the descriptors that came with it.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The request's number.
    pub(crate) sequence: u64,
    /// What is asked, or why it cannot be understood.
    pub(crate) call: Result<ShimCall, ShimError>,
    /// The descriptors.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether it is the first request on its connection.
    pub(crate) first: bool,
}

impl Connection {
    /// Takes over a connected socket.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            socket,
            decoder: Decoder::new(MAX_MESSAGE),
            backlog: Vec::new(),
            sent: 0,
            requests: 0,
            dead: false,
        })
    }

    /// Queues a message and sends what the socket takes.
    pub(crate) fn send(&mut self, message: &ShimMessage) {
        let framed = serde_json::to_vec(message).map_err(io::Error::other);
        match framed.and_then(|payload| message::frame(&payload, MAX_MESSAGE)) {
            Ok(bytes) => self.backlog.extend_from_slice(&bytes),
            Err(_) => self.dead = true,
        }
        self.flush();
        if self.backlog.len() - self.sent > BACKLOG_LIMIT {
            self.dead = true;
        }
    }

    /// Queues the answer to a request.
    pub(crate) fn reply(&mut self, sequence: u64, result: Result<ShimReply, ShimError>) {
        self.send(&ShimMessage::Reply { sequence, result });
    }

    /// Returns what to wait for.
    pub(crate) fn interest(&self) -> PollFlags {
        if self.has_backlog() {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        }
    }

    /// Handles what a poll said. Complete requests are then available from [`Connection::next_request`].
    pub(crate) fn on_ready(&mut self, flags: PollFlags) {
        if flags.contains(PollFlags::OUT) {
            self.flush();
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match self.decoder.receive(&self.socket) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => self.dead = true,
            }
        }
    }

    /// Returns the next complete request.
    pub(crate) fn next_request(&mut self) -> Option<Incoming> {
        let payload = match self.decoder.next_message() {
            Ok(message) => message?,
            Err(_) => {
                self.dead = true;
                return None;
            }
        };
        self.requests += 1;
        let (sequence, call) = parse(&payload);
        let announced = match &call {
            Ok(ShimCall::Exec(exec)) => exec.fds.len(),
            _ => 0,
        };
        let (call, descriptors) = match self.decoder.take_descriptors(announced) {
            Some(descriptors) => (call, descriptors),
            None => {
                let error = failure(
                    ErrorKind::InvalidArgument,
                    "file descriptors of the request are missing",
                );
                (Err(error), Vec::new())
            }
        };
        Some(Incoming {
            sequence,
            call,
            descriptors,
            first: self.requests == 1,
        })
    }

    /// Tells whether the peer is gone or given up.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Tells whether answers wait for the peer.
    pub(crate) fn has_backlog(&self) -> bool {
        self.sent < self.backlog.len()
    }

    /// Ends the message framing: returns the socket, answers not yet sent, and bytes received beyond the last request. The
    /// connection itself is dead afterwards.
    pub(crate) fn detach(&mut self) -> io::Result<(OwnedFd, Vec<u8>, Vec<u8>)> {
        let socket = self.socket.try_clone()?;
        let unsent = self.backlog.split_off(self.sent);
        let decoder = std::mem::replace(&mut self.decoder, Decoder::new(MAX_MESSAGE));
        self.dead = true;
        Ok((socket, unsent, decoder.into_rest()))
    }

    fn flush(&mut self) {
        while !self.dead && self.has_backlog() {
            match message::send(&self.socket, &self.backlog[self.sent..], &[]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.dead = true,
            }
        }
        self.backlog = Vec::new();
        self.sent = 0;
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads a request; one that is malformed is answered under its number, if it has one.
fn parse(payload: &[u8]) -> (u64, Result<ShimCall, ShimError>) {
    #[derive(Deserialize)]
    struct Numbered {
        sequence: u64,
    }
    match serde_json::from_slice::<ShimRequest>(payload) {
        Ok(request) => (request.sequence, Ok(request.call)),
        Err(error) => {
            let sequence = serde_json::from_slice::<Numbered>(payload).map_or(0, |numbered| numbered.sequence);
            let message = format!("malformed request: {error}");
            (sequence, Err(failure(ErrorKind::InvalidArgument, message)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_cannot_be_read_keep_their_number() {
        for (payload, sequence, good) in [
            (&br#"{"sequence":7,"call":{"call":"pause"}}"#[..], 7, true),
            (br#"{"sequence":8,"call":{"call":"dance"}}"#, 8, false),
            (br#"{"sequence":9}"#, 9, false),
            (br#"{"call":{"call":"pause"}}"#, 0, false),
            (b"\xff\x00", 0, false),
            (b"", 0, false),
        ] {
            let (number, call) = parse(payload);
            assert_eq!((number, call.is_ok()), (sequence, good));
        }
    }
}
