// SPDX-License-Identifier: MIT
//! Removing containers.
//!
//! The record is first marked `Removing` (the point of no return: a daemon that dies afterwards finishes the removal at its next
//! start), then everything is taken away, and the record goes last. Every step is idempotent.

use std::sync::Arc;

use hyperbox_types::ByteSize;
use tracing::warn;

use super::actor::Actor;
use super::command::Command;
use super::log;
use super::{ContainerRecord, Containers, Phase};
use crate::seam::{ActiveKey, Change, Table};
use crate::volume::Claimed;
use crate::{Result, failpoint};

/// How to remove a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveOptions {
    /// Kill it if it runs.
    pub force: bool,
    /// Remove its anonymous volumes as well. Those of a container that removes itself always go.
    pub volumes: bool,
}

/// What a clean-up took away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Ids or names.
    pub removed: Vec<String>,
    /// Bytes that are free again.
    pub reclaimed: ByteSize,
}

impl Containers {
    /// Removes a container.
    ///
    /// # Errors
    /// `Conflict` when it runs and removal is not forced, or when it is being removed already.
    pub async fn remove(&self, reference: &str, options: RemoveOptions) -> Result<()> {
        self.ask(reference, |reply| Command::Remove {
            options,
            reference: reference.to_owned(),
            reply,
        })
        .await
    }

    /// Removes all containers that do not run and that the filter accepts.
    ///
    /// # Errors
    /// None at present: what cannot be removed is left out of the result.
    pub async fn prune(&self, filter: &(dyn Fn(&ContainerRecord) -> bool + Send + Sync)) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for record in self.list() {
            let idle = matches!(record.state.phase, Phase::Created | Phase::Exited | Phase::Dead);
            if !idle || !filter(&record) {
                continue;
            }
            let size = self
                .usage(record.id.as_str())
                .await
                .map(|(own, _)| own)
                .unwrap_or_default();
            if self.remove(record.id.as_str(), RemoveOptions::default()).await.is_ok() {
                pruned.removed.push(record.id.to_string());
                pruned.reclaimed.0 += size.0;
            }
        }
        Ok(pruned)
    }
}

impl Actor {
    /// Removes the container for good, with what its last run still holds, and tells those who asked.
    pub(super) async fn remove(&mut self) {
        if self.gone {
            return;
        }
        let before = self.life.state.clone();
        self.close_run();
        self.life.state.phase = Phase::Removing;
        // A container that goes by itself takes its volumes along, whoever is the one to remove it.
        self.life.state.remove_volumes = self.removal.volumes || self.record.spec.auto_remove;
        let result = match self.try_persist() {
            Ok(()) => self.take_apart().await,
            Err(error) => {
                // Nothing was taken away: the container stays what it was.
                self.life.state = before;
                self.release_run().await;
                self.refresh();
                Err(error.message().to_owned())
            }
        };
        if let Err(message) = &result {
            warn!(container = %self.record.id, error = %message, "container not removed");
        }
        self.finish_removal(&result);
    }

    /// Takes everything away. When a part of it resists, the container is dead: what is left can only be removed.
    async fn take_apart(&mut self) -> Result<(), String> {
        self.refresh();
        failpoint!("remove.after-mark");
        let inner = Arc::clone(&self.inner);
        let id = self.record.id.clone();
        // The supervisor takes the cgroups away meanwhile; what else there is does not wait for that.
        let (discarded, mut failures) = tokio::join!(inner.with.tasks.discard(&id), self.remove_files());
        self.mark("remains of the run removed");
        let endpoints = std::mem::take(&mut self.life.leaving);
        inner.with.networks.release(&id, &endpoints).await;
        failpoint!("remove.after-task");
        failures.extend(discarded.err().map(|error| error.to_string()));
        if failures.is_empty() {
            match self.erase_record().await {
                Ok(()) => return Ok(()),
                Err(error) => failures.push(error),
            }
        }
        self.life.state.phase = Phase::Dead;
        self.persist();
        Err(format!(
            "unable to remove container {}: {}",
            self.record.name,
            failures.join("; ")
        ))
    }

    /// Removes writable layer, log and directory; returns what resisted.
    async fn remove_files(&self) -> Vec<String> {
        let inner = &self.inner;
        let id = &self.record.id;
        let mut failures = Vec::new();
        if let Err(error) = inner.with.snapshotter.remove(&ActiveKey(id.clone())).await {
            failures.push(error.to_string());
        }
        failpoint!("remove.after-snapshot");
        let directory = inner.config.containers_dir.join(id.as_str());
        let target = log::place(&self.record, &directory);
        if let Err(error) = inner.with.tasks.remove_logs(&target).await {
            failures.push(error.to_string());
        }
        if let Err(error) = inner.with.host.remove_directory(&directory) {
            failures.push(error.to_string());
        }
        self.mark("files removed");
        failures
    }

    /// Forgets the container and its anonymous volumes in one transaction.
    async fn erase_record(&mut self) -> Result<(), String> {
        let inner = Arc::clone(&self.inner);
        let volumes = &inner.with.volumes;
        let going = if self.life.state.remove_volumes {
            volumes.claim_anonymous(&self.record)
        } else {
            Vec::new()
        };
        let mut changes = vec![Change::Remove {
            table: Table::Containers,
            key: self.record.id.to_string(),
        }];
        changes.extend(going.iter().map(Claimed::change));
        if let Err(error) = inner.with.records.apply(&changes) {
            volumes.restore(going);
            return Err(error.to_string());
        }
        failpoint!("remove.after-record");
        volumes.forget(&self.record);
        for volume in going {
            let name = volume.name().clone();
            if let Err(error) = volumes.delete(volume).await {
                warn!(container = %self.record.id, volume = %name, %error, "anonymous volume not removed");
            }
        }
        Ok(())
    }
}
