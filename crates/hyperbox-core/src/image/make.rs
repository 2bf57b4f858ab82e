// SPDX-License-Identifier: MIT
//! Images that are made here: from a container's changes (`commit`) or from a root filesystem (`import`).
//!
//! The layer is spooled as a compressed archive while it is hashed, then goes into the content store and, unpacked, into the
//! snapshotter; configuration and manifest follow; one transaction publishes the image. A lease protects all of it until then, and
//! what a crash leaves has no record and is collected at the next start.

mod built;
mod document;
mod from_url;
mod spool;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use hyperbox_types::{ByteSize, Digest, ImageId, ImageReference, Platform};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

pub use self::built::{BuiltImage, LayerHolder};
use self::document::configuration;
use self::spool::Content;
pub(super) use self::spool::{SpooledLayer, spool_layer};
use super::archive::Spool;
use super::fetch::{ChunkReader, brought, stored, unpacked};
use super::manifest::{self, ParsedManifest, media_type};
use super::pull::store_document;
use super::record::{ImageLayer, ImageRecord, assemble, parse_configuration};
use super::{ImageConfig, Images};
use crate::seam::Descriptor;
use crate::time::Timestamp;
use crate::{Result, ServiceError, failpoint};

/// What a new image says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewImage {
    /// Defaults for containers.
    pub config: ImageConfig,
    /// The command of the new step of its history.
    pub created_by: String,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// What it runs on; that of its parent, or of this machine, when unset.
    pub platform: Option<Platform>,
    /// Its name.
    pub name: Option<ImageReference>,
    /// The container that it is made of.
    pub made_from: Option<MadeFrom>,
}

/// A container that an image was made of, as it is kept in the image's configuration (`container`, `container_config`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MadeFrom {
    /// Its id.
    pub container: String,
    /// Its configuration in the form of Docker's API.
    pub config: Value,
}

impl Images {
    /// Makes an image of a root filesystem.
    ///
    /// # Errors
    /// `InvalidArgument` for an archive that is malformed or hostile.
    pub async fn import<S>(&self, archive: S, image: NewImage) -> Result<ImageId>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    {
        let id = self.make(None, archive, image.clone()).await?;
        if let Some(name) = &image.name {
            self.publish("tag", &id, &name.familiar());
        }
        self.publish("import", &id, &id.to_string());
        Ok(id)
    }

    /// Makes an image of one more layer on top of another image.
    pub(crate) async fn commit_layer<S>(
        &self,
        parent: Option<Arc<ImageRecord>>,
        layer: S,
        image: NewImage,
    ) -> Result<ImageId>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    {
        let id = self.make(parent, layer, image.clone()).await?;
        self.publish("create", &id, &id.to_string());
        if let Some(name) = &image.name {
            self.publish("tag", &id, &name.familiar());
        }
        Ok(id)
    }

    async fn make<S>(&self, parent: Option<Arc<ImageRecord>>, layer: S, image: NewImage) -> Result<ImageId>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    {
        let lease = match &parent {
            Some(parent) => self.lease(parent).await?,
            None => self.inner.leases.open().await,
        };
        let made = self.make_under(parent, layer, image, &lease).await;
        if let Err(error) = &made {
            // What is being committed would come after the collection that gives everything back.
            lease.settle().await;
            drop(lease);
            self.give_back_after(error).await;
        }
        made
    }

