// SPDX-License-Identifier: MIT
//! A netlink socket: one request at a time, blocking.
//!
//! The kernel handles a request inside `sendmsg(2)`, so acknowledgements are waiting when it returns; only dumps produce more
//! while they are read. A socket belongs to the network namespace of the thread that opened it, whoever uses it later.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::sockopt::{Timeout, set_socket_send_buffer_size_force, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::attribute::{Messages, Received, number};
use super::message::{Message, flag};

/// Dumps are cut to what the reader offers, up to 32 KiB (`netlink_dump` in the kernel).
const BUFFER: usize = 32 * 1024;
/// A guard against a kernel that never answers, not a deadline anybody is meant to meet.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a dump is repeated that somebody else's change interrupted.
const ATTEMPTS: usize = 16;

/// Datagrams up to this size fit into the send buffer that the kernel gives every socket (`net.core.wmem_default`, usually 208 KiB).
const USUAL_ROOM: usize = 64 * 1024;

const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A netlink protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Links, addresses, routes.
    Route,
    /// nftables.
    Netfilter,
}

/// A socket to the kernel.
#[derive(Debug)]
pub(crate) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    batches: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    pub(crate) fn open(family: Family) -> io::Result<Self> {
        let protocol = match family {
            // NETLINK_ROUTE is protocol 0, which rustix spells as none.
            Family::Route => None,
            Family::Netfilter => Some(netlink::NETFILTER),
        };
        let flags = SocketFlags::CLOEXEC;
        let descriptor = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        set_socket_timeout(&descriptor, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self {
            descriptor,
            sequence: 0,
            batches: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Sends one request and waits for its acknowledgement.
    pub(crate) fn request(&mut self, message: Message) -> io::Result<()> {
        self.requests(vec![message])
    }

    /// Sends several requests in one go; they are handled in order, also after one has failed.
    ///
    /// # Errors
    /// The first failure.
    pub(crate) fn requests(&mut self, messages: Vec<Message>) -> io::Result<()> {
        let results = self.results(messages)?;
        results.into_iter().collect()
    }

    /// [`Socket::requests`] with the result of each request.
    pub(crate) fn results(&mut self, messages: Vec<Message>) -> io::Result<Vec<io::Result<()>>> {
        let expected = messages.len();
        let first = self.send(messages.into_iter().map(Message::acknowledged))?;
        let mut results: Vec<Option<io::Result<()>>> = (0..expected).map(|_| None).collect();
        self.collect_answers(|message| {
            let index = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
            if let Some(result) = results.get_mut(index) {
                *result = Some(outcome(message.body));
            }
            Ok(results.iter().all(Option::is_some))
        })?;
        Ok(results
            .into_iter()
            .map(|result| result.unwrap_or_else(unanswered))
            .collect())
    }

    /// Sends an nfnetlink batch, which takes effect as a whole or not at all. Only its last message is acknowledged: the answers of many
    /// would not fit into the socket's buffer, and whatever is refused is told in any case.
    ///
    /// # Errors
    /// The first failure; then nothing was changed.
    pub(crate) fn batch(&mut self, begin: Message, messages: Vec<Message>, end: Message) -> io::Result<()> {
        let mut messages = messages;
        let Some(last) = messages.pop() else {
            return Ok(());
        };
        let number = u32::try_from(messages.len()).unwrap_or(u32::MAX).saturating_add(1);
        let wrapped = std::iter::once(begin).chain(messages).chain([last.acknowledged(), end]);
        let first = self.send(wrapped)?;
        let mut acknowledged = false;
        self.collect_answers(|message| {
            // An error of the batch as a whole carries the number of its first message.
            let place = message.sequence.wrapping_sub(first);
            if place <= number {
                outcome(message.body)?;
                acknowledged |= place == number;
            }
            Ok(acknowledged)
        })?;
        if !acknowledged {
            return unanswered();
        }
        self.batches = self.batches.wrapping_add(1);
        Ok(())
    }

    /// Returns how many batches have taken effect, modulo 2³².
    pub(crate) fn batches(&self) -> u32 {
        self.batches
    }

    /// Returns the index of a link in the socket's network namespace.
    pub(crate) fn link_index(&self, name: &str) -> io::Result<Option<u32>> {
        match name_to_index(&self.descriptor, name) {
            Ok(index) => Ok(Some(index)),
            Err(Errno::NODEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for one object and returns the body of the answer.
    pub(crate) fn query(&mut self, message: Message) -> io::Result<Vec<u8>> {
        let sequence = self.send([message])?;
        loop {
            let length = self.receive(RecvFlags::empty())?;
            for received in Messages(&self.buffer[..length]).filter(|received| received.sequence == sequence) {
                if received.kind != ERROR {
                    return Ok(received.body.to_vec());
                }
                outcome(received.body)?;
            }
        }
    }

    /// Asks for all objects and calls `each` with the body of each; starts over when a change interrupted the dump.
    pub(crate) fn dump<T>(&mut self, message: &Message, each: impl Fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        for _ in 0..ATTEMPTS {
            let sequence = self.send([message.clone()])?;
            let mut found = Vec::new();
            if self.receive_dump(sequence, |body| found.extend(each(body)))? {
                return Ok(found);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the objects kept changing while they were listed",
        ))
    }

    /// Returns whether the dump is consistent.
    fn receive_dump(&mut self, sequence: u32, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut consistent = true;
        loop {
            let length = self.receive(RecvFlags::empty())?;
            for received in Messages(&self.buffer[..length]).filter(|received| received.sequence == sequence) {
                consistent &= received.flags & flag::DUMP_INTERRUPTED == 0;
                match received.kind {
                    // A dump that fails half-way says so in its last message.
                    DONE => return outcome(received.body).map(|()| consistent),
                    ERROR => outcome(received.body)?,
                    _ => each(received.body),
                }
            }
        }
    }

    /// Calls `each` with the acknowledgements until it returns true or no more are waiting.
    fn collect_answers(&mut self, mut each: impl FnMut(Received<'_>) -> io::Result<bool>) -> io::Result<()> {
        let mut flags = RecvFlags::empty();
        let mut failure = None;
        loop {
            let length = match self.receive(flags) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !flags.is_empty() => break,
                result => result?,
            };
            for received in Messages(&self.buffer[..length]).filter(|received| received.kind == ERROR) {
                match each(received) {
                    Ok(true) => return failure.map_or(Ok(()), Err),
                    Ok(false) => {}
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            flags = RecvFlags::DONTWAIT;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sends messages in one datagram and returns the sequence number of the first.
    fn send(&mut self, messages: impl IntoIterator<Item = Message>) -> io::Result<u32> {
        let first = self.sequence.wrapping_add(1);
        let mut datagram = Vec::new();
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            datagram.extend_from_slice(&message.finish(self.sequence));
        }
        if datagram.len() > USUAL_ROOM {
            set_socket_send_buffer_size_force(&self.descriptor, datagram.len())?;
        }
        loop {
            match rustix::net::send(&self.descriptor, &datagram, SendFlags::empty()) {
                Err(Errno::INTR) => {}
                result => return result.map(|_| first).map_err(io::Error::from),
            }
        }
    }

    fn receive(&mut self, flags: RecvFlags) -> io::Result<usize> {
        loop {
            match rustix::net::recv(&self.descriptor, self.buffer.as_mut_slice(), flags | RecvFlags::TRUNC) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok((_, length)) if length > self.buffer.len() => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the kernel's answer is too long",
                    ));
                }
                Ok((_, length)) => return Ok(length),
            }
        }
    }
}

/// Reads the error number of an acknowledgement; zero is success.
fn outcome(body: &[u8]) -> io::Result<()> {
    match body.get(..4).and_then(number).map(u32::cast_signed) {
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel's answer is too short",
        )),
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
    }
}

fn unanswered() -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the kernel did not answer",
    ))
}
