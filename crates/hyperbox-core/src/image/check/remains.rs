// SPDX-License-Identifier: MIT
//! What is neither blob nor layer of an image: the database, records, containers' files, volumes, and what nobody needs.

use std::collections::HashSet;

use hyperbox_types::ErrorKind;
use hyperbox_types::check::{Finding, Outcome, Problem};

use super::Check;
use crate::container::ContainerRecord;
use crate::image::collect::Scope;
use crate::image::record::ImageRecord;
use crate::image::service::ImageUser;
use crate::seam::{ActiveKey, StrayOrigin, Table};
use crate::{Result, ServiceError};

impl Check {
    pub(super) async fn database(&mut self) -> Result<()> {
        let records = std::sync::Arc::clone(&self.images.inner.with.records);
        let checking = tokio::task::spawn_blocking(move || records.check());
        let complaints = checking
            .await
            .map_err(|error| ServiceError::internal("the check of the database was interrupted").with_source(error))?
            .map_err(|error| ServiceError::from_mechanism("cannot check the database", error.kind, error))?;
        for detail in complaints {
            let why = "stop the daemon and bring the database back from a backup";
            let subject = "database".to_owned();
            self.left(Problem::DatabaseDamaged, subject, detail, Vec::new(), why)
                .await;
        }
        Ok(())
    }

    pub(super) async fn records(&mut self) -> Result<()> {
        for table in Table::ALL {
            let rows = self.images.inner.with.records.load(table);
            let rows = rows.map_err(|error| ServiceError::from_mechanism("cannot read records", error.kind, error))?;
            for (key, json) in rows {
                let parsed = match table {
                    Table::Images => serde_json::from_str::<ImageRecord>(&json).map(drop),
                    Table::Containers => serde_json::from_str::<ContainerRecord>(&json).map(drop),
                    _ => serde_json::from_str::<serde::de::IgnoredAny>(&json).map(drop),
                };
                if let Err(error) = parsed {
                    let subject = format!("{} {key}", table.as_str());
                    let why = "its content is kept; a newer HyperBox may be able to read it";
                    self.left(Problem::RecordUnreadable, subject, error.to_string(), Vec::new(), why)
                        .await;
                }
            }
        }
        Ok(())
    }

    /// Looks at what a container stands on; the layers of its image were looked at with that.
    pub(super) async fn container(&mut self, user: &ImageUser) -> Result<()> {
        let lease = self.images.inner.leases.open().await;
        lease.protect([], user.layers.iter().cloned()).await;
        let is_there = |check: &Self| {
            check
                .images
                .users()
                .iter()
                .any(|other| other.container == user.container)
        };
        if !is_there(self) {
            return Ok(());
        }
        for layer in &user.layers {
            self.layer(layer, None, &lease).await?;
        }
        let needed_by = vec![user.container.clone()];
        if !self.images.has(&user.image) {
            let detail = "it was removed by force; the container keeps its layers".to_owned();
            let why = "remove the container, or pull the image again, when it is no longer wanted like this";
            let subject = user.image.to_string();
            self.left(Problem::ContainerImageGone, subject, detail, needed_by.clone(), why)
                .await;
        }
        let active = self.active()?;
        if !active.iter().any(|key| key.0.short() == user.container) && is_there(self) {
            let detail = "its writable layer is not there".to_owned();
            let why = "what it wrote is lost: remove the container";
            let subject = user.container.clone();
            self.left(Problem::ContainerFilesMissing, subject, detail, needed_by, why)
                .await;
        }
        Ok(())
    }

    fn unreadable_containers(&self) -> Result<HashSet<String>> {
        let rows = self.images.inner.with.records.load(Table::Containers);
        let rows = rows.map_err(|error| ServiceError::from_mechanism("cannot read records", error.kind, error))?;
        let unreadable = rows
            .into_iter()
            .filter(|(_, json)| serde_json::from_str::<ContainerRecord>(json).is_err());
        Ok(unreadable.map(|(key, _)| key).collect())
    }

    fn active(&self) -> Result<Vec<ActiveKey>> {
        let active = self.images.inner.with.snapshotter.active();
        active.map_err(|error| ServiceError::from_mechanism("cannot list writable layers", error.kind(), error))
    }