    async fn make_under<S>(
        &self,
        parent: Option<Arc<ImageRecord>>,
        layer: S,
        image: NewImage,
        lease: &super::LayerLease,
    ) -> Result<ImageId>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    {
        let directory = Spool::create(&self.inner.with.spool_dir)?;
        let (sender, receiver) = mpsc::channel(16);
        let target = directory.path.join("layer");
        let spooling = tokio::task::spawn_blocking(move || spool_layer(ChunkReader::new(receiver), &target));
        let spooling = async {
            spooling
                .await
                .map_err(|error| ServiceError::internal("spooling was interrupted").with_source(error))?
        };
        let spooled = crate::container::fed(layer, sender, spooling).await?;
        // An import has its layer, whatever is in it.
        let content = if image.made_from.is_some() {
            spooled.content
        } else {
            Content::Something
        };
        let layer = match content {
            Content::Something => Some(self.store_layer(spooled, lease).await?),
            Content::Nothing => None,
        };
        let mut record = self.store_documents(parent.as_deref(), layer, &image, lease).await?;
        record.size = self.unpacked_size(&record).await?;
        record.parent = parent.map(|parent| parent.id.clone());
        record.tagged_at = image.name.is_some().then(Timestamp::now);
        let id = record.id.clone();
        failpoint!("commit.before-record");
        self.publish_image(record, image.name.as_ref(), None).await?;
        failpoint!("commit.after-record");
        Ok(id)
    }

    /// Puts a layer into the content store and, unpacked, into the snapshotter.
    async fn store_layer(&self, spooled: SpooledLayer, lease: &super::LayerLease) -> Result<ImageLayer> {
        let SpooledLayer {
            file: spooled,
            media_type,
            ..
        } = spooled;
        lease.protect([spooled.digest.clone()], []).await;
        self.store_blob(&spooled.digest, &spooled, lease).await?;
        let with = &self.inner.with;
        let file = with.content.open(&spooled.digest).map_err(stored)?;
        let staged = with.snapshotter.stage_layer(Box::new(file)).await.map_err(brought)?;
        let diff_id = staged.diff_id().clone();
        lease.protect([], [diff_id.clone()]).await;
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
                digest: spooled.digest,
                size: spooled.size,
                annotations: std::collections::BTreeMap::new(),
            },
        })
    }

    /// Writes configuration and manifest.
    async fn store_documents(
        &self,
        parent: Option<&ImageRecord>,
        layer: Option<ImageLayer>,
        image: &NewImage,
        lease: &super::LayerLease,
    ) -> Result<ImageRecord> {
        let mut layers: Vec<ImageLayer> = parent.map(|parent| parent.layers.clone()).unwrap_or_default();
        let content = match &layer {
            Some(_) => Content::Something,
            None => Content::Nothing,
        };
        layers.extend(layer);
        let configuration = configuration(parent, &layers, image, content).to_string().into_bytes();
        let configured = describe(media_type::OCI_CONFIG, &configuration);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": blob(&configured),
            "layers": layers.iter().map(|layer| blob(&as_oci(&layer.blob))).collect::<Vec<_>>(),
        })
        .to_string()
        .into_bytes();
        let described = describe(media_type::OCI_MANIFEST, &manifest);
        lease
            .protect([configured.digest.clone(), described.digest.clone()], [])
            .await;
        store_document(self, &configured, &configuration, lease).await?;
        store_document(self, &described, &manifest, lease).await?;
        let ParsedManifest::Image(parsed) = manifest::parse(media_type::OCI_MANIFEST, &manifest)
            .map_err(|error| ServiceError::from_mechanism("cannot make the image", error.kind(), error))?
        else {
            return Err(ServiceError::internal("a manifest was made and read back as an index"));
        };
        let mut record = assemble(described, parsed, parse_configuration(&configuration)?, ByteSize(0))?;
        record.elsewhere = self.left_behind(&record, None);
        Ok(record)
    }
}

pub(super) fn describe(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::from_sha256(Sha256::digest(bytes).into()),
        size: ByteSize(bytes.len() as u64),
        annotations: std::collections::BTreeMap::new(),
    }
}

pub(super) fn blob(descriptor: &Descriptor) -> Value {
    json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size })
}

/// An OCI manifest names its layers in OCI's words; the blobs are the same.
fn as_oci(descriptor: &Descriptor) -> Descriptor {
    let media_type = match descriptor.media_type.as_str() {
        media_type::DOCKER_LAYER => media_type::OCI_LAYER,
        media_type::DOCKER_LAYER_GZIP => media_type::OCI_LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD => media_type::OCI_LAYER_ZSTD,
        other => other,
    };
    Descriptor {
        media_type: media_type.to_owned(),
        ..descriptor.clone()
    }
}
