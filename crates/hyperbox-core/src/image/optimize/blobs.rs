// SPDX-License-Identifier: MIT
//! Removing compressed blobs that a registry has: the second copy of each layer.
//!
//! A record says where its blob is ([`ImageRecord::elsewhere`]) before the blob goes; push and save fetch it again, verified by its
//! digest, so they stay byte for byte what was pulled; if the registry cannot give it, the layer's archive is compressed anew. Blobs that
//! only this store has stay, and those of layers without archive. **Crashes**: a blob that is here although it
//! is said to be elsewhere is no harm; the next release removes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyperbox_types::{DiffId, Digest, ImageReference};

use crate::image::fetch::stored;
use crate::image::record::ImageRecord;
use crate::image::service::Images;
use crate::{Result, ServiceError, failpoint};

/// So many go at a time.
const AT_ONCE: usize = 16;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Released {
    pub(super) blobs: u64,
    pub(super) bytes: u64,
}

/// Returns the blobs of `wanted` that can go, with a name under which a registry has them: those of layers that are here with their
/// archives.
pub(super) fn releasable(
    images: &[Arc<ImageRecord>],
    wanted: impl Fn(&Digest) -> bool,
    has_archive: impl Fn(&DiffId) -> bool,
) -> BTreeMap<Digest, ImageReference> {
    let mut sources = BTreeMap::new();
    for image in images {
        for layer in &image.layers {
            let blob = &layer.blob.digest;
            // The youngest name: an earlier one may be of a registry with other blobs of the same image.
            let source = image.elsewhere.get(blob).or_else(|| image.digests.last());
            if let Some(source) = source
                && wanted(blob)
                && !sources.contains_key(blob)
                && has_archive(&layer.diff_id)
            {
                sources.insert(blob.clone(), source.clone());
            }
        }
    }
    sources
}

/// Returns the records that have to change before those blobs go.
pub(super) fn changed(images: &[Arc<ImageRecord>], sources: &BTreeMap<Digest, ImageReference>) -> Vec<ImageRecord> {
    let mut changed = Vec::new();
    for image in images {
        let mut elsewhere = image.elsewhere.clone();
        for layer in &image.layers {
            if let Some(source) = sources.get(&layer.blob.digest) {
                let known = elsewhere.entry(layer.blob.digest.clone());
                known.or_insert_with(|| source.clone());
            }
        }
        if elsewhere != image.elsewhere {
            let mut record = ImageRecord::clone(image);
            record.elsewhere = elsewhere;
            changed.push(record);
        }
    }
    changed
}

impl Images {
    /// Removes the compressed blobs of unpacked layers that a registry has, but for those that somebody relies on right now. Goes on when
    /// the caller stops waiting, who must not unlock anything while blobs go.
    ///
    /// # Errors
    /// Those of the records and of the content store; what was removed until then can be fetched again.
    pub(super) async fn release_blobs(&self) -> Result<Released> {
        let images = self.clone();
        let releasing = tokio::spawn(async move {
            let candidates = images.release_candidates().await?;
            let mut released = Released::default();
            for some in candidates.chunks(AT_ONCE) {
                let some = images.release_some(some).await?;
                released.blobs += some.blobs;
                released.bytes += some.bytes;
            }
            Ok(released)
        });
        releasing.await.map_err(interrupted)?
    }

    /// Lists the blobs that can go as things are; what comes meanwhile goes another time.
    async fn release_candidates(&self) -> Result<Vec<Digest>> {
        let images = self.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let with = &images.inner.with;
            let content = &with.content;
            // What cannot be looked at is told when it is to go.
            let may_be_here = |blob: &Digest| !matches!(content.info(blob), Ok(None));
            let sources = releasable(&images.list(), may_be_here, |layer| with.snapshotter.has_archive(layer));
            sources.into_keys().collect()
        });
        looking.await.map_err(interrupted)
    }

    /// Removes a few of them, as far as they still can go: who wants a lease waits meanwhile.
    async fn release_some(&self, some: &[Digest]) -> Result<Released> {
        let with = &self.inner.with;
        let _order = self.turn_to_change().await;
        // While it is locked nobody begins to rely on a blob: whoever does later reads the records as they are then.
        let table = self.inner.leases.lock().await;
        let images = self.list();
        let held = self.held();
        let in_use =
            |blob: &Digest| held.blobs.contains(blob) || table.protected().any(|held| held.blobs.contains(blob));
        let mut released = Released::default();
        let mut sources = BTreeMap::new();
        let wanted = |blob: &Digest| some.contains(blob);
        for (blob, source) in releasable(&images, wanted, |layer| with.snapshotter.has_archive(layer)) {
            if let Some(info) = with.content.info(&blob).map_err(stored)?
                && !in_use(&blob)
            {
                released.bytes += info.size.0;
                released.blobs += 1;
                sources.insert(blob, source);
            }
        }
        if sources.is_empty() {
            return Ok(released);
        }
        self.commit(changed(&images, &sources), &[])?;
        let (records, content) = (Arc::clone(&with.records), Arc::clone(&with.content));
        let removed = tokio::task::spawn_blocking(move || {
            let not_recorded = |error: &dyn std::fmt::Display| {
                ServiceError::internal(format!("the records are not on the disk: {error}"))
            };
            records.sync().map_err(|error| not_recorded(&error))?;
            failpoint!("optimize.before-release");
            sources.keys().try_for_each(|blob| {
                content.remove(blob).map_err(stored)?;
                failpoint!("optimize.after-release");
                Ok(())
            })
        });
        removed.await.map_err(interrupted)??;
        drop(table);
        Ok(released)
    }
}

fn interrupted(error: tokio::task::JoinError) -> ServiceError {
    ServiceError::internal("removing blobs was interrupted").with_source(error)
}
