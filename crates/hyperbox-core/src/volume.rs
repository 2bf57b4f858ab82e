// SPDX-License-Identifier: MIT
//! Volumes: directories that outlive containers, with their records and references.
//!
//! A volume that a container creation needs is *staged*: its directory exists, its record is written in the same transaction as the
//! container's. References are kept in memory and rebuilt from the containers' records.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_types::{ByteSize, ContainerId, VolumeName};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::container::{ContainerRecord, Pruned, ResolvedMount};
use crate::event::{EventKind, Events};
use crate::image::ImageRecord;
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

/// Volumes that exist on disk and are not recorded yet.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    new: Vec<VolumeRecord>,
    used: Vec<VolumeName>,
}

impl Staged {
    /// Returns the changes that record the new volumes.
    ///
    /// # Errors
    /// None in practice: records are plain data.
    pub(crate) fn changes(&self) -> Result<Vec<Change>> {
        self.new.iter().map(put).collect()
    }
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
}

#[derive(Default)]
struct Entries {
    volumes: BTreeMap<VolumeName, Arc<VolumeRecord>>,
    users: HashMap<VolumeName, HashSet<ContainerId>>,
    /// Volumes that a creation in progress uses.
    staged: HashMap<VolumeName, u32>,
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
        if let Some(option) = request.options.keys().next() {
            return Err(
                ServiceError::invalid(format!("create volume: invalid option: {option:?}"))
                    .with_hint("volumes with mount options are not supported by this version"),
            );
        }
        let anonymous = request.name.is_none();
        let name = match request.name {
            Some(name) => name,
            None => VolumeName::parse(hyperbox_types::Digest::from_sha256(random::bytes()?).hex())
                .map_err(|error| ServiceError::internal(error.to_string()))?,
        };
        let mut staged = Staged::default();
        self.stage(&mut staged, name.clone(), request.labels, anonymous).await?;
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
        self.claim_for_removal(&record.name)?;
        let change = Change::Remove {
            table: Table::Volumes,
            key: record.name.to_string(),
        };
        if let Err(error) = self.inner.records.apply(&[change]) {
            self.table().volumes.insert(record.name.clone(), record);
            return Err(ServiceError::from_mechanism(
                "cannot forget the volume",
                error.kind,
                error,
            ));
        }
        // Without a record the directory is garbage: if this fails, the next start tries again.
        self.inner.driver.remove(&record.name).await.map_err(failure)?;
        self.publish_event("destroy", &record.name);
        Ok(())
    }

    /// Takes a volume out of the table unless somebody uses it.
    fn claim_for_removal(&self, name: &VolumeName) -> Result<()> {
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
        table.volumes.remove(name);
        Ok(())
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

    /// Makes sure that a volume's directory exists; a new volume is recorded by the caller's transaction.
    pub(crate) async fn stage(
        &self,
        staged: &mut Staged,
        name: VolumeName,
        labels: BTreeMap<String, String>,
        anonymous: bool,
    ) -> Result<()> {
        let exists = {
            let mut table = self.table();
            *table.staged.entry(name.clone()).or_default() += 1;
            table.volumes.contains_key(&name)
        };
        staged.used.push(name.clone());
        let mountpoint = self.inner.driver.create(&name).await.map_err(failure)?;
        if !exists && !staged.new.iter().any(|record| record.name == name) {
            staged.new.push(VolumeRecord {
                name,
                driver: "local".to_owned(),
                mountpoint,
                created_at: Timestamp::now(),
                labels,
                options: BTreeMap::new(),
                anonymous,
            });
        }
        Ok(())
    }

    /// Copies what an image has at a path into a volume that is still empty.
    pub(crate) async fn populate(&self, name: &VolumeName, image: &ImageRecord, path: &Path) -> Result<()> {
        let layers: Vec<_> = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        if layers.is_empty() {
            return Ok(());
        }
        let view = self
            .inner
            .snapshotter
            .view(&layers)
            .map_err(|error| ServiceError::from_mechanism("cannot look into the image", error.kind(), error))?;
        self.inner.driver.populate(name, &view, path).await.map_err(failure)
    }

    /// Undoes a staging whose transaction did not happen.
    pub(crate) async fn discard(&self, staged: Staged) {
        self.unstage(&staged.used);
        for record in staged.new {
            let in_use = self.table().staged.contains_key(&record.name) || self.get(record.name.as_str()).is_ok();
            if !in_use && let Err(error) = self.inner.driver.remove(&record.name).await {
                warn!(volume = %record.name, %error, "staged volume not removed");
            }
        }
    }

    /// Shows staged volumes after their transaction, used by a container.
    pub(crate) fn publish(&self, staged: Staged, container: &ContainerId) {
        self.settle(staged, Some(container));
    }

    fn settle(&self, staged: Staged, container: Option<&ContainerId>) {
        let names: Vec<VolumeName> = staged.new.iter().map(|record| record.name.clone()).collect();
        {
            let mut table = self.table();
            for record in staged.new {
                table
                    .volumes
                    .entry(record.name.clone())
                    .or_insert_with(|| Arc::new(record));
            }
            if let Some(container) = container {
                for name in &staged.used {
                    table.users.entry(name.clone()).or_default().insert(container.clone());
                }
            }
        }
        self.unstage(&staged.used);
        for name in names {
            self.publish_event("create", &name);
        }
    }

    fn unstage(&self, names: &[VolumeName]) {
        let mut table = self.table();
        for name in names {
            if let Some(count) = table.staged.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    table.staged.remove(name);
                }
            }
        }
    }

    /// Notes that a restored container uses its volumes.
    pub(crate) fn hold(&self, record: &ContainerRecord) {
        let mut table = self.table();
        for mount in &record.mounts {
            if let ResolvedMount::Volume { name, .. } = mount {
                table.users.entry(name.clone()).or_default().insert(record.id.clone());
            }
        }
    }

    /// Notes that a container is gone.
    pub(crate) fn forget(&self, container: &ContainerId) {
        self.table().users.retain(|_, users| {
            users.remove(container);
            !users.is_empty()
        });
    }

    /// Removes a container's anonymous volume unless another container uses it too.
    pub(crate) async fn remove_anonymous(&self, name: &VolumeName) -> Result<()> {
        if self.users(name).is_empty() {
            self.remove(name.as_str(), true).await
        } else {
            Ok(())
        }
    }

    fn table(&self) -> MutexGuard<'_, Entries> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish_event(&self, action: &str, name: &VolumeName) {
        let attributes = [("driver".to_owned(), "local".to_owned())].into();
        self.inner
            .events
            .publish(EventKind::Volume, action, name.as_str(), attributes);
    }
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
