// SPDX-License-Identifier: MIT
//! What a build makes: layers, one by one, and in the end an image of them.
//!
//! A layer is read once: each piece goes to the snapshotter and, through a bounded queue, to a thread that compresses it into a file,
//! which becomes the blob. Layers are protected by the build's lease, later by whoever holds them ([`Images::set_holder`]).

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hyperbox_types::{ByteSize, ImageId, ImageReference, Platform};
use serde_json::{Value, json};

use super::document::{process, step};
use super::spool::{SpooledLayer, spool_layer};
use super::{as_oci, blob, describe};
use crate::image::archive::{ArchiveStream, Spool};
use crate::image::fetch::{brought, progress_channel, stored, tell_end, unpacked};
use crate::image::inspect::BUILD_CACHE;
use crate::image::lease::{Content, LayerLease};
use crate::image::manifest::{self, ParsedManifest, media_type};
use crate::image::pull::{run, store_document};
use crate::image::record::{HistoryEntry, ImageLayer, ImageRecord, assemble, parse_configuration};
use crate::image::service::{ProgressStream, TransferProgress};
use crate::image::{Collected, ImageConfig, Images};
use crate::seam::{Credentials, Descriptor};
use crate::time::Timestamp;
use crate::{Result, ServiceError, failpoint};

/// Pieces of a layer between the thread that unpacks and the one that compresses.
const QUEUE: usize = 32;

/// An image that a build has made.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltImage {
    /// Defaults for containers.
    pub config: ImageConfig,
    /// Whether its command is a text for the shell (`ArgsEscaped`).
    pub command_is_shell: bool,
    /// Who made it.
    pub author: String,
    /// What it runs on.
    pub platform: Platform,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
    /// How it was made: all steps, those of its base too.
    pub history: Vec<HistoryEntry>,
    /// Which steps made its layers, for builds elsewhere; the builder knows how to read it ([`crate::image::DockerFields::build_cache`]).
    pub build_cache: Option<Value>,
}

impl BuiltImage {
    /// Returns the id that it has or will have.
    pub fn id(&self) -> ImageId {
        let configuration = document(self).to_string().into_bytes();
        ImageId(describe(media_type::OCI_CONFIG, &configuration).digest)
    }
}

/// Tells which layers and blobs somebody holds besides images and containers: the build cache.
pub type LayerHolder = Box<dyn Fn() -> Vec<ImageLayer> + Send + Sync>;

impl Images {
    /// Opens a lease that protects nothing yet.
    pub async fn open_lease(&self) -> LayerLease {
        self.inner.leases.open().await
    }

