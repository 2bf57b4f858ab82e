// SPDX-License-Identifier: MIT
//! Garbage collection of images' content.
//!
//! Alive is what an image's record, a container's layers, the build cache, a lease or a record that cannot be read refers to. Everything else is garbage
//! and goes: blobs and layers are first invisible, then deleted in the background (by the stores). Only *suspects*
//! ([`super::lease`]) are looked at, except once at start, when everything is.
//!
//! **Races**: from before the references are read until after the garbage is gone the table of leases is locked; whoever wants to rely
//! on content takes a lease first, and whoever stops does it after its record is written. So each collection sees content referred to
//! by a record, by a lease, or by nobody for good. It runs in a task of its own: a caller that stops waiting must not unlock the
//! table while a layer is half removed.
//!
//! **Crashes**: records go before content, and reach the disk before content goes ([`crate::seam::Records::sync`]): a machine that dies
//! never has a record whose content is gone. What was not collected is found at the next start.

use std::collections::HashSet;

use hyperbox_types::{ByteSize, DiffId, ErrorKind, ImageId};
use tracing::{debug, warn};

use super::lease::{Content, LayerLease, Table};
use super::record::ImageRecord;
use super::service::{ImageUser, Images, no_such_image};
use crate::container::ContainerRecord;
use crate::seam::{Records, RecordsError, Table as RecordTable};
use crate::{Result, ServiceError, failpoint};

/// What a collection took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Blobs.
    pub blobs: usize,
    /// Unpacked layers.
    pub layers: usize,
    /// Bytes of both on disk.
    pub size: ByteSize,
}

/// What a collection looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All that is stored.
    Everything,
    /// What lost somebody who relied on it.
    Suspects,
}

impl ImageRecord {
    /// Returns what the image consists of.
    pub(super) fn content(&self) -> Content {
        Content {
            blobs: self.blobs().cloned().collect(),
            layers: self.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
        }
    }
}

/// Returns what of `candidates` nothing refers to.
pub(super) fn garbage<'a>(mut candidates: Content, references: impl IntoIterator<Item = &'a Content>) -> Content {
    for referred in references {
        candidates.subtract(referred);
    }
    candidates
}

/// Returns what records refer to that this build cannot read: a newer one may.
///
/// # Errors
/// Those of the records.
pub(super) fn of_unreadable_records(records: &dyn Records) -> std::result::Result<Content, RecordsError> {
    let mut content = Content::default();
    for (_, json) in records.load(RecordTable::Images)? {
        if serde_json::from_str::<ImageRecord>(&json).is_err() {
            content.extend(Content::mentioned_in(&json));
        }
    }
    for (_, json) in records.load(RecordTable::Containers)? {
        if serde_json::from_str::<ContainerRecord>(&json).is_err() {
            content.extend(Content::mentioned_in(&json));
        }
    }
    Ok(content)
}

impl Images {
    /// Protects an image's content from collection until the lease is dropped.
    ///
    /// # Errors
    /// `NotFound` when the image went before the lease began.
    pub async fn lease(&self, image: &ImageRecord) -> Result<LayerLease> {
        let lease = self.inner.leases.open().await;
        let content = image.content();
        lease.protect(content.blobs, content.layers).await;
        // A collection that took it away has ended by now; a record that is there is so with all its content.
        if self.has(&image.id) {
            Ok(lease)
        } else {
            Err(no_such_image(&image.id.to_string()))
        }
    }

    /// Finds an image and protects it, whatever its name comes to mean meanwhile.
    ///
    /// # Errors
    /// `NotFound` with Docker's text.
    pub async fn get_leased(&self, reference: &str) -> Result<(std::sync::Arc<ImageRecord>, LayerLease)> {
        loop {
            let image = self.get(reference)?;
            if let Ok(lease) = self.lease(&image).await {
                return Ok((image, lease));
            }
        }
    }

    /// Removes all blobs and layers that nothing refers to. Called once at start, for what a crash left. Goes on when the caller stops
    /// waiting.
    pub async fn collect(&self) -> Collected {
        self.collect_in(Scope::Everything).await
    }

    pub(super) async fn collect_in(&self, scope: Scope) -> Collected {
        let images = self.clone();
        let collection = tokio::spawn(async move { images.collect_now(scope).await });
        collection.await.unwrap_or_else(|error| {
            warn!(%error, "a collection of image content was interrupted");
            Collected::default()
        })
    }

    /// Tells that a container is gone; its layers go when its image has gone before it. Never waits.
    pub(crate) fn let_go(&self, image: &ImageId, layers: &[DiffId]) {
        if self.has(image) || layers.is_empty() {
            return;
        }
        self.inner.leases.suspect(Content {
            blobs: HashSet::new(),
            layers: layers.iter().cloned().collect(),
        });
        let images = self.clone();
        tokio::spawn(async move { images.collect_now(Scope::Suspects).await });
    }

