// SPDX-License-Identifier: MIT
//! Volumes: directories that outlive containers, with their records and references.
//!
//! A volume that a container creation needs is *staged*: its directory exists, its record is written in the same transaction as the
//! container's. References are kept in memory and rebuilt from the containers' records.

mod mounting;
mod options;
mod staging;
mod telling;

pub(crate) use staging::{Staged, Wanted};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_types::{ByteSize, ContainerId, VolumeName};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::container::{ContainerRecord, Pruned, ResolvedMount};
use crate::event::Events;
use crate::seam::{Change, Records, Snapshotter, Table, VolumeDriver, VolumeError};
use crate::time::Timestamp;
use crate::{Result, ServiceError, random};

/// A volume as it is kept in the record store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// Its name.
    pub name: VolumeName,
    /// Its driver, always `local`.
    pub driver: String,
    /// The directory that is mounted.
    pub mountpoint: PathBuf,
    /// When it was made.
    pub created_at: Timestamp,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Made for a container without a name of its own.
    pub anonymous: bool,
}

/// A volume that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateVolume {
    /// Its name; an anonymous one when unset.
    pub name: Option<VolumeName>,
    /// Its driver; `local` when empty.
    pub driver: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// Keeps volumes. Cheap to clone.
#[derive(Clone)]
pub struct Volumes {
    inner: Arc<Inner>,
}

struct Inner {
    driver: Arc<dyn VolumeDriver>,
    records: Arc<dyn Records>,
    snapshotter: Arc<dyn Snapshotter>,
    events: Events,
    table: Mutex<Entries>,
    /// Notified when a volume is gone.
    gone: Notify,
    /// Held by a start that decides what is mounted for its volumes; see `mounting.rs`.
    mounting: Arc<tokio::sync::Mutex<()>>,
    /// Held while image content is copied into a volume that another container may be waiting to copy into, too.
    populating: tokio::sync::Mutex<()>,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Entries {
    volumes: BTreeMap<VolumeName, Arc<VolumeRecord>>,
    users: HashMap<VolumeName, HashSet<ContainerId>>,
    /// Volumes that a creation in progress uses.
    staged: HashMap<VolumeName, u32>,
    /// Volumes whose directories are being removed; nobody may make them anew meanwhile.
    going: HashSet<VolumeName>,
}

/// A volume that was taken out of the table to be removed. Until it is dropped, nobody can make a volume of its name.
pub(crate) struct Claimed {
    /// Absent for what was staged and never recorded.
    record: Option<Arc<VolumeRecord>>,
    name: VolumeName,
    inner: Arc<Inner>,
}

impl Claimed {
    pub(crate) fn name(&self) -> &VolumeName {
        &self.name
    }

    /// Returns the change that forgets the volume.
    pub(crate) fn change(&self) -> Change {
        Change::Remove {
            table: Table::Volumes,
            key: self.name.to_string(),
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.inner.lock().going.remove(&self.name);
        self.inner.gone.notify_waiters();
    }
}

impl fmt::Debug for Volumes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Volumes")
            .field("driver", &self.inner.driver)
            .finish_non_exhaustive()
    }
}