    /// Protects layers and their blobs, and tells whether all of them are there; a blob may be with a registry that an image says.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn protect_layers(&self, layers: &[ImageLayer], lease: &LayerLease) -> Result<bool> {
        let blobs = layers.iter().map(|layer| layer.blob.digest.clone());
        lease
            .protect(blobs, layers.iter().map(|layer| layer.diff_id.clone()))
            .await;
        let with = &self.inner.with;
        for layer in layers {
            let blob = &layer.blob.digest;
            let is_here = with.content.info(blob).map_err(stored)?.is_some();
            if !with.snapshotter.has_layer(&layer.diff_id) || !(is_here || self.where_else(blob).is_some()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says how to find out which layers are held besides those of images and containers.
    pub fn set_holder(&self, holder: LayerHolder) {
        let mut held = self
            .inner
            .holder
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *held = Some(holder);
    }

    /// Tells that layers are held no more, and collects those that nobody else relies on. Goes on when the caller stops waiting.
    pub async fn release_layers(&self, layers: &[ImageLayer]) -> Collected {
        self.inner.leases.suspect(content(layers));
        self.collect_in(crate::image::collect::Scope::Suspects).await
    }

    /// Stores a layer, read from an uncompressed tar to its end.
    ///
    /// # Errors
    /// `InvalidArgument` for an archive that is malformed or hostile; those of the reader and of the stores.
    pub async fn store_built_layer(&self, tar: Box<dyn Read + Send>, lease: &LayerLease) -> Result<ImageLayer> {
        let directory = Spool::create(&self.inner.with.spool_dir)?;
        let target = directory.path.join("layer");
        let (sender, receiver) = sync_channel(QUEUE);
        let spooling = tokio::task::spawn_blocking(move || spool_layer(Pieces::new(receiver), &target));
        let tee = Tee {
            tar,
            sender: Some(sender),
        };
        let staged = self.inner.with.snapshotter.stage_layer(Box::new(tee)).await;
        let spooled = spooling
            .await
            .map_err(|error| ServiceError::internal("compressing a layer was interrupted").with_source(error))?;
        let staged = staged.map_err(brought)?;
        let SpooledLayer { file, media_type, .. } = spooled?;
        let diff_id = staged.diff_id().clone();
        lease.protect([file.digest.clone()], [diff_id.clone()]).await;
        self.store_blob(&file.digest, &file, lease).await?;
        let committing = tokio::task::spawn_blocking(move || staged.commit());
        lease
            .during(committing)
            .await?
            .map_err(|error| ServiceError::internal("unpacking was interrupted").with_source(error))?
            .map_err(unpacked)?;
        Ok(ImageLayer {
            diff_id,
            blob: Descriptor {
                media_type: media_type.to_owned(),
                digest: file.digest,
                size: file.size,
                annotations: std::collections::BTreeMap::new(),
            },
        })
    }

    /// Makes a built image visible under its names, whose first comes with the image in one transaction. The same image is the same
    /// image: nothing but names changes then. Its layers are protected by the caller's lease.
    ///
    /// # Errors
    /// Those of the stores; nothing is visible then, unless a later name failed.
    pub async fn publish_built(
        &self,
        image: &BuiltImage,
        names: &[ImageReference],
        lease: &LayerLease,
    ) -> Result<ImageId> {
        let mut record = self.document_built(image, lease).await?;
        let id = record.id.clone();
        if !names.is_empty() {
            record.tagged_at = Some(Timestamp::now());
        }
        failpoint!("build.before-image");
        self.publish_image(record, names.first(), None).await?;
        failpoint!("build.after-image");
        for name in names.iter().skip(1) {
            self.name(&id, name).await?;
        }
        for name in names {
            self.publish("tag", &id, &name.familiar());
        }
        Ok(id)
    }

    /// Writes a built image that stays in nobody's list to an archive: an OCI layout that is also what `docker load` reads.
    ///
    /// # Errors
    /// Those of the stores; later ones are told in the stream.
    pub async fn archive_built(
        &self,
        image: &BuiltImage,
        names: &[ImageReference],
        lease: &LayerLease,
    ) -> Result<ArchiveStream> {
        let record = self.document_built(image, lease).await?;
        let (silence, _nobody) = progress_channel();
        let record = self.whole(&record, None, &silence, lease, &HashSet::new()).await?;
        let mut names = names.to_vec();
        names.sort();
        Ok(self.stream_archive(vec![(Arc::new(record), names)], vec![lease.clone()]))
    }

    /// Pushes a built image that stays in nobody's list. Failures are told in the course of it, also those of the stores.
    pub async fn push_built(
        &self,
        image: &BuiltImage,
        name: &ImageReference,
        credentials: Option<Credentials>,
        lease: &LayerLease,
    ) -> Result<ProgressStream> {
        let record = self.document_built(image, lease).await?;
        let (progress, receiver) = progress_channel();
        let (images, name, lease) = (self.clone(), name.clone(), lease.clone());
        Ok(run(receiver, async move {
            let pushed = images
                .upload(&record, &name, credentials.as_ref(), (&progress, &lease))
                .await;
            if let Err(error) = pushed {
                tell_end(&progress, TransferProgress::Failed(error)).await;
            }
        }))
    }

    /// Writes configuration and manifest of a built image, unless it is known.
    async fn document_built(&self, image: &BuiltImage, lease: &LayerLease) -> Result<ImageRecord> {
        let configuration = document(image).to_string().into_bytes();
        let configured = describe(media_type::OCI_CONFIG, &configuration);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": blob(&configured),
            "layers": image.layers.iter().map(|layer| blob(&as_oci(&layer.blob))).collect::<Vec<_>>(),
        })
        .to_string()
        .into_bytes();
        let described = describe(media_type::OCI_MANIFEST, &manifest);
        lease
            .protect([configured.digest.clone(), described.digest.clone()], [])
            .await;
        let id = ImageId(configured.digest.clone());
        let known = self.table().get(&id).cloned();
        if let Some(known) = known {
            return Ok(ImageRecord::clone(&known));
        }
        store_document(self, &configured, &configuration, lease).await?;
        store_document(self, &described, &manifest, lease).await?;
        self.record_of(described, &manifest, &configuration).await
    }

