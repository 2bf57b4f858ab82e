// SPDX-License-Identifier: MIT
//! Notices when somebody else changes nftables, and has the firewall restore what is ours.
//!
//! The kernel announces every transaction, change by change, and at its end the thread that made it (`nf_tables_fill_gen_info` of
//! `net/netfilter/nf_tables_api.c`). Those of our own threads are passed over: a look at everything for each port that is published would cost more
//! than the port. One thread, asleep but for such announcements; it ends with the firewall. After each look it pauses, so that others may change much and often, and two
//! programs that remove each other's rules do not take a processor.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink};

use crate::netlink::{Attributes, Messages, text};
use crate::watch::has_ended;

use super::firewall::Firewall;
use super::foreign;
use super::message::STRUCTURE;

/// `PROC_PID_INIT_INO` of the kernel's `include/linux/proc_ns.h`.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";
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
        let socket = listen()?;
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

/// Opens a socket that is told of every change in the network namespace of the calling thread.
fn listen() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Some(netlink::NETFILTER);
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUP))?;
    Ok(socket)
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

/// Reads all announcements that are there; returns whether one of somebody else's transactions may concern us. `concerned` carries
/// over a transaction whose end has not been read.
fn notice(socket: &OwnedFd, buffer: &mut [u8], table: &str, concerned: &mut bool) -> io::Result<bool> {
    let mut noticed = false;
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, length)) => {
                for received in Messages(&buffer[..length.min(buffer.len())]) {
                    noticed |= read(received.kind, received.body, table, concerned, is_ours);
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
fn read(kind: u16, body: &[u8], table: &str, concerned: &mut bool, is_ours: impl Fn(u32) -> bool) -> bool {
    if kind >> 8 != SUBSYSTEM {
        return false;
    }
    let attributes = Attributes::after(body, STRUCTURE);
    if kind & 0xff == NEW_GENERATION {
        // NFTA_GEN_PROC_PID, which is the id of a thread.
        let thread = attributes
            .find(2)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes);
        return std::mem::take(concerned) && !thread.is_some_and(is_ours);
    }
    // The first attribute of every other announcement names the table.
    let named = attributes.find(1).and_then(text);
    *concerned |= named.is_some_and(|name| name == table || foreign::concerns(name));
    false
}

/// Returns whether a thread is one of this process. The id counts from the machine's first process, so that in another namespace of process
/// ids somebody else's may equal one of ours: there, nobody is taken for ours, which costs one look, as for a thread that has just ended.
fn is_ours(thread: u32) -> bool {
    static COUNTS_AS_WE_DO: LazyLock<bool> = LazyLock::new(|| is_first(Path::new("/proc/self/ns/pid")));
    *COUNTS_AS_WE_DO && std::fs::exists(format!("/proc/self/task/{thread}")).unwrap_or_default()
}

/// Tells whether a namespace of process ids is the machine's first.
fn is_first(namespace: &Path) -> bool {
    std::fs::read_link(namespace).is_ok_and(|name| name == Path::new(FIRST_NAMESPACE))
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
    use std::collections::BTreeMap;

    use hyperbox_core::seam::NetworkSettings;
    use hyperbox_testkit::network_id;

    use super::super::network::NetworkRules;
    use super::*;

    fn settings() -> NetworkSettings {
        NetworkSettings {
            id: network_id(),
            name: "own".to_owned(),
            link: "br-own".to_owned(),
            pools: Vec::new(),
            mtu: 1500,
            internal: false,
            options: BTreeMap::new(),
        }
    }

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
            let mut read = |kind, body: &[u8]| {
                let is_mine = |thread| thread == std::process::id();
                read(kind, body, "hyperbox", &mut concerned, is_mine)
            };
            assert!(!read(0x0a08, &announcement(&[(1, name)])));
            let end = announcement(&[(1, &[0; 4]), (2, &process)]);
            assert_eq!(read(0x0a0f, &end), expected, "{name:?}");
            assert!(!read(0x0a0f, &end), "it has been told");
        }
    }

    #[test]
    fn ids_of_threads_mean_something_in_the_first_namespace_only() {
        let directory = tempfile::tempdir().unwrap();
        for (number, (name, expected)) in [("pid:[4026531836]", true), ("pid:[4026532201]", false)]
            .into_iter()
            .enumerate()
        {
            let path = directory.path().join(number.to_string());
            std::os::unix::fs::symlink(name, &path).unwrap();
            assert_eq!(is_first(&path), expected, "{name}");
        }
        assert!(!is_first(&directory.path().join("missing")));
    }

    /// The kernel says which thread it was, so that only a thread beside the first shows whether it is recognised.
    #[test]
    fn privileged_what_our_threads_change_is_passed_over() {
        let work = || {
            let _home = hyperbox_sys::network_namespace::unshare_network()
                .expect("this test needs root: it makes a network namespace");
            let announcements = listen().unwrap();
            let firewall = Firewall::open("own", "/nonexistent/bus".into()).unwrap();
            let mut buffer = vec![0; BUFFER];
            let mut noticed = || notice(&announcements, &mut buffer, firewall.table(), &mut false).unwrap();
            firewall.ensure(NetworkRules::of(&settings()).unwrap()).unwrap();
            let is_recognised = is_first("/proc/self/ns/pid".as_ref());
            assert_eq!(noticed(), !is_recognised, "our own change");
            let table = firewall.table();
            let rule = ["add", "rule", "inet", table, "forward", "accept"];
            assert!(std::process::Command::new("nft").args(rule).status().unwrap().success());
            assert!(noticed(), "somebody else's change");
        };
        std::thread::spawn(work).join().unwrap();
    }

    proptest::proptest! {
        #[test]
        fn any_announcement_is_read_without_panic(
            kind in proptest::prelude::any::<u16>(),
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100),
        ) {
            read(kind, &body, "hyperbox", &mut false, |_| false);
        }
    }
}
