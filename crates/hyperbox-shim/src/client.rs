// SPDX-License-Identifier: MIT
//! One attached stream: framed (or, with a terminal, raw) output towards the daemon, raw standard input back.
//!
//! What the socket does not take at once waits in a bounded backlog; while a client's backlog is over [`HIGH_WATER`] the shim
//! stops reading the container's output, as Docker does. A client that went away is dropped, never waited for; input that it
//! sent before is still delivered.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_sys::message;
use hyperbox_types::run::Streams;
use hyperbox_types::stream::{self, Channel};
use rustix::event::PollFlags;
use rustix::net::Shutdown;

/// Backlog in bytes above which no more output is read for anybody.
const HIGH_WATER: usize = 64 * 1024;

/// Backlog in bytes above which a client of a process that has ended is given up: what a process leaves in its pipes is less.
const LIMIT: usize = 8 * 1024 * 1024;

/// An attached stream.
#[derive(Debug)]
pub(crate) struct Client {
    socket: OwnedFd,
    streams: Streams,
    framed: bool,
    backlog: Vec<u8>,
    sent: usize,
    input_ended: bool,
    output_dead: bool,
    finishing: bool,
    hung_up: bool,
}

impl Client {
    /// Takes over a connected socket. `first` goes out before any output: the reply to the request that attached it.
    pub(crate) fn new(socket: OwnedFd, streams: Streams, framed: bool, first: Vec<u8>) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let mut client = Self {
            socket,
            streams,
            framed,
            backlog: first,
            sent: 0,
            input_ended: !streams.stdin,
            output_dead: false,
            finishing: false,
            hung_up: false,
        };
        client.flush();
        Ok(client)
    }

    /// Tells whether the client keeps up.
    pub(crate) fn keeps_up(&self) -> bool {
        self.output_dead || self.backlog.len() - self.sent < HIGH_WATER
    }

    /// Sends output, if the client wants that stream.
    pub(crate) fn output(&mut self, channel: Channel, bytes: &[u8]) {
        let wanted = match channel {
            Channel::Stderr => self.streams.stderr,
            _ => self.streams.stdout,
        };
        if !wanted || self.output_dead {
            return;
        }
        for chunk in bytes.chunks(stream::MAX_PAYLOAD) {
            if self.framed {
                let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                self.backlog.extend_from_slice(&stream::header(channel, length));
            }
            self.backlog.extend_from_slice(chunk);
        }
        self.flush();
        if self.backlog.len() - self.sent > LIMIT {
            self.output_dead = true;
        }
    }

    /// Announces that no output follows; the stream ends once the backlog is delivered.
    pub(crate) fn finish(&mut self) {
        self.finishing = true;
        self.flush();
    }

    /// Returns what to wait for; `None` for nothing at all, not even the peer's end.
    pub(crate) fn interest(&self, input_wanted: bool) -> Option<PollFlags> {
        let mut flags = PollFlags::empty();
        if !self.input_ended && input_wanted {
            flags |= PollFlags::IN;
        }
        if !self.output_dead && self.sent < self.backlog.len() {
            flags |= PollFlags::OUT;
        }
        // The end of the peer is always reported; once it is known it must not wake the loop again and again.
        (!flags.is_empty() || !self.hung_up).then_some(flags)
    }

    /// Continues with the backlog and notes the peer's end.
    pub(crate) fn on_ready(&mut self, flags: PollFlags) {
        if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.hung_up = true;
            self.output_dead = true;
        }
        if flags.contains(PollFlags::OUT) {
            self.flush();
        }
    }

    /// Reads input into `buffer`; `None` when there is nothing now. `Some(0)` is its end and comes once.
    pub(crate) fn read_input(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.input_ended {
            return None;
        }
        // Descriptors that somebody sends along are dropped at once.
        match message::receive(&self.socket, buffer, &mut VecDeque::new()) {
            Ok(count) => {
                self.input_ended = count == 0;
                Some(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => {
                self.input_ended = true;
                self.output_dead = true;
                Some(0)
            }
        }
    }

    /// Tells whether nothing is left to do for this client.
    pub(crate) fn is_over(&self) -> bool {
        let delivered = self.output_dead || (self.finishing && self.sent == self.backlog.len());
        delivered && (self.input_ended || self.finishing)
    }

    fn flush(&mut self) {
        while !self.output_dead && self.sent < self.backlog.len() {
            match message::send(&self.socket, &self.backlog[self.sent..], &[]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.output_dead = true,
            }
        }
        self.backlog.clear();
        self.backlog.shrink_to(4096);
        self.sent = 0;
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Closing a Unix socket with unread bytes in it makes the peer's next read fail instead of end: refuse more input,
        // then take what is there. The peer may be gone already.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
        let mut buffer = [0; 4096];
        while matches!(
            message::receive(&self.socket, &mut buffer, &mut VecDeque::new()),
            Ok(1..)
        ) {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    const ALL: Streams = Streams {
        stdin: true,
        stdout: true,
        stderr: true,
    };

    fn pair(streams: Streams) -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Client::new(ours.into(), streams, true, Vec::new()).unwrap(), theirs)
    }

    #[test]
    fn output_is_framed_and_ends() {
        let (mut client, mut peer) = pair(ALL);
        client.output(Channel::Stdout, b"out");
        client.output(Channel::Stderr, b"err!");
        assert!(!client.is_over());
        client.finish();
        assert!(client.is_over());
        drop(client);
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x04err!");
    }

    #[test]
    fn unwanted_streams_are_left_out() {
        let (mut client, mut peer) = pair(Streams {
            stderr: true,
            ..Streams::default()
        });
        client.output(Channel::Stdout, b"out");
        client.finish();
        drop(client);
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_slow_client_is_noticed_and_gets_everything() {
        let (mut client, mut peer) = pair(ALL);
        let chunk = [b'x'; 32 * 1024];
        let mut chunks = 0;
        while client.keeps_up() {
            client.output(Channel::Stdout, &chunk);
            chunks += 1;
            assert!(chunks < 1000, "backlog never grows");
        }
        client.finish();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            peer.read_to_end(&mut bytes).unwrap();
            bytes.len()
        });
        while !client.is_over() {
            let mut fds = [rustix::event::PollFd::new(&client, client.interest(false).unwrap())];
            rustix::event::poll(&mut fds, None).unwrap();
            let flags = fds[0].revents();
            client.on_ready(flags);
        }
        drop(client);
        assert_eq!(reader.join().unwrap(), chunks * (chunk.len() + 8));
    }

    #[test]
    fn input_of_a_client_that_left_is_still_read() {
        let (mut client, mut peer) = pair(ALL);
        peer.write_all(b"last words").unwrap();
        drop(peer);
        client.on_ready(PollFlags::HUP | PollFlags::IN);
        assert!(!client.is_over());
        let mut buffer = [0; 64];
        assert_eq!(client.read_input(&mut buffer), Some(10));
        assert_eq!(client.read_input(&mut buffer), Some(0));
        assert!(client.is_over());
        assert_eq!(client.interest(true), None);
    }

    #[test]
    fn unread_input_does_not_break_the_peers_end_of_stream() {
        let (mut client, mut peer) = pair(ALL);
        peer.write_all(b"ignored").unwrap();
        client.output(Channel::Stdout, b"x");
        client.finish();
        drop(client);
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 9);
    }
}
