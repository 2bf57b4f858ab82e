// SPDX-License-Identifier: MIT
//! Makes network namespaces ahead of time, on a thread of its own.
//!
//! `unshare(2)` moves the calling thread, which no thread of a runtime may suffer. This thread makes a namespace, sets its loopback link
//! up, goes back, and waits until another is wanted. One is always ready (about 200 KiB of kernel memory), [`USED`] while containers
//! without a network are started; who finds none doubles that, up to [`MOST`], and after [`IDLE`] without use it is one again. What is taken while
//! there is another is replaced when it is quiet: the start that took it would share its processors with that. The thread ends when the
//! last handle is dropped. A namespace nobody took goes with its descriptor.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyperbox_sys::network_namespace;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netlink::{Family, Socket};
use crate::route;

/// Index of the loopback link in every namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;
const STACK: usize = 128 * 1024;
/// How many should be ready while containers without a network are started.
const USED: usize = 2;
/// How many are ready at most.
const MOST: usize = 8;
/// How long after a start the next one is made, while there is another.
const QUIET: Duration = Duration::from_millis(25);
/// After how long without use there is one only.
const IDLE: Duration = Duration::from_secs(60);

/// A namespace with its loopback link up, and a socket that speaks for it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) namespace: OwnedFd,
    pub(crate) route: Socket,
}

/// Where namespaces come from; a handle that is shared.
#[derive(Debug, Clone)]
pub(crate) struct Namespaces {
    owner: Arc<Owner>,
}

/// Ends the thread.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.wanted.notify_all();
    }
}

#[derive(Debug)]
struct Shared {
    stock: Mutex<Stock>,
    /// The thread may have something to do.
    wanted: Condvar,
    /// Who waits may have what it waits for.
    made: Condvar,
}

/// What there is, and what there should be.
#[derive(Debug)]
struct Stock {
    ready: VecDeque<Prepared>,
    target: usize,
    /// When somebody took one last.
    taken: Instant,
    waiting: usize,
    /// Why the last one could not be made; tried again when somebody wants one.
    failed: Option<io::Error>,
    /// Nobody is there any more, or nobody makes any more.
    over: bool,
}

/// What the thread is to do.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Make,
    /// There are more than needed.
    Shrink,
    Wait(Option<Duration>),
}

/// Decides it.
fn next(ready: usize, target: usize, waiting: usize, failed: bool, unused: Duration) -> Next {
    if failed {
        // Who waits is told, and only then it is tried again.
        return Next::Wait(None);
    }
    if waiting > 0 && ready == 0 {
        return Next::Make;
    }
    if ready < target {
        return match QUIET.checked_sub(unused).filter(|rest| !rest.is_zero()) {
            Some(rest) if ready > 0 => Next::Wait(Some(rest)),
            _ => Next::Make,
        };
    }
    if target == 1 {
        return Next::Wait(None);
    }
    match IDLE.checked_sub(unused).filter(|rest| !rest.is_zero()) {
        Some(rest) => Next::Wait(Some(rest)),
        None => Next::Shrink,
    }
}

