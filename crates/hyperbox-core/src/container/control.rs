// SPDX-License-Identifier: MIT
//! What an actor does to its running task, and how it refuses what the present phase does not allow.

use std::sync::Arc;

use hyperbox_types::run::Streams;
use hyperbox_types::{ContainerName, ErrorKind, Signal};
use tracing::warn;

use super::Phase;
use super::actor::Actor;
use super::command::{Reply, answer};
use super::lifecycle::{Event, Refusal};
use crate::seam::{AttachIo, Task};
use crate::{Result, ServiceError};

/// How many clients can be attached to a container that does not run.
const PENDING_ATTACHES: usize = 64;

impl Actor {
    pub(super) async fn signal(&mut self, signal: Signal, all: bool) {
        let Some(task) = &self.task else { return };
        if let Err(error) = task.signal(None, signal, all).await
            && error.kind != ErrorKind::NotFound
        {
            warn!(container = %self.record.id, %signal, %error, "signal not delivered");
        }
        let number = signal.number().to_string();
        self.inner.publish("kill", &self.record, [("signal", number)]);
    }

    pub(super) async fn thaw(&mut self) {
        if let Some(task) = &self.task
            && let Err(error) = task.resume().await
        {
            warn!(container = %self.record.id, %error, "container not thawed");
        }
        self.life.state.phase = Phase::Running;
        self.start_prober();
        self.refresh();
        self.inner.publish("unpause", &self.record, []);
    }

    pub(super) async fn freeze(&mut self, freeze: bool, reply: Reply<()>) {
        let result = self.try_freeze(freeze).await;
        if result.is_ok() {
            self.feed(if freeze { Event::Paused } else { Event::Unpaused }).await;
            // A frozen container is not checked; its next check is due a whole interval after it was thawed.
            self.start_prober();
        }
        answer(reply, result);
    }

    pub(super) async fn try_freeze(&mut self, freeze: bool) -> Result<()> {
        let id = &self.record.id;
        match (self.life.state.phase, freeze) {
            (Phase::Running, true) | (Phase::Paused, false) => {}
            (Phase::Paused, true) => {
                return Err(ServiceError::conflict(format!("Container {id} is already paused")));
            }
            (Phase::Restarting, true) => {
                return Err(ServiceError::conflict(format!(
                    "Container {id} is restarting, wait until the container is running"
                )));
            }
            (_, true) => return Err(self.refuse(Refusal::NotRunning)),
            // Docker answers this one with status 500.
            (_, false) => return Err(ServiceError::internal(format!("Container {id} is not paused"))),
        }
        let task = self.running_task()?;
        let done = if freeze {
            self.stop_prober();
            task.pause().await
        } else {
            task.resume().await
        };
        if freeze && done.is_err() {
            self.start_prober();
        }
        let id = &self.record.id;
        done.map_err(|error| {
            ServiceError::from_mechanism(
                format!("Cannot {} container {id}", if freeze { "pause" } else { "unpause" }),
                error.kind,
                error,
            )
        })
    }

    pub(super) fn rename(&mut self, name: ContainerName) -> Result<()> {
        if self.record.name == name {
            return Err(ServiceError::invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        let id = self.record.id.clone();
        self.inner.table.reserve(&name, &id)?;
        let old = std::mem::replace(&mut self.record.name, name);
        if let Err(error) = self.try_persist() {
            let refused = std::mem::replace(&mut self.record.name, old);
            self.inner.table.release(&refused, &id);
            return Err(error);
        }
        self.inner.table.release(&old, &id);
        self.refresh();
        self.inner
            .publish("rename", &self.record, [("oldName", format!("/{old}"))]);
        Ok(())
    }

    pub(super) fn running_task(&self) -> Result<Arc<dyn Task>> {
        self.task
            .clone()
            .filter(|_| self.life.state.phase.is_alive())
            .ok_or_else(|| self.refuse(Refusal::NotRunning))
    }

    pub(super) async fn attach(&mut self, streams: Streams) -> Result<Box<dyn AttachIo>> {
        let mechanism = |error: crate::seam::TaskError| {
            ServiceError::from_mechanism("cannot attach to the container", error.kind, error)
        };
        if let Some(task) = self.task.as_ref().filter(|_| self.life.state.phase.is_alive()) {
            return task.attach(None, streams).await.map_err(mechanism);
        }
        let (io, pending) = self.inner.with.tasks.prepare_attach(streams).map_err(mechanism)?;
        // Nobody says so when such a client goes away; the oldest make room, and see the end of their streams.
        if self.pending_attaches.len() == PENDING_ATTACHES {
            self.pending_attaches.remove(0);
        }
        self.pending_attaches.push(pending);
        Ok(io)
    }

    pub(super) fn refuse(&self, refusal: Refusal) -> ServiceError {
        let id = &self.record.id;
        match refusal {
            Refusal::NotModified => ServiceError::not_modified(format!("Container {id} is in that state already")),
            Refusal::Paused => {
                ServiceError::conflict("cannot start a paused container, try unpause instead".to_owned())
            }
            Refusal::NotRunning => ServiceError::conflict(format!("container {id} is not running")),
            Refusal::Removing | Refusal::Dead => {
                ServiceError::conflict("container is marked for removal and cannot be started".to_owned())
            }
            Refusal::Running => ServiceError::conflict(format!(
                "container is {}: stop the container before removing or force remove",
                self.life.state.phase.as_str()
            )),
            Refusal::RunningPaused => {
                ServiceError::conflict("container is paused and must be unpaused first".to_owned())
            }
        }
    }

    /// Refuses a removal; `reference` is what the client calls the container.
    pub(super) fn refuse_removal(&self, refusal: Refusal, reference: &str) -> ServiceError {
        match refusal {
            Refusal::Removing => {
                ServiceError::conflict(format!("removal of container {reference} is already in progress"))
            }
            refusal => self
                .refuse(refusal)
                .in_context(&format!("cannot remove container {reference:?}")),
        }
    }
}
