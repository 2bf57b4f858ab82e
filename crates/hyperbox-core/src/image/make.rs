// SPDX-License-Identifier: MIT
//! Images that are made here: from a container's changes (`commit`) or from a root filesystem (`import`).
//!
//! The layer is spooled as a compressed archive while it is hashed, then goes into the content store and, unpacked, into the
//! snapshotter; configuration and manifest follow; one transaction publishes the image. A lease protects all of it until then, and
//! what a crash leaves has no record and is collected at the next start.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use hyperbox_types::{ByteSize, Digest, ImageId, ImageReference, Platform};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::archive::{Spool, Spooled};
use super::fetch::{ChunkReader, stored, unpacked};
use super::manifest::{self, ParsedManifest, media_type};
use super::pull::store_manifest;
use super::record::{ImageLayer, ImageRecord, assemble, parse_configuration};
use super::{HistoryEntry, ImageConfig, Images};
use crate::container::{HealthCheck, HealthTest};
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
        self.publish("import", &id, &id.to_string());
        if let Some(name) = &image.name {
            self.publish("tag", &id, &name.familiar());
        }
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
        let directory = Spool::create(&self.inner.with.spool_dir)?;
        let (sender, receiver) = mpsc::channel(16);
        let target = directory.path.join("layer");
        let spooling = tokio::task::spawn_blocking(move || spool_layer(ChunkReader::new(receiver), &target));
        let spooling = async {
            spooling
                .await
                .map_err(|error| ServiceError::internal("spooling was interrupted").with_source(error))?
        };
        let (spooled, media_type) = crate::container::fed(layer, sender, spooling).await?;
        let lease = match &parent {
            Some(parent) => self.lease(parent).await,
            None => self.inner.leases.open().await,
        };
        lease.protect([spooled.digest.clone()], []).await;
        self.store_blob(&spooled.digest, &spooled).await?;
        let with = &self.inner.with;
        let file = with.content.open(&spooled.digest).map_err(stored)?;
        let staged = with.snapshotter.stage_layer(Box::new(file)).await.map_err(unpacked)?;
        let diff_id = staged.diff_id().clone();
        lease.protect([], [diff_id.clone()]).await;
        tokio::task::spawn_blocking(move || staged.commit())
            .await
            .map_err(|error| ServiceError::internal("unpacking was interrupted").with_source(error))?
            .map_err(unpacked)?;
        let layer = ImageLayer {
            diff_id,
            blob: Descriptor {
                media_type: media_type.to_owned(),
                digest: spooled.digest,
                size: spooled.size,
                annotations: std::collections::BTreeMap::new(),
            },
        };
        let mut record = self.store_documents(parent.as_deref(), layer, &image, &lease).await?;
        record.size = self.unpacked_size(&record).await?;
        let id = record.id.clone();
        failpoint!("commit.before-record");
        self.publish_image(record, image.name.as_ref(), None).await?;
        failpoint!("commit.after-record");
        Ok(id)
    }

    /// Writes configuration and manifest.
    async fn store_documents(
        &self,
        parent: Option<&ImageRecord>,
        layer: ImageLayer,
        image: &NewImage,
        lease: &super::LayerLease,
    ) -> Result<ImageRecord> {
        let mut layers: Vec<ImageLayer> = parent.map(|parent| parent.layers.clone()).unwrap_or_default();
        layers.push(layer);
        let configuration = configuration(parent, &layers, image).to_string().into_bytes();
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
        store_manifest(self, &configured, &configuration).await?;
        store_manifest(self, &described, &manifest).await?;
        let ParsedManifest::Image(parsed) = manifest::parse(media_type::OCI_MANIFEST, &manifest)
            .map_err(|error| ServiceError::from_mechanism("cannot make the image", error.kind(), error))?
        else {
            return Err(ServiceError::internal("a manifest was made and read back as an index"));
        };
        assemble(described, parsed, parse_configuration(&configuration)?, ByteSize(0))
    }
}

fn describe(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::from_sha256(Sha256::digest(bytes).into()),
        size: ByteSize(bytes.len() as u64),
        annotations: std::collections::BTreeMap::new(),
    }
}