impl Namespaces {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let home = network_namespace::current()?;
        let shared = Arc::new(Shared {
            stock: Mutex::new(Stock {
                ready: VecDeque::new(),
                target: 1,
                taken: Instant::now(),
                waiting: 0,
                failed: None,
                over: false,
            }),
            wanted: Condvar::new(),
            made: Condvar::new(),
        });
        let thread = std::thread::Builder::new()
            .name("net-namespaces".to_owned())
            .stack_size(STACK);
        let theirs = Arc::clone(&shared);
        thread.spawn(move || run(&home, &theirs))?;
        Ok(Self {
            owner: Arc::new(Owner { shared }),
        })
    }

    /// Takes a namespace, waiting while one is made.
    pub(crate) fn take(&self) -> io::Result<Prepared> {
        let shared = &self.owner.shared;
        let mut stock = shared.lock();
        stock.waiting += 1;
        stock.failed = None;
        let taken = loop {
            if let Some(prepared) = stock.ready.pop_front() {
                break Ok(prepared);
            }
            if let Some(error) = stock.failed.take() {
                break Err(error);
            }
            if stock.over {
                break Err(io::Error::other("the thread that makes namespaces has stopped"));
            }
            shared.wanted.notify_one();
            stock = shared.made.wait(stock).unwrap_or_else(PoisonError::into_inner);
        };
        stock.waiting -= 1;
        stock.taken = Instant::now();
        shared.wanted.notify_one();
        taken
    }

    /// Takes a namespace for a container that starts, if one is ready; if none is, there will be more. Never waits.
    pub(crate) fn take_ready(&self) -> Option<Prepared> {
        let mut stock = self.owner.shared.lock();
        let prepared = stock.ready.pop_front();
        if prepared.is_none() {
            stock.target = (stock.target * 2).min(MOST);
        }
        // One start is followed by others: the next one shall not have to share its processors with the making of a third.
        stock.target = stock.target.max(USED);
        stock.taken = Instant::now();
        drop(stock);
        self.owner.shared.wanted.notify_one();
        prepared
    }
}

impl Shared {
    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(home: &OwnedFd, shared: &Shared) {
    let mut stock = shared.lock();
    while !stock.over {
        let (failed, unused) = (stock.failed.is_some(), stock.taken.elapsed());
        match next(stock.ready.len(), stock.target, stock.waiting, failed, unused) {
            Next::Wait(None) => stock = shared.wanted.wait(stock).unwrap_or_else(PoisonError::into_inner),
            Next::Wait(Some(rest)) => {
                let waited = shared.wanted.wait_timeout(stock, rest);
                stock = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            Next::Shrink => {
                stock.target = 1;
                let rest = stock.ready.len().min(1);
                let spare = stock.ready.split_off(rest);
                drop(stock);
                drop(spare);
                stock = shared.lock();
            }
            Next::Make => {
                drop(stock);
                let prepared = prepare();
                // A thread that cannot go back would keep that namespace alive and make sockets in the wrong place: it must end.
                let returned = move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network));
                stock = shared.lock();
                match prepared {
                    Ok(prepared) => stock.ready.push_back(prepared),
                    Err(error) => stock.failed = Some(error),
                }
                stock.over |= returned.is_err();
                shared.made.notify_all();
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_thread_does_next() {
        let (now, soon, late, idle) = (
            Duration::ZERO,
            Duration::from_millis(20),
            Duration::from_millis(30),
            IDLE,
        );
        for (ready, target, waiting, failed, unused, expected) in [
            (0, 1, 0, false, now, Next::Make),
            (1, 1, 0, false, now, Next::Wait(None)),
            // Another is there: later.
            (1, 2, 0, false, soon, Next::Wait(Some(Duration::from_millis(5)))),
            (1, 2, 0, false, late, Next::Make),
            // The last one was taken: now.
            (0, 2, 0, false, now, Next::Make),
            (2, 2, 0, false, late, Next::Wait(Some(IDLE - late))),
            (2, 2, 0, false, idle, Next::Shrink),
            // Nobody has heard of the failure.
            (0, 1, 0, true, now, Next::Wait(None)),
            (0, 1, 1, true, now, Next::Wait(None)),
            (0, 1, 1, false, now, Next::Make),
        ] {
            let next = next(ready, target, waiting, failed, unused);
            assert_eq!(
                next, expected,
                "{ready} of {target}, {waiting} wait, {failed} {unused:?}"
            );
        }
    }

    #[test]
    fn privileged_more_are_ready_where_they_are_missed() {
        let namespaces = Namespaces::start().unwrap();
        let first = namespaces.take().unwrap();
        while namespaces.take_ready().is_some() {}
        // More than before are made now.
        hyperbox_testkit::wait_for("two namespaces to be ready", || {
            match namespaces.owner.shared.lock().ready.len() {
                2.. => Ok(()),
                other => Err(format!("{other} are ready")),
            }
        });
        drop((first, namespaces));
    }
}
