// SPDX-License-Identifier: MIT
//! Leases and garbage collection of images' content.
//!
//! A lease protects blobs and layers that no record refers to *yet* (a pull in progress) or *any more* (a container that is being
//! made while its image goes). Leases live in memory: whatever they protected when the daemon died is garbage by definition.
//!
//! Collection holds the table of leases while it removes, so that nobody can begin to rely on content that is about to go.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use hyperbox_types::{DiffId, Digest};
use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::seam::{ContentStore, Snapshotter};

/// What somebody relies on.
#[derive(Debug, Clone, Default)]
struct Protected {
    blobs: HashSet<Digest>,
    layers: HashSet<DiffId>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    leases: HashMap<u64, Protected>,
}

/// All leases.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases {
    table: Arc<Mutex<Table>>,
    /// Ids of dropped leases: dropping cannot wait for the table.
    returned: Arc<std::sync::Mutex<Vec<u64>>>,
}

/// Protects content until it is dropped.
#[derive(Debug)]
pub struct LayerLease {
    id: u64,
    leases: Leases,
}

impl Leases {
    /// Opens a lease that protects nothing yet.
    pub(super) async fn open(&self) -> LayerLease {
        let mut table = self.table.lock().await;
        self.take_back(&mut table);
        table.next += 1;
        let id = table.next;
        table.leases.insert(id, Protected::default());
        LayerLease {
            id,
            leases: self.clone(),
        }
    }

    /// Forgets the leases that were dropped.
    fn take_back(&self, table: &mut Table) {
        let returned = std::mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner));
        for id in returned {
            table.leases.remove(&id);
        }
    }

    /// Removes all blobs and layers that neither a lease nor the caller's roots protect. Returns how many blobs and layers went.
    pub(super) async fn collect(
        &self,
        roots: impl FnOnce() -> (HashSet<Digest>, HashSet<DiffId>),
        content: &dyn ContentStore,
        snapshotter: &dyn Snapshotter,
    ) -> (usize, usize) {
        let mut table = self.table.lock().await;
        self.take_back(&mut table);
        let (mut blobs, mut layers) = roots();
        for protected in table.leases.values() {
            blobs.extend(protected.blobs.iter().cloned());
            layers.extend(protected.layers.iter().cloned());
        }
        let removed_blobs = remove_blobs(content, &blobs).await;
        let removed_layers = remove_layers(snapshotter, &layers).await;
        (removed_blobs, removed_layers)
    }
}

async fn remove_blobs(content: &dyn ContentStore, wanted: &HashSet<Digest>) -> usize {
    let stored = content.list().await.unwrap_or_else(|error| {
        warn!(%error, "blobs not listed");
        Vec::new()
    });
    let mut removed = 0;
    for blob in stored.into_iter().filter(|blob| !wanted.contains(&blob.digest)) {
        match content.remove(&blob.digest) {
            Ok(()) => removed += 1,
            Err(error) => warn!(digest = %blob.digest, %error, "blob not removed"),
        }
    }
    removed
}

async fn remove_layers(snapshotter: &dyn Snapshotter, wanted: &HashSet<DiffId>) -> usize {
    let stored = snapshotter.layers().await.unwrap_or_else(|error| {
        warn!(%error, "layers not listed");
        Vec::new()
    });
    let mut removed = 0;
    for (layer, _) in stored.into_iter().filter(|(layer, _)| !wanted.contains(layer)) {
        debug!(%layer, "collecting a layer");
        match snapshotter.remove_layer(&layer).await {
            Ok(()) => removed += 1,
            Err(error) => warn!(%layer, %error, "layer not removed"),
        }
    }
    removed
}

impl LayerLease {
    /// Protects more content. When this returns, no collection removes it.
    pub(super) async fn protect(
        &self,
        blobs: impl IntoIterator<Item = Digest>,
        layers: impl IntoIterator<Item = DiffId>,
    ) {
        let mut table = self.leases.table.lock().await;
        let protected = table.leases.entry(self.id).or_default();
        protected.blobs.extend(blobs);
        protected.layers.extend(layers);
    }
}

impl Drop for LayerLease {
    fn drop(&mut self) {
        let mut returned = self.leases.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.push(self.id);
    }
}