impl Volumes {
    /// Makes the service from the records and removes directories that have none.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub async fn open(
        driver: Arc<dyn VolumeDriver>,
        records: Arc<dyn Records>,
        snapshotter: Arc<dyn Snapshotter>,
        events: Events,
    ) -> Result<Self> {
        let rows = records
            .load(Table::Volumes)
            .map_err(|error| ServiceError::from_mechanism("cannot read volumes", error.kind, error))?;
        let mut entries = Entries::default();
        let mut unreadable = HashSet::new();
        for (key, json) in rows {
            match serde_json::from_str::<VolumeRecord>(&json) {
                Ok(record) => {
                    entries.volumes.insert(record.name.clone(), Arc::new(record));
                }
                Err(error) => {
                    warn!(volume = key, %error, "unreadable volume record left alone");
                    unreadable.insert(key);
                }
            }
        }
        for name in driver.list().map_err(failure)? {
            if !entries.volumes.contains_key(&name) && !unreadable.contains(name.as_str()) {
                info!(volume = %name, "collecting a volume that was never committed");
                driver.remove(&name).await.map_err(failure)?;
            }
        }
        let inner = Inner {
            driver,
            records,
            snapshotter,
            events,
            table: Mutex::new(entries),
            gone: Notify::new(),
            mounting: Arc::default(),
            populating: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns all volumes by name.
    pub fn list(&self) -> Vec<Arc<VolumeRecord>> {
        self.table().volumes.values().cloned().collect()
    }

    /// Returns a volume.
    ///
    /// # Errors
    /// `NotFound` with Docker's text.
    pub fn get(&self, name: &str) -> Result<Arc<VolumeRecord>> {
        let not_found = || ServiceError::not_found(format!("get {name}: no such volume"));
        let parsed = VolumeName::parse(name).map_err(|_| not_found())?;
        self.table().volumes.get(&parsed).cloned().ok_or_else(not_found)
    }

    /// Makes a volume; one that exists is returned as it is.
    ///
    /// # Errors
    /// `NotFound` for an unknown driver, `InvalidArgument` for options, those of the disk.
    pub async fn create(&self, request: CreateVolume) -> Result<Arc<VolumeRecord>> {
        if !matches!(request.driver.as_str(), "" | "local") {
            return Err(ServiceError::not_found(format!(
                "create {}: error looking up volume plugin {}: plugin \"{}\" not found",
                request.name.map(String::from).unwrap_or_default(),
                request.driver,
                request.driver
            )));
        }
        let shown = request.name.clone().map(String::from).unwrap_or_default();
        options::validate(&request.options)
            .map_err(|reason| ServiceError::invalid(format!("create {shown}: {reason}")))?;
        let anonymous = request.name.is_none();
        let name = match request.name {
            Some(name) => name,
            None => VolumeName::parse(hyperbox_types::Digest::from_sha256(random::bytes()?).hex())
                .map_err(|error| ServiceError::internal(error.to_string()))?,
        };
        let mut staged = Staged::default();
        let wanted = Wanted {
            name: name.clone(),
            labels: request.labels,
            options: request.options,
            anonymous,
        };
        self.stage(&mut staged, wanted).await?;
        let applied = staged.changes().and_then(|changes| {
            self.inner
                .records
                .apply(&changes)
                .map_err(|error| ServiceError::from_mechanism("cannot record the volume", error.kind, error))
        });
        if let Err(error) = applied {
            self.discard(staged).await;
            return Err(error);
        }
        self.settle(staged, None);
        self.get(name.as_str())
    }

    /// Removes a volume that nothing uses.
    ///
    /// # Errors
    /// `NotFound`, unless forced; `Conflict` with Docker's text when a container uses it.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let record = match self.get(name) {
            Ok(record) => record,
            Err(_) if force => return Ok(()),
            Err(error) => return Err(error),
        };
        let claimed = self.claim(record)?;
        if let Err(error) = self.inner.records.apply(&[claimed.change()]) {
            self.restore(vec![claimed]);
            return Err(ServiceError::from_mechanism(
                "cannot forget the volume",
                error.kind,
                error,
            ));
        }
        self.delete(claimed).await
    }

    /// Takes a volume out of the table unless somebody uses it.
    fn claim(&self, record: Arc<VolumeRecord>) -> Result<Claimed> {
        let name = &record.name;
        let mut table = self.table();
        let users: Vec<&str> = table
            .users
            .get(name)
            .into_iter()
            .flatten()
            .map(ContainerId::as_str)
            .collect();
        if !users.is_empty() {
            return Err(ServiceError::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        if table.staged.contains_key(name) {
            return Err(ServiceError::conflict(format!("remove {name}: volume is in use")));
        }
        if table.volumes.remove(name).is_none() {
            return Err(ServiceError::not_found(format!("get {name}: no such volume")));
        }
        table.going.insert(name.clone());
        Ok(Claimed {
            name: name.clone(),
            record: Some(record),
            inner: Arc::clone(&self.inner),
        })
    }

    /// Takes the anonymous volumes that only this container uses out of the table.
    pub(crate) fn claim_anonymous(&self, container: &ContainerRecord) -> Vec<Claimed> {
        let mut table = self.table();
        let mut claimed = Vec::new();
        for mount in &container.mounts {
            let ResolvedMount::Volume {
                name, anonymous: true, ..
            } = mount
            else {
                continue;
            };
            let alone = table
                .users
                .get(name)
                .is_none_or(|users| users.iter().all(|user| *user == container.id));
            if alone
                && !table.staged.contains_key(name)
                && let Some(record) = table.volumes.remove(name)
            {
                table.going.insert(name.clone());
                claimed.push(Claimed {
                    name: name.clone(),
                    record: Some(record),
                    inner: Arc::clone(&self.inner),
                });
            }
        }
        claimed
    }

    /// Shows claimed volumes again, whose transaction did not happen.
    pub(crate) fn restore(&self, claimed: Vec<Claimed>) {
        for mut volume in claimed {
            if let Some(record) = volume.record.take() {
                self.table().volumes.insert(record.name.clone(), record);
            }
        }
    }

    /// Deletes a claimed volume that has no record any more. Goes on when the caller is dropped.
    ///
    /// # Errors
    /// Those of the disk: then the directory is garbage, which the next start collects.
    pub(crate) async fn delete(&self, claimed: Claimed) -> Result<()> {
        let volumes = self.clone();
        tokio::spawn(async move {
            volumes.inner.driver.remove(&claimed.name).await.map_err(failure)?;
            if claimed.record.is_some() {
                volumes.publish_event("destroy", &claimed.name);
            }
            Ok(())
        })
        .await
        .map_err(|error| ServiceError::internal("the removal of a volume was interrupted").with_source(error))?
    }

    /// Removes unused volumes: anonymous ones, or all of them.
    ///
    /// # Errors
    /// None at present: what cannot be removed is left out of the result.
    pub async fn prune(&self, all: bool, filter: &(dyn Fn(&VolumeRecord) -> bool + Send + Sync)) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for record in self.list() {
            if !(all || record.anonymous) || !self.users(&record.name).is_empty() || !filter(&record) {
                continue;
            }
            let size = self.usage(record.name.as_str()).await.unwrap_or_default();
            if self.remove(record.name.as_str(), false).await.is_ok() {
                pruned.removed.push(record.name.to_string());
                pruned.reclaimed.0 += size.0;
            }
        }
        Ok(pruned)
    }

    /// Returns the bytes that a volume occupies.
    ///
    /// # Errors
    /// `NotFound`, those of the disk.
    pub async fn usage(&self, name: &str) -> Result<ByteSize> {
        let record = self.get(name)?;
        self.inner
            .driver
            .usage(&record.name)
            .await
            .map(ByteSize)
            .map_err(failure)
    }

    /// Returns the containers that use a volume.
    pub fn users(&self, name: &VolumeName) -> Vec<ContainerId> {
        self.table().users.get(name).into_iter().flatten().cloned().collect()
    }

    /// Returns where a volume is, whether it exists or not.
    pub(crate) fn mountpoint(&self, name: &VolumeName) -> PathBuf {
        self.inner.driver.mountpoint(name)
    }

    /// Notes that a restored container uses its volumes.
    pub(crate) fn hold(&self, container: &ContainerRecord) {
        let mut table = self.table();
        for name in volumes_of(container) {
            table
                .users
                .entry(name.clone())
                .or_default()
                .insert(container.id.clone());
        }
    }

    /// Notes that a container is gone.
    pub(crate) fn forget(&self, container: &ContainerRecord) {
        let mut table = self.table();
        for name in volumes_of(container) {
            if let Some(users) = table.users.get_mut(name) {
                users.remove(&container.id);
                if users.is_empty() {
                    table.users.remove(name);
                }
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Entries> {
        self.inner.lock()
    }
}

fn volumes_of(container: &ContainerRecord) -> impl Iterator<Item = &VolumeName> {
    container.mounts.iter().filter_map(|mount| match mount {
        ResolvedMount::Volume { name, .. } => Some(name),
        ResolvedMount::Bind { .. } | ResolvedMount::Image { .. } | ResolvedMount::Tmpfs { .. } => None,
    })
}

fn put(record: &VolumeRecord) -> Result<Change> {
    let value = serde_json::to_string(record).map_err(|error| {
        ServiceError::internal(format!("cannot encode the record of volume {}", record.name)).with_source(error)
    })?;
    Ok(Change::Put {
        table: Table::Volumes,
        key: record.name.to_string(),
        value,
    })
}

fn failure(error: VolumeError) -> ServiceError {
    ServiceError::from_mechanism("volume operation failed", error.kind(), error)
}
