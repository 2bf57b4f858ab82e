// SPDX-License-Identifier: MIT
//! Makes network namespaces ahead of time, on a thread of its own.
//!
//! `unshare(2)` moves the calling thread, which no thread of a runtime may suffer. This thread makes a namespace, sets its loopback link
//! up, goes back, and waits to hand the namespace over; one is so always ready (about 200 KiB of kernel memory), and making the next
//! overlaps with using this one. The thread ends when the driver does. A namespace nobody took goes with its descriptor.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hyperbox_sys::network_namespace;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netlink::{Family, Socket};
use crate::route;

/// Index of the loopback link in every namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;
const STACK: usize = 128 * 1024;

/// A namespace with its loopback link up, and a socket that speaks for it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) namespace: OwnedFd,
    pub(crate) route: Socket,
}

/// Where namespaces come from.
#[derive(Debug)]
pub(crate) struct Namespaces {
    ready: Receiver<io::Result<Prepared>>,
}

impl Namespaces {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let home = network_namespace::current()?;
        let (sender, ready) = sync_channel(0);
        let thread = std::thread::Builder::new()
            .name("net-namespaces".to_owned())
            .stack_size(STACK);
        thread.spawn(move || run(&home, &sender))?;
        Ok(Self { ready })
    }

    /// Takes the prepared namespace, waiting while it is being made.
    pub(crate) fn take(&self) -> io::Result<Prepared> {
        let stopped = |_| io::Error::other("the thread that makes namespaces has stopped");
        self.ready.recv().map_err(stopped)?
    }
}

fn run(home: &OwnedFd, sender: &SyncSender<io::Result<Prepared>>) {
    loop {
        let prepared = prepare();
        // A thread that cannot go back would keep that namespace alive and make sockets in the wrong place: it must end.
        let returned = move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network));
        if sender.send(prepared).is_err() || returned.is_err() {
            return;
        }
    }
}

/// Leaves the thread in the new namespace.
fn prepare() -> io::Result<Prepared> {
    let namespace = network_namespace::unshare_network()?;
    let mut route = Socket::open(Family::Route)?;
    route::set_up(&mut route, LOOPBACK, None)?;
    Ok(Prepared { namespace, route })
}
