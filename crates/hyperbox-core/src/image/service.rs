// SPDX-License-Identifier: MIT
//! The image service: which images there are, under which names.
//!
//! Records are loaded once and kept in memory; a change is one transaction, after which the table in memory follows. Content is
//! collected when an image goes, never while it is being made (see `lease.rs`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures_util::Stream;
use hyperbox_types::{ByteSize, DiffId, Digest, ImageId, ImageReference, RootMount};
use tracing::warn;

use super::lease::{LayerLease, Leases};
use super::record::ImageRecord;
use crate::event::{EventKind, Events};
use crate::seam::{
    Change, ContentStore, Credentials, Records, Registry, RegistryError, SearchResult, Snapshotter, Table,
};
use crate::time::Timestamp;
use crate::{Result, ServiceError};

/// Something to tell about a transfer.
#[derive(Debug)]
pub enum TransferProgress {
    /// A stage of the whole, or of one layer.
    Status {
        /// The layer, shortened.
        id: Option<String>,
        /// What happens.
        status: String,
    },
    /// Bytes of one layer.
    Advance {
        /// The layer, shortened.
        id: String,
        /// `Downloading`, `Extracting`, `Pushing`.
        status: &'static str,
        /// So far.
        current: u64,
        /// In all.
        total: u64,
    },
    /// Facts for programs.
    Aux(serde_json::Value),
    /// It failed; nothing follows.
    Failed(ServiceError),
}

/// The course of a transfer. Dropping it cancels the transfer.
pub type ProgressStream = Pin<Box<dyn Stream<Item = TransferProgress> + Send>>;

/// What happened to an image or a name of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovedImage {
    /// The name is gone.
    Untagged(String),
    /// The image is gone.
    Deleted(String),
}

/// How to remove an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveImageOptions {
    /// Also when stopped containers use it or it has several names.
    pub force: bool,
    /// Keep untagged parents (this engine has none).
    pub no_prune: bool,
}

/// What the service stands on.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "fields without a comment are the seam or service of their name"
)]
pub struct ImageDependencies {
    pub records: Arc<dyn Records>,
    pub content: Arc<dyn ContentStore>,
    pub snapshotter: Arc<dyn Snapshotter>,
    pub registry: Arc<dyn Registry>,
    pub events: Events,
    /// Where archives are spooled while they are loaded; emptied at start.
    pub spool_dir: std::path::PathBuf,
}

/// Tells which images containers use. Set once the container service exists.
pub type ImageUsers = Box<dyn Fn() -> Vec<ImageUser> + Send + Sync>;

/// A container that uses an image.
#[derive(Debug, Clone)]
pub struct ImageUser {
    /// Its shortened id.
    pub container: String,
    /// Whether it runs.
    pub running: bool,
    /// The image.
    pub image: ImageId,
    /// The layers it stands on.
    pub layers: Vec<DiffId>,
}

/// Keeps images. Cheap to clone.
#[derive(Clone)]
pub struct Images {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) with: ImageDependencies,
    pub(super) leases: Leases,
    pub(super) fetching: Mutex<HashMap<Digest, std::sync::Weak<tokio::sync::Mutex<()>>>>,
    table: Mutex<BTreeMap<ImageId, Arc<ImageRecord>>>,
    /// Orders changes of records, so that two tags in a row do not lose one another.
    changing: tokio::sync::Mutex<()>,
    users: RwLock<Option<ImageUsers>>,
}

impl fmt::Debug for Images {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Images").finish_non_exhaustive()
    }
}

