// SPDX-License-Identifier: MIT
//! Volumes that a container creation needs: made, filled, and kept only if the container is.
//!
//! A staged volume has its directory but no record; the container's own transaction writes it. A creation that fails, is dropped or
//! dies leaves a directory without record, which the next start removes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hyperbox_types::{ContainerId, VolumeName};
use tracing::warn;

use super::{Claimed, VolumeRecord, Volumes, failure, options, put};
use crate::image::ImageRecord;
use crate::seam::Change;
use crate::time::Timestamp;
use crate::{Result, ServiceError};

/// A volume that has to exist before something else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its name.
    pub name: VolumeName,
    /// Labels, if it is new.
    pub labels: BTreeMap<String, String>,
    /// Options, if it is new.
    pub options: BTreeMap<String, String>,
    /// Made for a container without a name of its own.
    pub anonymous: bool,
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

impl Volumes {
    /// Makes sure that a volume's directory exists; a new volume is recorded by the caller's transaction.
    ///
    /// # Errors
    /// `InvalidArgument` for options of a new volume, those of the disk.
    pub(crate) async fn stage(&self, staged: &mut Staged, wanted: Wanted) -> Result<()> {
        let Wanted {
            name,
            labels,
            options,
            anonymous,
        } = wanted;
        options::validate(&options).map_err(|reason| ServiceError::invalid(format!("create {name}: {reason}")))?;
        let exists = self.begin_use(&name).await;
        staged.used.push(name.clone());
        let mountpoint = self.inner.driver.create(&name).await.map_err(failure)?;
        if !exists && !staged.new.iter().any(|record| record.name == name) {
            staged.new.push(VolumeRecord {
                name,
                driver: "local".to_owned(),
                mountpoint,
                created_at: Timestamp::now(),
                labels,
                options,
                anonymous,
            });
        }
        Ok(())
    }

    /// Notes that a creation uses a volume, and tells whether the volume exists. Waits while one of that name is being removed.
    async fn begin_use(&self, name: &VolumeName) -> bool {
        loop {
            // Made before the look at the table: what is notified afterwards is not missed.
            let gone = self.inner.gone.notified();
            {
                let mut table = self.table();
                if !table.going.contains(name) {
                    *table.staged.entry(name.clone()).or_default() += 1;
                    return table.volumes.contains_key(name);
                }
            }
            gone.await;
        }
    }

    /// Copies what an image has at a path into a volume that is still empty.
    /// Whoever copies into a volume that others can name waits for its turn: the second one finds the volume filled, not half-filled.
    pub(crate) async fn populate(
        &self,
        name: &VolumeName,
        anonymous: bool,
        image: &ImageRecord,
        path: &Path,
    ) -> Result<()> {
        if self.mount_of(name).is_some() {
            // What is mounted there is nobody's image.
            return Ok(());
        }
        let layers: Vec<_> = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        if layers.is_empty() {
            return Ok(());
        }
        let view = self
            .inner
            .snapshotter
            .view(&layers)
            .map_err(|error| ServiceError::from_mechanism("cannot look into the image", error.kind(), error))?;
        let _turn = match anonymous {
            true => None,
            false => Some(self.inner.populating.lock().await),
        };
        self.inner.driver.populate(name, &view, path).await.map_err(failure)
    }

    /// Undoes a staging whose transaction did not happen.
    pub(crate) async fn discard(&self, staged: Staged) {
        self.unstage(&staged.used);
        for record in staged.new {
            if let Some(claimed) = self.claim_unrecorded(&record.name)
                && let Err(error) = self.delete(claimed).await
            {
                warn!(volume = %record.name, %error, "staged volume not removed");
            }
        }
    }

    /// Claims the directory of a volume that was staged, unless somebody else uses or has recorded it by now.
    fn claim_unrecorded(&self, name: &VolumeName) -> Option<Claimed> {
        let mut table = self.table();
        let wanted = table.staged.contains_key(name) || table.volumes.contains_key(name);
        (!wanted && table.going.insert(name.clone())).then(|| Claimed {
            record: None,
            name: name.clone(),
            inner: Arc::clone(&self.inner),
        })
    }

    /// Shows staged volumes after their transaction, used by a container.
    pub(crate) fn publish(&self, staged: Staged, container: &ContainerId) {
        self.settle(staged, Some(container));
    }

    pub(super) fn settle(&self, staged: Staged, container: Option<&ContainerId>) {
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
}
