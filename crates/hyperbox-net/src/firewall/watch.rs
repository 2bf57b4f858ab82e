// SPDX-License-Identifier: MIT
//! Notices when somebody else changes nftables, and has the firewall restore what is ours.
//!
//! The kernel announces every transaction, change by change, and at its end the process that made it. Our own are passed over. One thread,
//! asleep but for such announcements; it ends with the firewall. After each look it pauses, so that others may change much and often, and two
//! programs that remove each other's rules do not take a processor.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink};

use crate::netlink::{Attributes, Messages, text};

use super::firewall::Firewall;
use super::foreign;
use super::message::STRUCTURE;

/// `NFNLGRP_NFTABLES` as a bit.
const GROUP: u32 = 1 << 6;
const SUBSYSTEM: u16 = 10;
/// `NFT_MSG_NEWGEN`: the end of a transaction.
const NEW_GENERATION: u16 = 15;
const PAUSE: Duration = Duration::from_millis(100);
const BUFFER: usize = 64 * 1024;
const STACK: usize = 256 * 1024;

/// A handle of the thread.
#[derive(Debug)]
pub(super) struct Watch {
    /// Closing it ends the thread.
    _end: UnixStream,
}

impl Watch {
    /// Starts the thread in the network namespace of the calling thread.
    pub(super) fn start(firewall: &Arc<Firewall>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::NETFILTER);
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUP))?;
        let (end, ended) = UnixStream::pair()?;
        let firewall = Arc::downgrade(firewall);
        let thread = std::thread::Builder::new()
            .name("net-firewall".to_owned())
            .stack_size(STACK);
        thread.spawn(move || {
            if let Err(error) = run(&socket, &ended, &firewall) {
                tracing::warn!(%error, "changes of nftables are not noticed any more");
            }
        })?;
        Ok(Self { _end: end })
    }
}

fn run(socket: &OwnedFd, ended: &UnixStream, firewall: &Weak<Firewall>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut concerned = false;
    while !has_ended(ended, Some(socket), None)? {
        let Some(strong) = firewall.upgrade() else {
            return Ok(());
        };
        let table = strong.table().to_owned();
        let noticed = notice(socket, &mut buffer, &table, &mut concerned)?;
        if noticed {
            restore(&strong);
            drop(strong);
            if has_ended(ended, None, Some(PAUSE))? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Waits for something to read from the socket, or for the end of the thread, or for the time.
fn has_ended(ended: &UnixStream, socket: Option<&OwnedFd>, time: Option<Duration>) -> io::Result<bool> {
    let mut descriptors = vec![PollFd::new(ended, PollFlags::IN)];
    descriptors.extend(socket.map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)));
    let time = time.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    match poll(&mut descriptors, time.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(!descriptors[0].revents().is_empty()),
        Err(error) => Err(error.into()),
    }
}

/// Reads all announcements that are there; returns whether one of somebody else's transactions may concern us. `concerned` carries
/// over a transaction whose end has not been read.
fn notice(socket: &OwnedFd, buffer: &mut [u8], table: &str, concerned: &mut bool) -> io::Result<bool> {
    let mut noticed = false;
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, length)) => {
                for received in Messages(&buffer[..length.min(buffer.len())]) {
                    noticed |= read(received.kind, received.body, table, concerned);
                }
            }
            Err(Errno::AGAIN) => return Ok(noticed),
            Err(Errno::INTR) => {}
            // Announcements were lost.
            Err(Errno::NOBUFS) => noticed = true,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads one announcement; returns whether it ends somebody else's transaction that may concern us.
fn read(kind: u16, body: &[u8], table: &str, concerned: &mut bool) -> bool {
    if kind >> 8 != SUBSYSTEM {
        return false;
    }
    let attributes = Attributes::after(body, STRUCTURE);
    if kind & 0xff == NEW_GENERATION {
        // NFTA_GEN_PROC_PID; as the machine's first process counts, so that ours may look like another's: that costs one check.
        let process = attributes
            .find(2)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes);
        let foreign = process != Some(std::process::id());
        return std::mem::take(concerned) && foreign;
    }
    // The first attribute of every other announcement names the table.
    let named = attributes.find(1).and_then(text);
    *concerned |= named.is_some_and(|name| name == table || foreign::concerns(name));
    false
}

fn restore(firewall: &Firewall) {
    let table = firewall.table();
    match firewall.reassert() {
        Ok(false) => {}
        Ok(true) => tracing::warn!(table, "somebody changed our nftables rules: they were restored"),
        Err(error) => tracing::warn!(table, %error, "cannot restore the nftables rules"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![1, 0, 0, 0];
        for (kind, value) in attributes {
            body.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body
    }

    #[test]
    fn only_others_changes_of_our_tables_matter() {
        let (mine, other) = (std::process::id().to_be_bytes(), 1_u32.to_be_bytes());
        for (name, process, expected) in [
            (&b"hyperbox\0"[..], other, true),
            (b"hyperbox\0", mine, false),
            (b"hyperbox-second\0", other, false),
            (b"filter\0", other, true),
            (b"nat\0", other, false),
        ] {
            let mut concerned = false;
            assert!(!read(0x0a08, &announcement(&[(1, name)]), "hyperbox", &mut concerned));
            let end = announcement(&[(1, &[0; 4]), (2, &process)]);
            assert_eq!(read(0x0a0f, &end, "hyperbox", &mut concerned), expected, "{name:?}");
            assert!(!read(0x0a0f, &end, "hyperbox", &mut concerned), "it has been told");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_announcement_is_read_without_panic(
            kind in proptest::prelude::any::<u16>(),
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100),
        ) {
            read(kind, &body, "hyperbox", &mut false);
        }
    }
}
