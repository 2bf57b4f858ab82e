// SPDX-License-Identifier: MIT
//! The thread that talks to the kernel: jobs run on it one after the other, in the network namespace of whoever started it.
//!
//! The kernel takes its own lock for each change of links, so a second such thread would only wait. A job whose caller has gone away
//! still runs; its result is dropped here, which closes and gives back whatever it holds.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use hyperbox_core::seam::NetworkError;
use hyperbox_types::ErrorKind;
use tokio::sync::oneshot;

use crate::error::refused;
use crate::namespace::Namespaces;
use crate::netlink::{Family, Socket};

const STACK: usize = 256 * 1024;

/// What jobs work with.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) route: Socket,
    pub(crate) firewall: Socket,
    pub(crate) namespaces: Namespaces,
}

impl Kernel {
    /// Opens everything in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            route: Socket::open(Family::Route)?,
            firewall: Socket::open(Family::Netfilter)?,
            namespaces: Namespaces::start()?,
        })
    }
}

type Job = Box<dyn FnOnce(&mut Kernel) + Send>;

/// A handle of the thread, which ends with the last job after the handle is dropped.
#[derive(Debug)]
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
        thread.spawn(move || receiver.into_iter().for_each(|job| job(&mut kernel)))?;
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
        let job: Job = Box::new(move |kernel| {
            // Nobody waits any more: dropping the result is what undoes it.
            drop(sender.send(job(kernel)));
        });
        self.jobs.send(job).map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }
}
