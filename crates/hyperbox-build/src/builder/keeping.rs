// SPDX-License-Identifier: MIT
//! What is kept between builds, and how it goes: when it is asked for, and by itself after builds
//! ([`crate::cache::Retention`]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyperbox_core::ServiceError;
use hyperbox_core::time::Timestamp;
use hyperbox_types::{ByteSize, DiffId, Digest, ErrorKind};

use super::{Builder, ForeignKept, Kept, KeptKind, PruneOptions, PrunedCache, Shared};
use crate::StepError;
use crate::cache::{Candidate, Entry, Limits, choose, only};

impl Builder {
    /// Lists what is kept between builds.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn disk_usage(&self) -> Result<Vec<Kept>, ServiceError> {
        let measured = self.shared.measure().await?;
        let records = self.shared.cache.all();
        let mut kept: Vec<Kept> = records
            .into_iter()
            .map(|(key, record)| Kept {
                id: key.hex().to_owned(),
                kind: KeptKind::Layer,
                description: record.description,
                size: measured.size(&record.layer.diff_id),
                in_use: false,
                shared: measured.of_images.contains(&record.layer.diff_id),
                created_at: record.created_at,
                used_at: Some(record.used_at),
                uses: record.uses,
            })
            .collect();
        let caches = self.shared.runs.caches().await.map_err(told)?;
        kept.extend(caches.into_iter().map(|cache| Kept {
            id: cache.id,
            kind: KeptKind::CacheMount,
            description: cache.description,
            size: cache.size,
            in_use: cache.in_use,
            shared: false,
            created_at: cache.created_at,
            used_at: cache.used_at,
            uses: cache.uses,
        }));
        kept.extend(self.shared.foreign.get().into_iter().flat_map(|foreign| foreign.kept()));
        Ok(kept)
    }

    /// Lists and removes with the rest what a door keeps for its clients. There is one such door: only the first is taken.
    pub fn keep_also(&self, foreign: Arc<dyn ForeignKept>) {
        let _only = self.shared.foreign.set(foreign);
    }

    /// Removes what is kept between builds. A build that goes on keeps what it uses.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn prune(&self, options: PruneOptions) -> Result<PrunedCache, ServiceError> {
        let _turn = self.shared.sweeping.lock().await;
        let limits = Limits {
            keep: options.keep,
            unused_for: options.unused_for,
            also_shared: options.all,
        };
        let mut candidates = self.shared.steps().await?;
        candidates.extend(self.shared.mounts().await?);
        candidates.extend(self.shared.foreign());
        only(&mut candidates, &options.ids);
        self.shared.sweep(limits, &candidates).await
    }

    /// Sweeps in the background, unless somebody does already.
    pub(super) fn sweep_later(&self) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let Ok(_turn) = shared.sweeping.try_lock() else { return };
            if let Err(error) = shared.sweep_what_is_due().await {
                tracing::warn!(%error, "the build cache is not swept");
            }
        });
    }
}

/// What layers occupy, and whose they are.
struct Measured {
    sizes: HashMap<DiffId, ByteSize>,
    of_images: HashSet<DiffId>,
}

impl Measured {
    fn size(&self, layer: &DiffId) -> ByteSize {
        self.sizes.get(layer).copied().unwrap_or_default()
    }
}

impl Shared {
    async fn measure(&self) -> Result<Measured, ServiceError> {
        let images = self.images.list();
        let layers = images.iter().flat_map(|image| &image.layers);
        Ok(Measured {
            of_images: layers.map(|layer| layer.diff_id.clone()).collect(),
            sizes: self.images.layer_sizes().await?,
        })
    }

    /// Sweeps by itself: what is too old, then what is too much.
    async fn sweep_what_is_due(&self) -> Result<(), ServiceError> {
        let now = Timestamp::now();
        let blobs = self.cache.layers().iter().map(|layer| layer.blob.size.0).sum();
        let looked_at = Timestamp(self.looked_at.load(Ordering::Relaxed));
        let due = self.retention.due(blobs, looked_at, now);
        if due.by_age {
            self.looked_at.store(now.0, Ordering::Relaxed);
            let mut candidates = self.steps().await?;
            candidates.extend(self.mounts().await?);
            candidates.extend(self.foreign());
            let gone = self.retention.too_old(&candidates, now);
            let swept = self.remove(gone, &candidates).await?;
            if !swept.ids.is_empty() {
                tracing::info!(
                    entries = swept.ids.len(),
                    "what no build used for long is gone from the build cache"
                );
            }
        }
        if due.by_size {
            let candidates = self.steps().await?;
            let gone = self.retention.too_much(&candidates, now);
            self.remove(gone, &candidates).await?;
        }
        Ok(())
    }