fn blob(descriptor: &Descriptor) -> Value {
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

/// Makes the configuration document (OCI image-spec `config.md`).
fn configuration(parent: Option<&ImageRecord>, layers: &[ImageLayer], image: &NewImage) -> Value {
    let platform = image
        .platform
        .clone()
        .or_else(|| parent.map(|parent| parent.platform.clone()))
        .unwrap_or_else(Platform::host);
    let now = Timestamp::now();
    let mut history: Vec<Value> = parent
        .map(|parent| parent.history.iter().map(step).collect())
        .unwrap_or_default();
    history.push(step(&HistoryEntry {
        created_at: Some(now),
        created_by: image.created_by.clone(),
        author: image.author.clone(),
        comment: image.comment.clone(),
        empty_layer: false,
    }));
    let mut document = json!({
        "architecture": platform.architecture.as_str(),
        "os": platform.os,
        "created": now.to_string(),
        "config": process(&image.config),
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>() },
        "history": history,
    });
    for (key, value) in [
        ("variant", platform.variant.as_deref().unwrap_or_default()),
        ("author", &image.author),
        ("comment", &image.comment),
    ] {
        if !value.is_empty() {
            document[key] = json!(value);
        }
    }
    document
}

fn step(entry: &HistoryEntry) -> Value {
    let mut step = json!({});
    if let Some(created) = entry.created_at {
        step["created"] = json!(created.to_string());
    }
    for (key, value) in [
        ("created_by", &entry.created_by),
        ("author", &entry.author),
        ("comment", &entry.comment),
    ] {
        if !value.is_empty() {
            step[key] = json!(value);
        }
    }
    if entry.empty_layer {
        step["empty_layer"] = json!(true);
    }
    step
}

fn process(config: &ImageConfig) -> Value {
    let set = |names: &[String]| -> Value { names.iter().map(|name| (name.clone(), json!({}))).collect() };
    let mut document = json!({});
    for (key, list) in [
        ("Env", &config.env),
        ("Cmd", &config.command),
        ("Entrypoint", &config.entrypoint),
        ("Shell", &config.shell),
        ("OnBuild", &config.on_build),
    ] {
        if !list.is_empty() {
            document[key] = json!(list);
        }
    }
    for (key, names) in [("ExposedPorts", &config.exposed_ports), ("Volumes", &config.volumes)] {
        if !names.is_empty() {
            document[key] = set(names);
        }
    }
    for (key, text) in [
        ("User", config.user.as_str()),
        ("WorkingDir", &config.working_dir),
        ("StopSignal", config.stop_signal.as_deref().unwrap_or_default()),
    ] {
        if !text.is_empty() {
            document[key] = json!(text);
        }
    }
    if !config.labels.is_empty() {
        document["Labels"] = json!(config.labels);
    }
    if let Some(check) = &config.health {
        document["Healthcheck"] = health(check);
    }
    document
}

fn health(check: &HealthCheck) -> Value {
    let test = match &check.test {
        HealthTest::Inherit => Vec::new(),
        HealthTest::Disabled => vec!["NONE".to_owned()],
        HealthTest::Command(command) => [&["CMD".to_owned()], command.as_slice()].concat(),
        HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    };
    let mut document = json!({});
    if !test.is_empty() {
        document["Test"] = json!(test);
    }
    for (key, duration) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if let Some(duration) = duration {
            document[key] = json!(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    if let Some(retries) = check.retries {
        document["Retries"] = json!(retries);
    }
    document
}

/// Writes a layer to a file, compressed unless it is already; returns what the file is.
fn spool_layer(mut source: impl Read, target: &Path) -> Result<(Spooled, &'static str)> {
    let failed = |error: std::io::Error| {
        let kind = crate::seam::io_kind(&error);
        ServiceError::from_mechanism("cannot spool the layer", kind, error)
    };
    let mut start = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut start).map_err(failed)?;
    let (compressed, media_type) = match start.as_slice() {
        [0x1f, 0x8b, ..] => (true, media_type::OCI_LAYER_GZIP),
        [0x28, 0xb5, 0x2f, 0xfd] => (true, media_type::OCI_LAYER_ZSTD),
        _ => (false, media_type::OCI_LAYER_GZIP),
    };
    let mut whole = std::io::Cursor::new(start).chain(source);
    let mut file = Hashing {
        file: File::create(target).map_err(failed)?,
        hasher: Sha256::new(),
        length: 0,
    };
    if compressed {
        std::io::copy(&mut whole, &mut file).map_err(failed)?;
    } else {
        // Level 1: a quarter of the time of the default for a tenth more bytes. The header has no time, so equal layers are equal.
        let mut encoder = flate2::GzBuilder::new().write(&mut file, flate2::Compression::fast());
        std::io::copy(&mut whole, &mut encoder).map_err(failed)?;
        encoder.finish().map_err(failed)?;
    }
    let spooled = Spooled {
        path: target.to_owned(),
        digest: Digest::from_sha256(file.hasher.finalize().into()),
        size: ByteSize(file.length),
    };
    Ok((spooled, media_type))
}

struct Hashing {
    file: File,
    hasher: Sha256,
    length: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