    pub(super) async fn unowned_files(&mut self) -> Result<()> {
        for (key, outcome) in self.settle_unowned().await? {
            self.found(Finding {
                problem: Problem::ContainerFilesUnowned,
                subject: key.0.to_string(),
                detail: "a writable layer of no container".to_owned(),
                needed_by: Vec::new(),
                outcome,
            })
            .await;
        }
        Ok(())
    }

    /// Looks for writable layers without container, and removes them if it may. A container that is being made holds a lease from
    /// before it has one, so nothing is said while there are leases.
    async fn settle_unowned(&self) -> Result<Vec<(ActiveKey, Outcome)>> {
        let table = self.images.inner.leases.lock().await;
        if table.protected().next().is_some() {
            return Ok(Vec::new());
        }
        let (users, unreadable) = (self.images.users(), self.unreadable_containers()?);
        let is_owned = |key: &ActiveKey| {
            unreadable.contains(key.0.as_str()) || users.iter().any(|user| user.container == key.0.short())
        };
        let mut settled = Vec::new();
        for key in self.active()?.into_iter().filter(|key| !is_owned(key)) {
            let outcome = match self.options.repair {
                false => Outcome::Nothing,
                true => match self.images.inner.with.snapshotter.remove(&key).await {
                    Ok(()) => Outcome::Removed {
                        what: "the writable layer".to_owned(),
                    },
                    Err(error) => Outcome::Left { why: error.to_string() },
                },
            };
            settled.push((key, outcome));
        }
        drop(table);
        Ok(settled)
    }

    pub(super) async fn volumes(&mut self) {
        for record in self.volumes.list() {
            let name = record.name.to_string();
            let missing = self.volumes.usage(&name).await.err();
            // One that was removed meanwhile is no longer in the list.
            let Some(error) = missing.filter(|_| self.volumes.get(&name).is_ok()) else {
                continue;
            };
            let (problem, detail) = match error.kind() {
                ErrorKind::NotFound => (Problem::VolumeMissing, "its directory is not there".to_owned()),
                _ => (Problem::Unchecked, error.message().to_owned()),
            };
            let why = "what it held is lost: remove the volume";
            self.left(problem, name, detail, Vec::new(), why).await;
        }
    }

    pub(super) async fn unreferenced(&mut self) {
        let garbage = {
            let mut table = self.images.inner.leases.lock().await;
            let garbage = self.images.find_garbage(&mut table, Scope::Everything).await;
            table.suspects.extend(garbage.clone());
            garbage
        };
        if garbage.is_empty() {
            return;
        }
        let outcome = if self.options.repair {
            let collected = self.images.collect_in(Scope::Suspects).await;
            Outcome::Removed {
                what: format!(
                    "{} blobs and {} layers, {} bytes",
                    collected.blobs, collected.layers, collected.size.0
                ),
            }
        } else {
            Outcome::Nothing
        };
        let names = garbage.blobs.iter().map(ToString::to_string);
        let names = names.chain(garbage.layers.iter().map(|layer| format!("layer {layer}")));
        let subject = names.min().unwrap_or_default();
        self.found(Finding {
            problem: Problem::Unreferenced,
            subject,
            detail: format!(
                "{} blobs and {} layers that nothing refers to",
                garbage.blobs.len(),
                garbage.layers.len()
            ),
            needed_by: Vec::new(),
            outcome,
        })
        .await;
    }

    pub(super) async fn strays(&mut self) -> Result<()> {
        let content = std::sync::Arc::clone(&self.images.inner.with.content);
        for stray in content.strays().await.map_err(crate::image::fetch::stored)? {
            let (problem, detail) = match stray.origin {
                StrayOrigin::Unfinished => (Problem::Unfinished, "an interrupted write or deletion left it"),
                StrayOrigin::Foreign => (Problem::Foreign, "HyperBox did not put it there"),
            };
            let outcome = match (self.options.repair, stray.origin) {
                (false, _) => Outcome::Nothing,
                (true, StrayOrigin::Foreign) => Outcome::Left {
                    why: "it may be somebody's: remove it by hand".to_owned(),
                },
                (true, StrayOrigin::Unfinished) => match content.remove_stray(&stray).await {
                    Ok(()) => Outcome::Removed {
                        what: format!("{} bytes", stray.size.0),
                    },
                    Err(error) => Outcome::Left { why: error.to_string() },
                },
            };
            self.found(Finding {
                problem,
                subject: stray.path,
                detail: detail.to_owned(),
                needed_by: Vec::new(),
                outcome,
            })
            .await;
        }
        Ok(())
    }
}
