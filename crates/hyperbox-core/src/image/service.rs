// SPDX-License-Identifier: MIT
//! The image service: which images there are, under which names.
//!
//! Records are loaded once and kept in memory; a change is one transaction, after which the table in memory follows. Content is
//! collected when an image goes, never while it is being made (see `collect.rs`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures_util::Stream;
use hyperbox_types::{ByteSize, DiffId, Digest, ImageId, ImageReference, RootMount};
use tracing::warn;

use super::collect::of_unreadable_records;
use super::lease::{Content, Leases};
use super::record::ImageRecord;
use crate::event::{EventKind, Events};
use crate::seam::{
    Change, ContentStore, Credentials, Peers, Records, Registry, RegistryError, SearchResult, Snapshotter, Table,
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
    /// Keep untagged parents.
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
    pub peers: Arc<dyn Peers>,
    pub events: Events,
    pub pulled_blobs: super::PulledBlobs,
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
    /// What records refer to that cannot be read.
    pub(super) unreadable: Content,
    pub(super) fetching: Mutex<HashMap<Digest, std::sync::Weak<super::fetch::Turn>>>,
    table: Mutex<BTreeMap<ImageId, Arc<ImageRecord>>>,
    /// Orders changes of records, so that two tags in a row do not lose one another.
    changing: tokio::sync::Mutex<()>,
    users: RwLock<Option<ImageUsers>>,
    /// Who holds layers besides.
    pub(super) holder: RwLock<Option<super::LayerHolder>>,
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
        let unreadable = of_unreadable_records(with.records.as_ref())
            .map_err(|error| ServiceError::from_mechanism("cannot read records", error.kind, error))?;
        let inner = Inner {
            with,
            leases: Leases::default(),
            unreadable,
            fetching: Mutex::default(),
            table: Mutex::new(table),
            changing: tokio::sync::Mutex::default(),
            users: RwLock::default(),
            holder: RwLock::default(),
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
    pub(super) async fn name(&self, id: &ImageId, target: &ImageReference) -> Result<()> {
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
        record.tagged_at = Some(Timestamp::now());
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
            record.tagged_at = record.tagged_at.max(known.tagged_at);
            record.parent = record.parent.or_else(|| known.parent.clone());
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

    pub(super) fn users(&self) -> Vec<ImageUser> {
        let users = self.inner.users.read().unwrap_or_else(PoisonError::into_inner);
        users.as_ref().map(|users| users()).unwrap_or_default()
    }

    /// Waits for the turn to change records.
    pub(super) async fn turn_to_change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.changing.lock().await
    }

    pub(super) fn table(&self) -> MutexGuard<'_, BTreeMap<ImageId, Arc<ImageRecord>>> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes and forgets records in one transaction, then shows the result.
    pub(super) fn commit(&self, changed: Vec<ImageRecord>, gone: &[ImageId]) -> Result<()> {
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
        let mut replaced = Vec::new();
        for record in changed {
            replaced.extend(table.insert(record.id.clone(), Arc::new(record)));
        }
        replaced.extend(gone.iter().filter_map(|id| table.remove(id)));
        for record in replaced {
            self.inner.leases.suspect(record.content());
        }
        Ok(())
    }

    /// Tells what happened to an image; its labels are told too, while it is there.
    pub(super) fn publish(&self, action: &str, id: &ImageId, name: &str) {
        let actor = id.to_string();
        self.tell(action, actor, self.attributes(id, name));
    }

    /// Tells of a transfer, which is one of a name.
    pub(super) fn publish_transfer(&self, action: &str, id: &ImageId, name: &ImageReference) {
        let attributes = self.attributes(id, &name.repository().familiar());
        self.tell(action, name.familiar(), attributes);
    }

    /// Tells that images were pruned.
    pub(super) fn publish_prune(&self, reclaimed: ByteSize) {
        let attributes = [("reclaimed".to_owned(), reclaimed.0.to_string())];
        self.tell("prune", String::new(), attributes.into());
    }

    pub(super) fn tell(&self, action: &str, actor: String, attributes: BTreeMap<String, String>) {
        let events = &self.inner.with.events;
        events.publish(EventKind::Image, action, actor, attributes);
    }

    pub(super) fn attributes(&self, id: &ImageId, name: &str) -> BTreeMap<String, String> {
        let image = self.table().get(id).cloned();
        let mut attributes = image.map(|image| image.config.labels.clone()).unwrap_or_default();
        attributes.insert("name".to_owned(), name.to_owned());
        attributes
    }
}

pub(super) fn find(table: &BTreeMap<ImageId, Arc<ImageRecord>>, reference: &str) -> Option<Arc<ImageRecord>> {
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
pub(super) fn is_id_of(id: &ImageId, text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() >= 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.0.hex().starts_with(hex)
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