    /// Gives back what a failed transfer stored when there was no room for it. After other failures it stays until the next collection:
    /// whoever tries again need not fetch it again.
    pub(super) async fn give_back_after(&self, error: &ServiceError) {
        if error.kind() == ErrorKind::ResourceExhausted {
            self.collect_in(Scope::Suspects).await;
        }
    }

    async fn collect_now(&self, scope: Scope) -> Collected {
        let mut table = self.inner.leases.lock().await;
        let garbage = self.find_garbage(&mut table, scope).await;
        if garbage.is_empty() {
            return Collected::default();
        }
        let records = std::sync::Arc::clone(&self.inner.with.records);
        let synced = tokio::task::spawn_blocking(move || records.sync().map_err(|error| error.to_string()));
        if let Err(error) = synced.await.unwrap_or_else(|error| Err(error.to_string())) {
            warn!(error, "nothing is collected: the records are not on disk");
            table.suspects.extend(garbage);
            return Collected::default();
        }
        failpoint!("collect.before-removal");
        let (collected, left) = self.remove_content(garbage).await;
        table.suspects.extend(left);
        debug!(
            blobs = collected.blobs,
            layers = collected.layers,
            "collected image content"
        );
        collected
    }

    /// Returns the garbage among what the scope covers. The table is locked by the caller.
    pub(super) async fn find_garbage(&self, table: &mut Table, scope: Scope) -> Content {
        let mut candidates = std::mem::take(&mut table.suspects);
        if scope == Scope::Everything {
            candidates.extend(self.stored().await);
        }
        if candidates.is_empty() {
            return candidates;
        }
        let records: Vec<Content> = self.table().values().map(|image| image.content()).collect();
        let users = Content {
            blobs: HashSet::new(),
            layers: self
                .users()
                .into_iter()
                .flat_map(|user: ImageUser| user.layers)
                .collect(),
        };
        let held = self.held();
        let own = [&users, &held, &self.inner.unreadable];
        garbage(candidates, records.iter().chain(table.protected()).chain(own))
    }

    /// Lists all that is stored.
    async fn stored(&self) -> Content {
        let with = &self.inner.with;
        let blobs = with.content.list().await.unwrap_or_else(|error| {
            warn!(%error, "blobs not listed");
            Vec::new()
        });
        let layers = with.snapshotter.layers().await.unwrap_or_else(|error| {
            warn!(%error, "layers not listed");
            Vec::new()
        });
        Content {
            blobs: blobs.into_iter().map(|blob| blob.digest).collect(),
            layers: layers.into_iter().map(|(layer, _)| layer).collect(),
        }
    }

    /// Removes content; returns what could not be removed as well.
    async fn remove_content(&self, garbage: Content) -> (Collected, Content) {
        let with = &self.inner.with;
        let (mut collected, mut left) = (Collected::default(), Content::default());
        for blob in garbage.blobs {
            let Ok(Some(info)) = with.content.info(&blob) else {
                continue;
            };
            if let Err(error) = with.content.remove(&blob) {
                warn!(digest = %blob, %error, "blob not removed");
                left.blobs.insert(blob);
                continue;
            }
            collected.blobs += 1;
            collected.size.0 += info.size.0;
            failpoint!("collect.after-blob");
        }
        let sizes: std::collections::HashMap<_, _> = with
            .snapshotter
            .layers()
            .await
            .unwrap_or_default()
            .into_iter()
            .collect();
        for layer in garbage.layers {
            let Some(usage) = sizes.get(&layer) else {
                continue;
            };
            debug!(%layer, "collecting a layer");
            if let Err(error) = with.snapshotter.remove_layer(&layer).await {
                warn!(%layer, %error, "layer not removed");
                left.layers.insert(layer);
                continue;
            }
            collected.layers += 1;
            collected.size.0 += usage.size.0;
            failpoint!("collect.after-layer");
        }
        (collected, left)
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::Digest;

    use super::*;

    fn content(blobs: &[u8], layers: &[u8]) -> Content {
        let digest = |number: &u8| Digest::from_sha256([*number; 32]);
        Content {
            blobs: blobs.iter().map(digest).collect(),
            layers: layers.iter().map(|number| DiffId(digest(number))).collect(),
        }
    }

    #[test]
    fn garbage_is_what_nobody_refers_to() {
        let candidates = content(&[1, 2, 3], &[1, 2]);
        for (references, left) in [
            (vec![], candidates.clone()),
            (vec![content(&[1], &[])], content(&[2, 3], &[1, 2])),
            // A blob keeps no layer of the same digest, and the other way round.
            (vec![content(&[2], &[1]), content(&[3], &[9])], content(&[1], &[2])),
            (vec![candidates.clone()], Content::default()),
        ] {
            assert_eq!(garbage(candidates.clone(), &references), left);
        }
    }
}
