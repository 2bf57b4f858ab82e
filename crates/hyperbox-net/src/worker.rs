// SPDX-License-Identifier: MIT
//! The thread that talks to the kernel: jobs run on it one after the other, in the network namespace of whoever started it.
//!
//! The kernel takes its own lock for each change of links, so a second such thread would only wait. A job whose caller has gone away
//! still runs; its result is dropped here, which closes and gives back whatever it holds. Work that nobody waits for runs when its time
//! has come and nobody else wants something.
//!
//! `setns(2)` moves the calling thread, which no thread of a runtime may suffer; this one visits other namespaces by
//! [`Kernel::inside`], and ends if it cannot come back.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use hyperbox_core::seam::{NameSockets, NetworkError};
use hyperbox_sys::network_namespace;
use hyperbox_types::ErrorKind;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use crate::error::{failed, refused};
use crate::name_rules;
use crate::namespace::{Namespaces, Prepared};
use crate::netlink::{Family, Socket};

const STACK: usize = 256 * 1024;

/// What jobs work with.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Name of the instance; what is made here is marked with it.
    pub(crate) instance: String,
    pub(crate) route: Socket,
    pub(crate) namespaces: Namespaces,
    /// Whether packets beyond 64 KiB are wished.
    pub(crate) big_packets: bool,
    home: OwnedFd,
    lost: bool,
    later: Later,
}

impl Kernel {
    /// Opens everything in the network namespace of the calling thread.
    pub(crate) fn open(instance: &str) -> io::Result<Self> {
        Ok(Self {
            instance: instance.to_owned(),
            route: Socket::open(Family::Route)?,
            namespaces: Namespaces::start()?,
            big_packets: false,
            home: network_namespace::current()?,
            lost: false,
            later: Later::default(),
        })
    }

    /// Does something on this thread inside another network namespace: opens sockets, writes sysctls.
    pub(crate) fn inside<T>(
        &mut self,
        namespace: BorrowedFd<'_>,
        body: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
        let result = body();
        if let Err(error) = move_into_link_name_space(self.home.as_fd(), Some(LinkNameSpaceType::Network)) {
            // Everything that follows would happen in the wrong place.
            self.lost = true;
            return Err(error.into());
        }
        result
    }

    /// Takes a network namespace that nobody has.
    pub(crate) fn take_namespace(&mut self, network: &str) -> Result<Prepared, NetworkError> {
        let taken = self.namespaces.take();
        taken.map_err(|source| failed(network, "make a network namespace", source))
    }

    /// Opens a socket to the links of another network namespace.
    pub(crate) fn routes_of(&mut self, namespace: BorrowedFd<'_>, network: &str) -> Result<Socket, NetworkError> {
        let socket = self.inside(namespace, || Socket::open(Family::Route));
        socket.map_err(|source| failed(network, "enter the network namespace", source))
    }

    /// Opens the sockets of the name service in another network namespace, if they are wanted.
    pub(crate) fn names_in(
        &mut self,
        namespace: BorrowedFd<'_>,
        network: &str,
        wanted: bool,
    ) -> Result<Option<NameSockets>, NetworkError> {
        let open = || self.inside(namespace, name_rules::open);
        let sockets = wanted.then(open).transpose();
        sockets.map_err(|source| failed(network, "open the name service's sockets", source))
    }

    /// Runs a job after that time, when nobody waits for another one. It is forgotten when the thread ends before.
    pub(crate) fn later(&mut self, wait: Duration, job: impl FnOnce(&mut Self) + Send + 'static) {
        self.later.push(wait, Box::new(job));
    }
}

type Job = Box<dyn FnOnce(&mut Kernel) + Send>;

/// Jobs for later, by their time; those of the same time in their order.
#[derive(Default)]
struct Later {
    jobs: BTreeMap<(Instant, u64), Job>,
    count: u64,
}

impl std::fmt::Debug for Later {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Later").field("jobs", &self.jobs.len()).finish()
    }
}

impl Later {
    fn push(&mut self, wait: Duration, job: Job) {
        self.count += 1;
        self.jobs.insert((Instant::now() + wait, self.count), job);
    }

    /// Returns how long there is nothing to do.
    fn wait(&self) -> Option<Duration> {
        let (when, _) = self.jobs.keys().next()?;
        Some(when.saturating_duration_since(Instant::now()))
    }

    fn pop_due(&mut self) -> Option<Job> {
        let first = self.jobs.first_entry()?;
        (first.key().0 <= Instant::now()).then(|| first.remove())
    }
}

/// A handle of the thread, which ends with the last job after the last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    jobs: Sender<Job>,
    namespaces: Namespaces,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(mut kernel: Kernel) -> io::Result<Self> {
        let (jobs, receiver): (Sender<Job>, Receiver<Job>) = channel();
        let namespaces = kernel.namespaces.clone();
        let thread = std::thread::Builder::new()
            .name("net-worker".to_owned())
            .stack_size(STACK);
        thread.spawn(move || {
            while let Some(job) = next(&receiver, &mut kernel.later) {
                job(&mut kernel);
                if kernel.lost {
                    tracing::error!("the network thread cannot return to its namespace and stops");
                    return;
                }
            }
        })?;
        Ok(Self { jobs, namespaces })
    }

    /// Returns where namespaces come from, for who needs nothing else.
    pub(crate) fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// Runs a job and waits for its result. If the caller goes away the job is done nevertheless and its result dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        network: &str,
        job: impl FnOnce(&mut Kernel) -> Result<T, NetworkError> + Send + 'static,
    ) -> Result<T, NetworkError> {
        let stopped = || refused(network, ErrorKind::Internal, "the network thread has stopped");
        let (sender, receiver) = oneshot::channel();
        self.post(move |kernel| {
            // Nobody waits any more: dropping the result is what undoes it.
            drop(sender.send(job(kernel)));
        });
        receiver.await.map_err(|_| stopped())?
    }

    /// Runs a job nobody waits for.
    pub(crate) fn post(&self, job: impl FnOnce(&mut Kernel) + Send + 'static) {
        if self.jobs.send(Box::new(job)).is_err() {
            tracing::debug!("the network thread has stopped");
        }
    }
}

/// Returns the next job: one that somebody waits for, else one whose time has come. None when all handles are gone.
fn next(receiver: &Receiver<Job>, later: &mut Later) -> Option<Job> {
    loop {
        let Some(wait) = later.wait() else {
            return receiver.recv().ok();
        };
        match receiver.recv_timeout(wait) {
            Ok(job) => return Some(job),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(job) = later.pop_due() {
                    return Some(job);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(entries: &std::sync::Arc<std::sync::Mutex<Vec<u8>>>, entry: u8) -> Job {
        let entries = std::sync::Arc::clone(entries);
        Box::new(move |_| entries.lock().unwrap().push(entry))
    }

    #[test]
    fn who_waits_comes_first_and_the_rest_in_its_time() {
        let entries = std::sync::Arc::default();
        let (sender, receiver) = channel();
        let mut later = Later::default();
        later.push(Duration::from_millis(20), log(&entries, 4));
        later.push(Duration::ZERO, log(&entries, 2));
        later.push(Duration::ZERO, log(&entries, 3));
        sender.send(log(&entries, 1)).unwrap();
        let mut kernel = Kernel::open("test").unwrap();
        for _ in 0..4 {
            next(&receiver, &mut later).unwrap()(&mut kernel);
        }
        assert_eq!(*entries.lock().unwrap(), [1, 2, 3, 4]);
        drop(sender);
        assert!(next(&receiver, &mut later).is_none());
    }
}