impl Images {
    /// Makes the service from the records.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn open(with: ImageDependencies) -> Result<Self> {
        let rows = with
            .records
            .load(Table::Images)
            .map_err(|error| ServiceError::from_mechanism("cannot read images", error.kind, error))?;
        let mut table = BTreeMap::new();
        for (key, json) in rows {
            match serde_json::from_str::<ImageRecord>(&json) {
                Ok(record) => {
                    table.insert(record.id.clone(), Arc::new(record));
                }
                Err(error) => warn!(image = key, %error, "unreadable image record left alone"),
            }
        }
        let inner = Inner {
            with,
            leases: Leases::default(),
            fetching: Mutex::default(),
            table: Mutex::new(table),
            changing: tokio::sync::Mutex::default(),
            users: RwLock::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Says how to find out which images are in use.
    pub fn set_users(&self, users: ImageUsers) {
        *self.inner.users.write().unwrap_or_else(PoisonError::into_inner) = Some(users);
    }

    /// Returns all images, the youngest first.
    pub fn list(&self) -> Vec<Arc<ImageRecord>> {
        let mut images: Vec<_> = self.table().values().cloned().collect();
        images.sort_by(|one, other| {
            other
                .created_at
                .cmp(&one.created_at)
                .then_with(|| one.id.cmp(&other.id))
        });
        images
    }

    /// Returns an image by reference, id, or unambiguous beginning of its id.
    ///
    /// # Errors
    /// `NotFound` with Docker's text.
    pub fn get(&self, reference: &str) -> Result<Arc<ImageRecord>> {
        let table = self.table();
        find(&table, reference).ok_or_else(|| no_such_image(reference))
    }

    /// Returns where an image's files are; `None` when a layer of it is not unpacked.
    pub fn root(&self, record: &ImageRecord) -> Option<RootMount> {
        let layers: Vec<DiffId> = record.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        self.inner.with.snapshotter.view(&layers).ok()
    }

    /// Tells whether an image is here.
    pub(crate) fn has(&self, id: &ImageId) -> bool {
        self.table().contains_key(id)
    }

    /// Returns the uncompressed size of an image; zero when it is gone.
    pub(crate) fn size_of(&self, id: &ImageId) -> ByteSize {
        self.table().get(id).map_or(ByteSize(0), |image| image.size)
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// `NotFound` without the image, `InvalidArgument` for a name with a digest.
    pub async fn tag(&self, image: &str, target: ImageReference) -> Result<()> {
        if target.digest().is_some() {
            return Err(ServiceError::invalid(
                "refusing to create a tag with a digest reference",
            ));
        }
        let record = self.get(image)?;
        self.name(&record.id, &target).await?;
        self.publish("tag", &record.id, &target.familiar());
        Ok(())
    }

    /// Moves a name to an image, in one transaction.
    async fn name(&self, id: &ImageId, target: &ImageReference) -> Result<()> {
        let _order = self.inner.changing.lock().await;
        let mut changed = self.without_name(target, id);
        let mut record = self
            .table()
            .get(id)
            .map(|record| ImageRecord::clone(record))
            .ok_or_else(|| no_such_image(&id.to_string()))?;
        if !record.references.contains(target) {
            record.references.push(target.clone());
            record.references.sort();
        }
        record.tagged_at = Timestamp::now();
        changed.push(record);
        self.commit(changed, &[])
    }

    /// Returns the other images that lose a name.
    fn without_name(&self, name: &ImageReference, keeper: &ImageId) -> Vec<ImageRecord> {
        self.table()
            .values()
            .filter(|record| record.id != *keeper && record.references.contains(name))
            .map(|record| {
                let mut record = ImageRecord::clone(record);
                record.references.retain(|reference| reference != name);
                record
            })
            .collect()
    }

    /// Makes an image visible under the given names: the commit point of pull and load.
    pub(super) async fn publish_image(
        &self,
        mut record: ImageRecord,
        name: Option<&ImageReference>,
        digest_name: Option<ImageReference>,
    ) -> Result<()> {
        let _order = self.inner.changing.lock().await;
        let known = self.table().get(&record.id).cloned();
        if let Some(known) = known {
            record.references.clone_from(&known.references);
            record.digests.clone_from(&known.digests);
        }
        let mut changed = Vec::new();
        if let Some(name) = name {
            changed = self.without_name(name, &record.id);
            if !record.references.contains(name) {
                record.references.push(name.clone());
                record.references.sort();
            }
        }
        if let Some(name) = digest_name
            && !record.digests.contains(&name)
        {
            record.digests.push(name);
        }
        changed.push(record);
        self.commit(changed, &[])
    }

    /// Removes a name of an image, and the image with its last name.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` with Docker's texts when containers use it or, by id, when it has several names.
    pub async fn remove(&self, reference: &str, options: RemoveImageOptions) -> Result<Vec<RemovedImage>> {
        let (removed, deleted) = self.remove_record(reference, options).await?;
        if deleted {
            self.collect().await;
        }
        Ok(removed)
    }

    /// Decides and removes in one turn, so that a name that moves meanwhile is not lost. Tells whether an image went.
    async fn remove_record(&self, reference: &str, options: RemoveImageOptions) -> Result<(Vec<RemovedImage>, bool)> {
        let _order = self.inner.changing.lock().await;
        let record = self.get(reference)?;
        let by_id = is_id_of(&record.id, reference);
        let name = if by_id {
            None
        } else {
            ImageReference::parse(reference).ok()
        };
        let users = self.users_of(&record.id);
        let mut removed = Vec::new();
        if let Some(name) = &name {
            let others = record.references.iter().any(|other| other != name);
            // What runs keeps its image: force takes only the name away, as with Docker.
            let kept = options.force && users.iter().any(|user| user.running);
            if others || kept {
                self.untag(&record, name, &mut removed)?;
                return Ok((removed, false));
            }
        } else if record.references.len() > 1 && !options.force {
            return Err(ServiceError::conflict(format!(
                "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
                record.id.short()
            )));
        }
        refuse_if_used(&record.id, name.as_ref(), &users, options.force)?;
        for reference in &record.references {
            removed.push(RemovedImage::Untagged(reference.familiar()));
        }
        for digest in &record.digests {
            removed.push(RemovedImage::Untagged(digest.familiar()));
        }
        self.commit(Vec::new(), std::slice::from_ref(&record.id))?;
        for entry in &removed {
            if let RemovedImage::Untagged(name) = entry {
                self.publish("untag", &record.id, name);
            }
        }
        removed.push(RemovedImage::Deleted(record.id.to_string()));
        self.publish("delete", &record.id, &record.id.to_string());
        Ok((removed, true))
    }

    /// Takes a name away from an image that has others. The caller holds the turn.
    fn untag(&self, record: &ImageRecord, name: &ImageReference, removed: &mut Vec<RemovedImage>) -> Result<()> {
        let id = &record.id;
        let mut record = record.clone();
        record.references.retain(|reference| reference != name);
        record.digests.retain(|digest| digest != name);
        self.commit(vec![record], &[])?;
        removed.push(RemovedImage::Untagged(name.familiar()));
        self.publish("untag", id, &name.familiar());
        Ok(())
    }

    /// Removes images that no container uses: those without a name, or all.
    ///
    /// # Errors
    /// None at present: what cannot be removed is left out of the result.
    pub async fn prune(
        &self,
        all: bool,
        filter: &(dyn Fn(&ImageRecord) -> bool + Send + Sync),
    ) -> Result<(Vec<RemovedImage>, ByteSize)> {
        let mut removed = Vec::new();
        let mut reclaimed = ByteSize(0);
        for record in self.list() {
            if !(all || record.references.is_empty()) || !self.users_of(&record.id).is_empty() || !filter(&record) {
                continue;
            }
            let options = RemoveImageOptions {
                force: true,
                no_prune: false,
            };
            if let Ok(entries) = self.remove(&record.id.to_string(), options).await {
                removed.extend(entries);
                reclaimed.0 += record.size.0;
            }
        }
        Ok((removed, reclaimed))
    }

    /// Returns what all layers occupy.
    ///
    /// # Errors
    /// Those of the snapshotter.
    pub async fn disk_usage(&self) -> Result<ByteSize> {
        let layers = self
            .inner
            .with
            .snapshotter
            .layers()
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot measure layers", error.kind(), error))?;
        Ok(ByteSize(layers.iter().map(|(_, usage)| usage.size.0).sum()))
    }

    /// Checks credentials with a registry; returns an identity token where it gives one.
    ///
    /// # Errors
    /// `PermissionDenied`, `Unavailable`.
    pub async fn login(&self, host: &str, credentials: &Credentials) -> Result<Option<String>> {
        self.inner
            .with
            .registry
            .login(host, credentials)
            .await
            .map_err(|error| registry_failure("login", error))
    }

    /// Searches a registry that can be searched.
    ///
    /// # Errors
    /// `NotFound` when it cannot, `PermissionDenied`, `Unavailable`.
    pub async fn search(
        &self,
        host: &str,
        term: &str,
        limit: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<SearchResult>> {
        let registry = &self.inner.with.registry;
        registry
            .search(host, term, limit, credentials)
            .await
            .map_err(|error| registry_failure("search", error))
    }

    /// Protects an image's layers from collection until the lease is dropped.
    pub(crate) async fn lease(&self, image: &ImageRecord) -> LayerLease {
        let lease = self.inner.leases.open().await;
        lease
            .protect(
                image.blobs().cloned(),
                image.layers.iter().map(|layer| layer.diff_id.clone()),
            )
            .await;
        lease
    }

    /// Removes blobs and layers that nothing refers to. Also called once at start, for what a crash left.
    pub async fn collect(&self) {
        let with = &self.inner.with;
        let roots = || self.roots();
        let (blobs, layers) = self
            .inner
            .leases
            .collect(roots, with.content.as_ref(), with.snapshotter.as_ref())
            .await;
        if blobs + layers > 0 {
            tracing::debug!(blobs, layers, "collected image content");
        }
    }

    fn roots(&self) -> (HashSet<Digest>, HashSet<DiffId>) {
        let mut blobs = HashSet::new();
        let mut layers = HashSet::new();
        for image in self.table().values() {
            blobs.extend(image.blobs().cloned());
            layers.extend(image.layers.iter().map(|layer| layer.diff_id.clone()));
        }
        for user in self.users() {
            layers.extend(user.layers);
        }
        (blobs, layers)
    }

    fn users(&self) -> Vec<ImageUser> {
        let users = self.inner.users.read().unwrap_or_else(PoisonError::into_inner);
        users.as_ref().map(|users| users()).unwrap_or_default()
    }

    fn users_of(&self, id: &ImageId) -> Vec<ImageUser> {
        self.users().into_iter().filter(|user| user.image == *id).collect()
    }

    pub(super) fn table(&self) -> MutexGuard<'_, BTreeMap<ImageId, Arc<ImageRecord>>> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes and forgets records in one transaction, then shows the result.
    fn commit(&self, changed: Vec<ImageRecord>, gone: &[ImageId]) -> Result<()> {
        let mut changes = Vec::with_capacity(changed.len() + gone.len());
        for record in &changed {
            let value = serde_json::to_string(record).map_err(|error| {
                ServiceError::internal(format!("cannot encode the record of image {}", record.id)).with_source(error)
            })?;
            changes.push(Change::Put {
                table: Table::Images,
                key: record.id.to_string(),
                value,
            });
        }
        changes.extend(gone.iter().map(|id| Change::Remove {
            table: Table::Images,
            key: id.to_string(),
        }));
        self.inner
            .with
            .records
            .apply(&changes)
            .map_err(|error| ServiceError::from_mechanism("cannot record the image", error.kind, error))?;
        let mut table = self.table();
        for record in changed {
            table.insert(record.id.clone(), Arc::new(record));
        }
        for id in gone {
            table.remove(id);
        }
        Ok(())
    }

    pub(super) fn publish(&self, action: &str, id: &ImageId, name: &str) {
        let attributes = [("name".to_owned(), name.to_owned())].into();
        self.inner
            .with
            .events
            .publish(EventKind::Image, action, id.to_string(), attributes);
    }
}

fn find(table: &BTreeMap<ImageId, Arc<ImageRecord>>, reference: &str) -> Option<Arc<ImageRecord>> {
    if let Ok(parsed) = ImageReference::parse(reference) {
        let named = |record: &&Arc<ImageRecord>| {
            record.references.contains(&parsed)
                || parsed.digest().is_some_and(|digest| {
                    record
                        .digests
                        .iter()
                        .any(|known| known.repository() == parsed.repository() && known.digest() == Some(digest))
                })
        };
        if let Some(record) = table.values().find(named) {
            return Some(Arc::clone(record));
        }
    }
    let mut matching = table.values().filter(|record| is_id_of(&record.id, reference));
    match (matching.next(), matching.next()) {
        (Some(record), None) => Some(Arc::clone(record)),
        _ => None,
    }
}

/// Tells whether the text is an id of that image or the beginning of one.
fn is_id_of(id: &ImageId, text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() >= 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.0.hex().starts_with(hex)
}

/// Refuses with Docker's texts: by name whenever a container uses the image, by id what force cannot or was not asked to do.
fn refuse_if_used(id: &ImageId, name: Option<&ImageReference>, users: &[ImageUser], force: bool) -> Result<()> {
    let running = users.iter().find(|user| user.running);
    let message = match (name, running, users.first()) {
        (Some(name), _, Some(user)) if !force => format!(
            "conflict: unable to remove repository reference \"{}\" (must force) - container {} is using its referenced \
             image {}",
            name.familiar(),
            user.container,
            id.short()
        ),
        (None, Some(user), _) => format!(
            "conflict: unable to delete {} (cannot be forced) - image is being used by running container {}",
            id.short(),
            user.container
        ),
        (None, None, Some(user)) if !force => format!(
            "conflict: unable to delete {} (must be forced) - image is being used by stopped container {}",
            id.short(),
            user.container
        ),
        _ => return Ok(()),
    };
    Err(ServiceError::conflict(message))
}

/// Docker's text for an image that is not here.
pub(super) fn no_such_image(reference: &str) -> ServiceError {
    let shown = match ImageReference::parse(reference) {
        Ok(parsed) if !reference.starts_with("sha256:") => parsed.familiar(),
        _ => reference.to_owned(),
    };
    ServiceError::not_found(format!("No such image: {shown}"))
}

/// Gives a registry's failure its sentence: it names the image already.
pub(super) fn registry_failure(_doing: &str, error: RegistryError) -> ServiceError {
    let hint = match error.fault {
        crate::seam::RegistryFault::Unauthorized | crate::seam::RegistryFault::Denied => {
            Some("log in with 'hb login' and check the name")
        }
        crate::seam::RegistryFault::Unavailable => Some("check that the registry is reachable, then try again"),
        _ => None,
    };
    let mut message = error.message.clone();
    let mut cause = error.source.as_deref().map(|source| source as &dyn std::error::Error);
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    let mapped = ServiceError::new(error.kind(), message).with_source(error);
    match hint {
        Some(hint) => mapped.with_hint(hint),
        None => mapped,
    }
}
