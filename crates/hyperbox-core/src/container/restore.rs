// SPDX-License-Identifier: MIT
//! Bringing containers back after the daemon (re)started, at whatever line the last one died.
//!
//! The records say what should be, the task runtime what is: running tasks are adopted, ended ones are brought to their end
//! (restart policy and auto-removal included), half-done removals are finished. What has no record is garbage and goes.

use std::collections::HashSet;
use std::sync::Arc;

use hyperbox_types::ContainerId;
use tracing::{info, warn};

use super::actor::{Actor, lost};
use super::lifecycle::Event;
use super::service::starts_with_daemon;
use super::{ContainerRecord, Containers, NetworkMode, Phase, oci};
use crate::network::Living;
use crate::seam::{ActiveKey, Reattached, Table};
use crate::{Result, ServiceError};

/// An actor that is ready to run, with the first event it has to digest.
struct Ready {
    actor: Actor,
    first: Option<Event>,
}

impl Containers {
    /// Brings back the containers of an earlier daemon and collects what it left half-made. Called once, before any client.
    ///
    /// # Errors
    /// When the records cannot be read; a single unreadable record is logged and left alone.
    pub async fn restore(&self) -> Result<()> {
        let (records, known) = self.load()?;
        self.collect_remains(&known).await;
        let mut ready = Vec::new();
        for record in records {
            self.inner.with.volumes.hold(&record);
            ready.push(self.revive(record).await);
        }
        let living = ready.iter().filter(|ready| ready.actor.task.is_some());
        let living = living.map(|ready| ready.actor.living()).collect();
        self.inner.with.networks.adopt(living).await?;
        for Ready { actor, first } in ready {
            tokio::spawn(actor.run(first));
        }
        Ok(())
    }

    /// Returns the containers, and the ids of all records: one that this build cannot read is no reason to throw its container away.
    fn load(&self) -> Result<(Vec<ContainerRecord>, HashSet<ContainerId>)> {
        let rows = self
            .inner
            .with
            .records
            .load(Table::Containers)
            .map_err(|error| ServiceError::from_mechanism("cannot read containers", error.kind, error))?;
        let known = rows
            .iter()
            .filter_map(|(key, _)| ContainerId::parse(key).ok())
            .collect();
        let mut records = Vec::with_capacity(rows.len());
        for (key, json) in rows {
            match serde_json::from_str::<ContainerRecord>(&json) {
                Ok(record) => records.push(record),
                Err(error) => warn!(container = key, %error, "unreadable container record left alone"),
            }
        }
        Ok((records, known))
    }

    async fn revive(&self, record: ContainerRecord) -> Ready {
        let id = record.id.clone();
        if let Err(error) = self.inner.table.reserve(&record.name, &id) {
            warn!(container = %id, %error, "name of a restored container is taken");
        }
        let found = match self.inner.with.tasks.reattach(&id).await {
            Ok(found) => found,
            Err(error) => {
                warn!(container = %id, %error, "task not found again");
                Reattached::Gone
            }
        };
        let (mut actor, handle) = Actor::new(Arc::clone(&self.inner), record);
        let first = if actor.life.state.phase.is_alive() {
            actor.take_up(found)
        } else {
            let undone = !matches!(found, Reattached::Gone);
            if undone && let Err(error) = self.inner.with.tasks.discard(&id).await {
                warn!(container = %id, %error, "task remains not discarded");
            }
            actor.resume_idle(undone)
        };
        self.inner.table.insert(handle);
        Ready { actor, first }
    }

    /// Removes what has no record: tasks, writable layers and directories of containers that were never committed.
    async fn collect_remains(&self, known: &HashSet<ContainerId>) {
        let with = &self.inner.with;
        let remains = with.tasks.remains().unwrap_or_else(|error| {
            warn!(%error, "remains of tasks not listed");
            Vec::new()
        });
        for id in remains.iter().filter(|id| !known.contains(id)) {
            if let Err(error) = with.tasks.discard(id).await {
                warn!(container = %id, %error, "task remains not discarded");
            }
        }
        let active = with.snapshotter.active().unwrap_or_else(|error| {
            warn!(%error, "writable layers not listed");
            Vec::new()
        });
        for ActiveKey(id) in active {
            if known.contains(&id) {
                continue;
            }
            info!(container = %id, "collecting a container that was never committed");
            if let Err(error) = with.snapshotter.remove(&ActiveKey(id.clone())).await {
                warn!(container = %id, %error, "writable layer not removed");
            }
            if let Err(error) = with.host.remove_directory(&self.directory(&id)) {
                warn!(container = %id, %error, "container directory not removed");
            }
        }
    }
}

impl Actor {
    /// Describes a container that runs to those who keep its networks.
    fn living(&self) -> Living<'_> {
        let namespace = match self.record.spec.network {
            NetworkMode::Host | NetworkMode::Container(_) => None,
            _ => self.inner.with.host.network_namespace(self.life.state.pid).ok(),
        };
        Living {
            record: &self.record,
            endpoints: &self.life.state.endpoints,
            hostname: oci::hostname(&self.record),
            namespace,
        }
    }

    /// Brings the life of a container that ran up to date with what was found.
    fn take_up(&mut self, found: Reattached) -> Option<Event> {
        match found {
            Reattached::Running { task, paused } => {
                self.life.state.phase = if paused { Phase::Paused } else { Phase::Running };
                self.adopt(task);
                None
            }
            Reattached::Exited(exit) => Some(Event::Exited(exit)),
            Reattached::Gone => Some(Event::Exited(lost())),
        }
    }

    /// Returns what is left to do for a container that did not run. `undone` tells that a start was under way: nobody was told that
    /// it had succeeded, and without a record its network endpoint is lost, so the process was ended. Likewise nobody was told of a
    /// container that was to be run at once.
    fn resume_idle(&mut self, undone: bool) -> Option<Event> {
        let spec = &self.record.spec;
        let state = &mut self.life.state;
        state.endpoints.clear();
        state.ports.clear();
        match state.phase {
            Phase::Removing => {
                self.removal.volumes = state.remove_volumes;
                Some(Event::RemoveRequested { force: true })
            }
            Phase::Restarting => {
                self.life.reviving = true;
                Some(Event::RestartDue)
            }
            _ if starts_with_daemon(spec, state) => {
                // As a restart, so that it is tried again: it may need a container that is not up yet.
                state.phase = Phase::Restarting;
                state.manually_stopped = false;
                state.restart_count = 0;
                self.life.reviving = true;
                Some(Event::RestartDue)
            }
            Phase::Exited if spec.auto_remove => Some(Event::RemoveRequested { force: true }),
            Phase::Created if spec.auto_remove && (undone || self.record.run_at_once) => {
                Some(Event::RemoveRequested { force: true })
            }
            _ => None,
        }
    }
}
