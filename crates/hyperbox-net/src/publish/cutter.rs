// SPDX-License-Identifier: MIT
//! Cuts known connections that publishing and withdrawing have made wrong, behind everybody's back.
//!
//! The kernel goes through its whole table for it, however few there are (10 ms of a processor): nobody waits for that, and what comes
//! within a moment, or while it is done, is done in one go. Only a container that gets the address of one whose connections are not cut yet
//! has to wait: its own would be cut with them. While somebody waits, nothing is collected.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::firewall::{Wrong, forget};
use crate::netlink::{Family, Socket};

const STACK: usize = 256 * 1024;
/// A datagram may be on its way through the kernel while the rules change: its flow shows in the table only afterwards, and would live for as
/// long as its client goes on.
const SECOND_LOOK: Duration = Duration::from_millis(500);
/// How long orders are collected: containers of a project go together, and going through the table takes a processor 10 ms where it has
/// 262144 buckets, each of which the kernel locks. So that is done when no order has come for a moment, or after [`PATIENCE`].
const MOMENT: Duration = Duration::from_millis(50);
/// How long an order waits at most.
const PATIENCE: Duration = Duration::from_millis(300);

/// A handle of the thread, which finishes what it was told when the handle is dropped.
#[derive(Debug)]
pub(super) struct Cutter {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    todo: Mutex<Todo>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Todo {
    /// Addresses of containers that are gone, each with the number of its last order.
    containers: BTreeMap<IpAddr, u64>,
    datagrams: Vec<(SocketAddr, SocketAddr)>,
    /// What is looked for once more, and when; the soonest first.
    again: VecDeque<(Instant, Vec<(SocketAddr, SocketAddr)>)>,
    orders: u64,
    /// When the oldest order came that is not done yet, and the latest.
    since: Option<(Instant, Instant)>,
    /// How many wait for orders to be done.
    waiting: usize,
    ended: bool,
}

impl Cutter {
    /// Starts the thread in the network namespace of the calling thread.
    pub(super) fn start() -> io::Result<Self> {
        let mut socket = Socket::open(Family::Netfilter)?;
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("net-connections".to_owned())
            .stack_size(STACK);
        thread.spawn(move || while own.cut(&mut socket) {})?;
        Ok(Self { shared })
    }

    /// Orders that connections to containers be cut that were translated to these addresses.
    pub(super) fn cut(&self, containers: &[IpAddr]) {
        let mut todo = self.shared.lock();
        todo.orders += 1;
        let order = todo.orders;
        let now = Instant::now();
        todo.since.get_or_insert((now, now)).1 = now;
        todo.containers
            .extend(containers.iter().map(|address| (*address, order)));
        self.shared.changed.notify_all();
    }

    /// Orders that UDP flows be cut that were there before ports were published: places of the host, and their targets.
    pub(super) fn cut_datagrams(&self, ports: Vec<(SocketAddr, SocketAddr)>) {
        if !ports.is_empty() {
            let mut todo = self.shared.lock();
            todo.again.push_back((Instant::now() + SECOND_LOOK, ports.clone()));
            todo.datagrams.extend(ports);
            self.shared.changed.notify_all();
        }
    }

    /// Waits until no connection to these addresses waits to be cut.
    pub(super) fn wait_for(&self, containers: &[IpAddr]) {
        let mut todo = self.shared.lock();
        todo.waiting += 1;
        self.shared.changed.notify_all();
        while containers.iter().any(|address| todo.containers.contains_key(address)) {
            todo = self.shared.wait(todo);
        }
        todo.waiting -= 1;
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Todo {
    /// When there is something to do next.
    fn due(&self, now: Instant) -> Option<Instant> {
        let orders = match self.since {
            // New ports do not wait for old flows to go by themselves.
            _ if !self.datagrams.is_empty() => Some(now),
            Some(_) if self.waiting > 0 || self.ended => Some(now),
            since => since.map(|(oldest, latest)| (latest + MOMENT).min(oldest + PATIENCE)),
        };
        // A second look is not worth a longer end.
        let again = self.again.front().filter(|_| !self.ended).map(|(due, _)| *due);
        orders.into_iter().chain(again).min()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, todo: MutexGuard<'a, Todo>) -> MutexGuard<'a, Todo> {
        self.changed.wait(todo).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for orders and does them; returns whether there can be more.
    fn cut(&self, socket: &mut Socket) -> bool {
        let mut todo = self.lock();
        loop {
            let now = Instant::now();
            if todo.again.front().is_some_and(|(due, _)| *due <= now) {
                let ports = todo.again.pop_front().map(|(_, ports)| ports);
                todo.datagrams.extend(ports.unwrap_or_default());
            }
            let Some(due) = todo.due(now) else {
                if todo.ended {
                    return false;
                }
                todo = self.wait(todo);
                continue;
            };
            if due <= now {
                break;
            }
            let waited = self.changed.wait_timeout(todo, due.saturating_duration_since(now));
            todo = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        todo.since = None;
        let last = todo.orders;
        let wrong = Wrong {
            containers: todo.containers.keys().copied().collect::<BTreeSet<_>>(),
            datagrams: std::mem::take(&mut todo.datagrams),
        };
        drop(todo);
        match forget(socket, &wrong) {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "cut connections"),
            Err(error) => tracing::warn!(%error, "connections to removed containers may live on"),
        }
        // What was ordered again meanwhile is done again.
        self.lock().containers.retain(|_, order| *order > last);
        self.changed.notify_all();
        true
    }
}
