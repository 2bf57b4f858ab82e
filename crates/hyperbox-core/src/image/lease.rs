// SPDX-License-Identifier: MIT
//! Leases: who relies on content that no record refers to, *yet* (a pull, a load or a commit in progress) or *any more* (a container
//! that is being made, a push or a save that goes on while the image goes).
//!
//! Leases live in memory: whatever they protected when the daemon died is garbage by definition. A lease is taken before the first
//! byte is written and lasts until the record is there. A collection ([`super::collect`]) holds the table of leases from before it
//! looks for garbage until after it has removed it, so nobody can begin to rely on content that is about to go.
//!
//! Content that lost somebody who relied on it is a *suspect*: only suspects can have become garbage, so a collection looks at nothing
//! else. They are told without waiting, from destructors too, and taken over under the table's lock.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use hyperbox_types::{DiffId, Digest};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::task::TaskTracker;

use crate::seam::{Busy, Pace};
use crate::{Result, ServiceError};

/// Blobs and unpacked layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) blobs: HashSet<Digest>,
    pub(super) layers: HashSet<DiffId>,
}

impl Content {
    pub(super) fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.layers.is_empty()
    }

    /// Adds what `other` has.
    pub(super) fn extend(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
        self.layers.extend(other.layers);
    }

    /// Takes away what `other` has.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.blobs.retain(|blob| !other.blobs.contains(blob));
        self.layers.retain(|layer| !other.layers.contains(layer));
    }

    /// Returns every digest that a text contains: what a record that cannot be read may refer to.
    pub(super) fn mentioned_in(text: &str) -> Self {
        let mut found = Self::default();
        for (start, _) in text.match_indices("sha") {
            let length = if text[start..].starts_with("sha256:") { 71 } else { 135 };
            let digest = text.get(start..start + length).map(Digest::parse);
            if let Some(Ok(digest)) = digest {
                found.layers.insert(DiffId(digest.clone()));
                found.blobs.insert(digest);
            }
        }
        found
    }
}

/// The table of leases and what is suspected.
#[derive(Debug, Default)]
pub(super) struct Table {
    next: u64,
    leases: HashMap<u64, Content>,
    pub(super) suspects: Content,
}

impl Table {
    /// Returns what each lease protects.
    pub(super) fn protected(&self) -> impl Iterator<Item = &Content> {
        self.leases.values()
    }
}

/// What was told without waiting for the table.
#[derive(Debug, Default)]
struct Told {
    returned: Vec<u64>,
    suspects: Content,
}

#[derive(Debug, Default)]
struct Shared {
    table: Arc<Mutex<Table>>,
    told: std::sync::Mutex<Told>,
    /// Background work pauses while there are leases.
    pace: Arc<Pace>,
}

/// All leases. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases {
    shared: Arc<Shared>,
}

/// Protects content until it and its clones are dropped.
#[derive(Debug, Clone)]
pub struct LayerLease {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    id: u64,
    leases: Leases,
    /// Work that goes on whoever waits for it.
    works: TaskTracker,
    _busy: Busy,
}

impl Leases {
    /// Opens a lease that protects nothing yet.
    pub(super) async fn open(&self) -> LayerLease {
        let mut table = self.lock().await;
        table.next += 1;
        let id = table.next;
        table.leases.insert(id, Content::default());
        let leases = self.clone();
        LayerLease {
            held: Arc::new(Held {
                id,
                leases,
                works: TaskTracker::new(),
                _busy: self.shared.pace.busy(),
            }),
        }
    }

    /// Locks the table, with everything taken over that was told until now. While it is locked, nobody begins to rely on content.
    pub(super) async fn lock(&self) -> OwnedMutexGuard<Table> {
        let mut table = Arc::clone(&self.shared.table).lock_owned().await;
        let told = std::mem::take(&mut *self.told());
        for id in told.returned {
            if let Some(content) = table.leases.remove(&id) {
                table.suspects.extend(content);
            }
        }
        table.suspects.extend(told.suspects);
        table
    }

    /// What background work goes by.
    pub(super) fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.shared.pace)
    }

    /// Tells that content lost somebody who relied on it.
    pub(super) fn suspect(&self, content: Content) {
        self.told().suspects.extend(content);
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LayerLease {
    /// Protects more content. When this returns, no collection removes it.
    pub(super) async fn protect(
        &self,
        blobs: impl IntoIterator<Item = Digest>,
        layers: impl IntoIterator<Item = DiffId>,
    ) {
        let mut table = self.held.leases.lock().await;
        let protected = table.leases.entry(self.held.id).or_default();
        protected.blobs.extend(blobs);
        protected.layers.extend(layers);
    }

    /// Does work that goes on when the caller stops waiting for it: content that becomes visible then is still protected, and is a
    /// suspect afterwards.
    ///
    /// # Errors
    /// `Internal` when the work panicked.
    pub(super) async fn during<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let lease = self.clone();
        let work = self.held.works.spawn(async move {
            let result = work.await;
            drop(lease);
            result
        });
        work.await
            .map_err(|error| ServiceError::internal("work on image content was interrupted").with_source(error))
    }
}

impl LayerLease {
    /// Waits for work that goes on although nobody waits for it: what it makes visible is there then, and can be collected.
    pub(super) async fn settle(&self) {
        self.held.works.close();
        self.held.works.wait().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.told().returned.push(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(number: u8) -> Digest {
        Digest::from_sha256([number; 32])
    }

    #[test]
    fn digests_are_found_in_any_text() {
        let (one, two) = (blob(1), Digest::from_sha512([2; 64]));
        let text = format!("{{\"x\":[\"{one}\",\"a@{two}\"],\"sha256:short\":\"sha\"}} sha256:");
        let found = Content::mentioned_in(&text);
        assert_eq!(found.blobs, [one.clone(), two.clone()].into());
        assert_eq!(found.layers, [DiffId(one), DiffId(two)].into());
        assert!(Content::mentioned_in("shasha256:é").is_empty());
    }

    #[tokio::test]
    async fn what_a_lease_protected_is_suspected_when_its_last_clone_goes() {
        let leases = Leases::default();
        let lease = leases.open().await;
        lease.protect([blob(1)], [DiffId(blob(2))]).await;
        let clone = lease.clone();
        drop(lease);
        {
            let table = leases.lock().await;
            assert_eq!(table.protected().count(), 1);
            assert!(table.suspects.is_empty());
        }
        drop(clone);
        let table = leases.lock().await;
        assert_eq!(table.protected().count(), 0);
        assert_eq!(table.suspects.blobs, [blob(1)].into());
        assert_eq!(table.suspects.layers, [DiffId(blob(2))].into());
    }

    #[tokio::test]
    async fn work_outlives_its_caller_and_the_lease_lasts_as_long() {
        let leases = Leases::default();
        let lease = leases.open().await;
        lease.protect([blob(1)], []).await;
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let caller = {
            let lease = lease.clone();
            tokio::spawn(async move { lease.during(gone).await.map(drop) })
        };
        tokio::task::yield_now().await;
        caller.abort();
        assert!(caller.await.is_err());
        drop(lease);
        assert_eq!(leases.lock().await.protected().count(), 1);
        drop(go);
        while leases.lock().await.protected().count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
