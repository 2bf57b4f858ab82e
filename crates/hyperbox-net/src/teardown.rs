// SPDX-License-Identifier: MIT
//! Removes host links that are left, behind everybody's back.
//!
//! The kernel destroys a veth pair some time after its namespace has died. A released endpoint's link is therefore usually gone, or about
//! to go, by itself; removing it costs 20–30 ms of the kernel's lock for links. So names are collected for a while, and what is then
//! still there is removed in one go. The queue is bounded: what does not fit, and what a crash forgets, the next start removes.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crate::netlink::{Family, Socket};
use crate::route;

/// How long the kernel gets to do it itself.
const GRACE: Duration = Duration::from_secs(1);
const QUEUE: usize = 4096;
const STACK: usize = 128 * 1024;

/// A handle of the thread; when the last one is dropped what is queued is removed at once and the thread ends.
#[derive(Debug, Clone)]
pub(crate) struct Teardown {
    queue: SyncSender<String>,
}

impl Teardown {
    /// Starts the thread in the network namespace of the calling thread.
    pub(crate) fn start() -> io::Result<Self> {
        let socket = Socket::open(Family::Route)?;
        let (queue, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("net-teardown".to_owned())
            .stack_size(STACK);
        thread.spawn(move || run(socket, &receiver))?;
        Ok(Self { queue })
    }

    /// Queues a host link.
    pub(crate) fn remove_later(&self, link: String) {
        match self.queue.try_send(link) {
            Ok(()) => {}
            Err(TrySendError::Full(link) | TrySendError::Disconnected(link)) => {
                tracing::warn!(%link, "host link is left to the next start");
            }
        }
    }
}

fn run(mut socket: Socket, receiver: &Receiver<String>) {
    while let Ok(first) = receiver.recv() {
        let mut links = vec![first];
        let end = Instant::now() + GRACE;
        let connected = collect(receiver, &mut links, end);
        match route::remove_all(&mut socket, &links) {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "removed host links that outlived their containers"),
            Err(error) => tracing::warn!(%error, "cannot remove host links"),
        }
        if !connected {
            return;
        }
    }
}

/// Collects names until the end of the grace time; returns whether more can come.
fn collect(receiver: &Receiver<String>, links: &mut Vec<String>, end: Instant) -> bool {
    while links.len() < QUEUE {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(link) => links.push(link),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
    true
}