    /// Removes what goes by these limits.
    async fn sweep(&self, limits: Limits, candidates: &[Candidate]) -> Result<PrunedCache, ServiceError> {
        let gone = choose(candidates, Timestamp::now(), limits);
        self.remove(gone, candidates).await
    }

    /// Forgets steps and releases their layers, and removes directories of cache mounts.
    async fn remove(&self, gone: Vec<Entry>, candidates: &[Candidate]) -> Result<PrunedCache, ServiceError> {
        let (mut keys, mut mounts, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        for entry in gone {
            match entry {
                Entry::Step { key, .. } => keys.push(key),
                Entry::Mount(id) => mounts.push(id),
                Entry::Foreign(id) => foreign.push(id),
            }
        }
        let mut pruned = self.forget(&keys).await?;
        let sizes: HashMap<&str, ByteSize> = candidates
            .iter()
            .map(|candidate| (candidate.entry.id(), candidate.size))
            .collect();
        for id in mounts {
            // One that a step has begun to use meanwhile stays.
            if self.runs.remove_cache(&id).await.map_err(told)? {
                pruned.reclaimed.0 += sizes.get(id.as_str()).map_or(0, |size| size.0);
                pruned.ids.push(id);
            }
        }
        self.remove_foreign(foreign, &mut pruned).await?;
        Ok(pruned)
    }

    /// Removes what somebody else keeps.
    async fn remove_foreign(&self, ids: Vec<String>, pruned: &mut PrunedCache) -> Result<(), ServiceError> {
        let Some(keeper) = self.foreign.get().filter(|_| !ids.is_empty()).cloned() else {
            return Ok(());
        };
        let removing = tokio::task::spawn_blocking(move || {
            let removed = ids.into_iter().filter_map(|id| Some((keeper.remove(&id)?, id)));
            removed.collect::<Vec<_>>()
        });
        let removed = removing.await.map_err(|error| {
            ServiceError::from_mechanism("cannot remove files of clients", ErrorKind::Internal, error)
        })?;
        for (size, id) in removed {
            pruned.reclaimed.0 += size.0;
            pruned.ids.push(id);
        }
        Ok(())
    }

    /// Lists the records of steps.
    async fn steps(&self) -> Result<Vec<Candidate>, ServiceError> {
        let measured = self.measure().await?;
        let steps = self.cache.all().into_iter().map(|(key, record)| Candidate {
            size: measured.size(&record.layer.diff_id),
            shared: measured.of_images.contains(&record.layer.diff_id),
            stays: false,
            entry: Entry::Step {
                key,
                layer: record.layer.diff_id,
            },
            used_at: record.used_at,
        });
        Ok(steps.collect())
    }

    /// Lists the directories of cache mounts; one in use stays.
    async fn mounts(&self) -> Result<Vec<Candidate>, ServiceError> {
        let mounts = self.runs.caches().await.map_err(told)?;
        let mounts = mounts.into_iter().map(|mount| Candidate {
            entry: Entry::Mount(mount.id),
            size: mount.size,
            shared: false,
            stays: mount.in_use,
            used_at: mount.used_at.unwrap_or(mount.created_at),
        });
        Ok(mounts.collect())
    }

    /// Lists what somebody else keeps; what is in use stays.
    fn foreign(&self) -> Vec<Candidate> {
        let kept = self.foreign.get().map(|foreign| foreign.kept()).unwrap_or_default();
        let candidates = kept.into_iter().map(|kept| Candidate {
            entry: Entry::Foreign(kept.id),
            size: kept.size,
            shared: kept.shared,
            stays: kept.in_use,
            used_at: kept.used_at.unwrap_or(kept.created_at),
        });
        candidates.collect()
    }

    async fn forget(&self, keys: &[Digest]) -> Result<PrunedCache, ServiceError> {
        if keys.is_empty() {
            return Ok(PrunedCache::default());
        }
        let layers = self
            .cache
            .forget(keys)
            .map_err(|error| ServiceError::from_mechanism("cannot forget steps of builds", error.kind, error))?;
        let collected = self.images.release_layers(&layers).await;
        Ok(PrunedCache {
            ids: keys.iter().map(|key| key.hex().to_owned()).collect(),
            reclaimed: collected.size,
        })
    }
}

fn told(error: StepError) -> ServiceError {
    match error {
        StepError::Service(error) => error,
        error => {
            let kind = match error.kind() {
                ErrorKind::InvalidArgument => ErrorKind::Internal,
                kind => kind,
            };
            ServiceError::from_mechanism("cannot read the directories of cache mounts", kind, error)
        }
    }
}
