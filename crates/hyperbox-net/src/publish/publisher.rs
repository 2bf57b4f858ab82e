// SPDX-License-Identifier: MIT
//! The seam: jobs for the thread that publishes.
//!
//! # Cancellation
//! A job whose caller went away is finished; what it published is withdrawn again.
//!
//! # Crashes
//! Sockets die with the process, rules do not: containers stay reachable through the kernel until [`PortPublisher::adopt`] binds the
//! ports again. A number that somebody took meanwhile is lost to him.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use hyperbox_core::seam::{NetworkError, PortPublisher, PublishRequest, PublishedPort};
use hyperbox_types::{ContainerId, ErrorKind};
use tokio::sync::oneshot;

use super::worker::Ports;
use crate::error::{failed, refused};
use crate::firewall::Firewall;

const NETWORK: &str = "ports";
const STACK: usize = 512 * 1024;

type Job = Box<dyn FnOnce(&mut Ports) + Send>;

/// Publishes ports of containers on bridges. When it is dropped its sockets are closed; the rules stay, for the next one to adopt.
#[derive(Debug)]
pub struct Publisher {
    /// The containers that may have something published: what nobody of them has need not be withdrawn by a visit of the thread.
    publishing: Mutex<BTreeSet<ContainerId>>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts the publisher's threads in the network namespace of the calling thread, which must be that of the firewall. Needs no runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(firewall: Arc<Firewall>) -> Result<Self, NetworkError> {
        let start = |source| failed(NETWORK, "start publishing", source);
        let mut ports = Ports::open(firewall).map_err(start)?;
        let (jobs, receiver): (Sender<Job>, Receiver<Job>) = channel();
        let thread = std::thread::Builder::new()
            .name("net-ports".to_owned())
            .stack_size(STACK);
        let thread = thread.spawn(move || receiver.into_iter().for_each(|job| job(&mut ports)));
        Ok(Self {
            publishing: Mutex::default(),
            jobs: Some(jobs),
            thread: Some(thread.map_err(start)?),
        })
    }

    /// The set is whole whenever the lock is free, whoever panicked.
    fn publishing(&self) -> MutexGuard<'_, BTreeSet<ContainerId>> {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> Result<&Sender<Job>, NetworkError> {
        self.jobs.as_ref().ok_or_else(stopped)
    }

    fn post(&self, job: impl FnOnce(&mut Ports) + Send + 'static) -> Result<(), NetworkError> {
        self.jobs()?.send(Box::new(job)).map_err(|_| stopped())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that publishes has panicked");
        }
    }
}

fn stopped() -> NetworkError {
    refused(NETWORK, ErrorKind::Internal, "the thread that publishes has stopped")
}

#[async_trait]
impl PortPublisher for Publisher {
    async fn publish(&self, request: PublishRequest) -> Result<Vec<PublishedPort>, NetworkError> {
        let (sender, receiver) = oneshot::channel();
        let undo = self.jobs()?.clone();
        self.publishing().insert(request.container.clone());
        self.post(move |ports| {
            let granted = ports.publish(&request).map(|published| Granted {
                published,
                undo: Some((undo, request.container)),
            });
            // If nobody waits any more, dropping it is what withdraws it.
            drop(sender.send(granted));
        })?;
        let granted = receiver.await.map_err(|_| stopped())??;
        Ok(granted.take())
    }

    async fn withdraw(&self, container: &ContainerId) -> Result<(), NetworkError> {
        if !self.publishing().contains(container) {
            return Ok(());
        }
        let (sender, receiver) = oneshot::channel();
        let withdrawn = container.clone();
        let container = container.clone();
        self.post(move |ports| {
            // Whoever asked may have gone away.
            drop(sender.send(ports.withdraw(&container)));
        })?;
        receiver.await.map_err(|_| stopped())??;
        self.publishing().remove(&withdrawn);
        Ok(())
    }

    async fn adopt(&self, living: Vec<PublishRequest>) -> Result<(), NetworkError> {
        let (sender, receiver) = oneshot::channel();
        self.publishing()
            .extend(living.iter().map(|request| request.container.clone()));
        self.post(move |ports| drop(sender.send(ports.adopt(&living))))?;
        receiver.await.map_err(|_| stopped())?
    }
}

/// Ports that are withdrawn unless they are taken.
#[derive(Debug)]
struct Granted {
    published: Vec<PublishedPort>,
    undo: Option<(Sender<Job>, ContainerId)>,
}

impl Granted {
    fn take(mut self) -> Vec<PublishedPort> {
        self.undo = None;
        std::mem::take(&mut self.published)
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let Some((jobs, container)) = self.undo.take() else {
            return;
        };
        let job: Job = Box::new(move |ports| {
            if let Err(error) = ports.withdraw(&container) {
                tracing::warn!(%container, %error, "cannot withdraw the ports of a start that was given up");
            }
        });
        // It fails only when the publisher is gone, and its sockets with it.
        drop(jobs.send(job));
    }
}
