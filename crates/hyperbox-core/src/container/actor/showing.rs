// SPDX-License-Identifier: MIT
//! What others see of a container: its record, its snapshot, its events.
//!
//! A record is written before anyone is told of a change; what cannot be written has happened nevertheless, and the next daemon finds it
//! in the world.

use std::sync::Arc;

use tracing::{info, warn};

use super::super::command::answer;
use super::super::wait::Snapshot;
use super::super::{ContainerRecord, ResolvedMount};
use super::Actor;
use crate::seam::{Change, Table};
use crate::{Result, ServiceError, failpoint};

impl Actor {
    pub(in crate::container) fn persist(&mut self) {
        let ended = !self.life.state.phase.is_alive();
        if ended {
            failpoint!("exit.before-record");
        }
        if let Err(error) = self.try_persist() {
            // The change has happened in the world; the next daemon finds it there.
            warn!(container = %self.record.id, %error, "container record not written");
        }
        if ended {
            failpoint!("exit.after-record");
        }
        self.refresh();
    }

    pub(in crate::container) fn try_persist(&mut self) -> Result<()> {
        self.record.state.clone_from(&self.life.state);
        let change = put(&self.record)?;
        self.inner.with.records.apply(&[change]).map_err(|error| {
            ServiceError::from_mechanism(
                format!("cannot record container {}", self.record.name),
                error.kind,
                error,
            )
        })
    }

    /// Shows everybody the present state.
    pub(in crate::container) fn refresh(&mut self) {
        self.show(|_| {});
    }

    /// Shows the present state and something else about it at once: who waits for the one finds the other.
    fn show(&mut self, more: impl FnOnce(&mut Snapshot)) {
        self.record.state.clone_from(&self.life.state);
        let record = Arc::new(self.record.clone());
        let task = self.task.clone().filter(|_| self.life.state.phase.is_alive());
        self.snapshot.send_modify(|snapshot| {
            snapshot.record = Some(record);
            snapshot.task = task;
            more(snapshot);
        });
    }

    /// Shows that a run (or the attempt of one) has ended.
    pub(super) fn show_end(&mut self) {
        let code = self.life.state.exit_code;
        self.show(|snapshot| {
            snapshot.ends += 1;
            snapshot.last_exit = code;
        });
    }

    pub(super) fn publish(&mut self, action: &'static str) {
        let state = &self.life.state;
        match action {
            "die" => {
                info!(container = %self.record.id, exit = state.exit_code, "container ended");
                let code = state.exit_code.to_string();
                let ran = match (state.started_at, state.finished_at) {
                    (Some(started), Some(finished)) => finished.since(started).as_secs(),
                    _ => 0,
                };
                // Whoever waits for the end of a run may go on: the record follows, the facts are known.
                self.show_end();
                self.answer_stoppers();
                self.inner.publish(
                    "die",
                    &self.record,
                    [("exitCode", code), ("execDuration", ran.to_string())],
                );
            }
            "start" => {
                failpoint!("start.after-record");
                self.snapshot.send_modify(|snapshot| snapshot.launches += 1);
                self.inner.publish("start", &self.record, []);
            }
            other => self.inner.publish(other, &self.record, []),
        }
    }

    /// Ends the removal: everybody who waits is told.
    pub(in crate::container) fn finish_removal(&mut self, result: &Result<(), String>) {
        let name = self.record.name.clone();
        match result {
            Ok(()) => {
                self.gone = true;
                self.inner.table.remove(&self.record.id);
                self.inner.table.release(&name, &self.record.id);
                let images = &self.inner.with.images;
                images.let_go(&self.record.image_id, &self.record.layers);
                for mount in &self.record.mounts {
                    if let ResolvedMount::Image { image, layers, .. } = mount {
                        images.let_go(image, layers);
                    }
                }
                self.inner.publish("destroy", &self.record, []);
                self.mark("container removed");
                self.snapshot.send_modify(|snapshot| snapshot.removed = true);
            }
            Err(message) => {
                self.life.removal_requested = false;
                self.snapshot.send_modify(|snapshot| {
                    snapshot.failed_removals += 1;
                    snapshot.removal_error = Some(message.clone());
                });
            }
        }
        for reply in self.removers.drain(..) {
            let answered = result.clone().map_err(ServiceError::internal);
            answer(reply, answered);
        }
    }
}

/// Returns the change that writes a record.
pub(in crate::container) fn put(record: &ContainerRecord) -> Result<Change> {
    let value = serde_json::to_string(record).map_err(|error| {
        ServiceError::internal(format!("cannot encode the record of container {}", record.name)).with_source(error)
    })?;
    Ok(Change::Put {
        table: Table::Containers,
        key: record.id.to_string(),
        value,
    })
}
