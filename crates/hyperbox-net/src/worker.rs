// SPDX-License-Identifier: MIT
//! The thread that talks to the kernel: jobs run on it one after the other, in the network namespace of whoever started it.
//!
//! The kernel takes its own lock for each change of links, so a second such thread would only wait. A job whose caller has gone away
//! still runs; its result is dropped here, which closes and gives back whatever it holds.
//!
//! `setns(2)` moves the calling thread, which no thread of a runtime may suffer; this one visits other namespaces by
//! [`Kernel::inside`], and ends if it cannot come back.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};

use hyperbox_core::seam::NetworkError;
use hyperbox_sys::network_namespace;
use hyperbox_types::ErrorKind;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use crate::error::refused;
use crate::namespace::Namespaces;
use crate::netlink::{Family, Socket};

const STACK: usize = 256 * 1024;

/// What jobs work with.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) route: Socket,
    pub(crate) namespaces: Namespaces,
    home: OwnedFd,
    lost: bool,
}

impl Kernel {
    /// Opens everything in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            route: Socket::open(Family::Route)?,
            namespaces: Namespaces::start()?,
            home: network_namespace::current()?,
            lost: false,
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
}

type Job = Box<dyn FnOnce(&mut Kernel) + Send>;

/// A handle of the thread, which ends with the last job after the last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    jobs: Sender<Job>,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(mut kernel: Kernel) -> io::Result<Self> {
        let (jobs, receiver): (Sender<Job>, Receiver<Job>) = channel();
        let thread = std::thread::Builder::new()
            .name("net-worker".to_owned())
            .stack_size(STACK);
        thread.spawn(move || {
            for job in receiver {
                job(&mut kernel);
                if kernel.lost {
                    tracing::error!("the network thread cannot return to its namespace and stops");
                    return;
                }
            }
        })?;
        Ok(Self { jobs })
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