    async fn record_of(&self, described: Descriptor, manifest: &[u8], configuration: &[u8]) -> Result<ImageRecord> {
        let ParsedManifest::Image(parsed) = manifest::parse(media_type::OCI_MANIFEST, manifest)
            .map_err(|error| ServiceError::from_mechanism("cannot make the image", error.kind(), error))?
        else {
            return Err(ServiceError::internal("a manifest was made and read back as an index"));
        };
        let mut record = assemble(described, parsed, parse_configuration(configuration)?, ByteSize(0))?;
        record.size = self.unpacked_size(&record).await?;
        record.elsewhere = self.left_behind(&record, None);
        Ok(record)
    }

    /// Returns what is held besides images and containers.
    pub(in crate::image) fn held(&self) -> Content {
        let holder = self
            .inner
            .holder
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        holder.as_ref().map(|holder| content(&holder())).unwrap_or_default()
    }
}

fn content(layers: &[ImageLayer]) -> Content {
    Content {
        blobs: layers.iter().map(|layer| layer.blob.digest.clone()).collect(),
        layers: layers.iter().map(|layer| layer.diff_id.clone()).collect(),
    }
}

/// The configuration document, with the fields that BuildKit gives it.
fn document(image: &BuiltImage) -> Value {
    let mut document = json!({
        "architecture": image.platform.architecture.as_str(),
        "os": image.platform.os,
        "created": image.created_at.to_string(),
        "config": process(&image.config),
        "rootfs": { "type": "layers", "diff_ids": image.layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>() },
        "history": image.history.iter().map(step).collect::<Vec<_>>(),
    });
    if let Some(cache) = &image.build_cache {
        document[BUILD_CACHE] = cache.clone();
    }
    if image.command_is_shell {
        document["config"]["ArgsEscaped"] = json!(true);
    }
    let variant = image.platform.variant.as_deref().unwrap_or_default();
    for (key, value) in [("variant", variant), ("author", &image.author)] {
        if !value.is_empty() {
            document[key] = json!(value);
        }
    }
    document
}

/// Reads a layer and passes each piece on.
struct Tee {
    tar: Box<dyn Read + Send>,
    /// Gone when the other side has given up: it tells why.
    sender: Option<SyncSender<Vec<u8>>>,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.tar.read(buffer)?;
        if length > 0
            && let Some(sender) = &self.sender
            && sender.send(buffer[..length].to_vec()).is_err()
        {
            self.sender = None;
        }
        Ok(length)
    }
}

/// Reads what was passed on.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Arc<[u8]>,
    read: usize,
}

impl Pieces {
    fn new(receiver: Receiver<Vec<u8>>) -> Self {
        Self {
            receiver,
            piece: Arc::default(),
            read: 0,
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.piece.len() {
            let Ok(piece) = self.receiver.recv() else { return Ok(0) };
            self.piece = piece.into();
            self.read = 0;
        }
        let length = buffer.len().min(self.piece.len() - self.read);
        buffer[..length].copy_from_slice(&self.piece[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_what_was_read() {
        let (sender, receiver) = sync_channel(4);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            Pieces::new(receiver).read_to_end(&mut all).map(|_| all)
        });
        let mut tee = Tee {
            tar: Box::new(std::io::Cursor::new(vec![7_u8; 100_000])),
            sender: Some(sender),
        };
        let mut own = Vec::new();
        tee.read_to_end(&mut own).unwrap();
        drop(tee);
        assert_eq!(reader.join().unwrap().unwrap(), own);
        assert_eq!(own.len(), 100_000);
    }

    #[test]
    fn a_side_that_gives_up_does_not_stop_the_other() {
        let (sender, receiver) = sync_channel(1);
        drop(receiver);
        let mut tee = Tee {
            tar: Box::new(std::io::Cursor::new(vec![7_u8; 10])),
            sender: Some(sender),
        };
        let mut own = Vec::new();
        tee.read_to_end(&mut own).unwrap();
        assert_eq!(own.len(), 10);
    }
}
