// SPDX-License-Identifier: MIT
//! Loading images from an archive: spool, verify, put the blobs into the stores, publish each image with one transaction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyperbox_types::{ByteSize, Digest, ImageId, ImageReference, Platform};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::read::{Archive, Spooled, read_document, spool};
use super::{DockerEntry, FULL_NAME, REFERENCE_NAME};
use crate::image::fetch::{ChunkReader, Progress, brought, commit_layer, progress_channel, stored, tell, tell_end};
use crate::image::manifest::{self, ImageManifest, ParsedManifest, media_type};
use crate::image::pull::{run, store_document};
use crate::image::record::{Configuration, ImageRecord, assemble, parse_configuration};
use crate::image::{Images, LayerLease, ProgressStream, TransferProgress};
use crate::seam::Descriptor;
use crate::{Result, ServiceError, random};

/// An image found in an archive.
struct Found {
    manifest: Vec<u8>,
    descriptor: Descriptor,
    parsed: ImageManifest,
    /// Where each blob is.
    blobs: BTreeMap<Digest, Spooled>,
    names: Vec<ImageReference>,
}

fn configuration_of(found: &Found) -> Result<Configuration> {
    let file = found.blobs.get(&found.parsed.config.digest);
    let file = file.ok_or_else(|| ServiceError::invalid("invalid archive: no configuration"))?;
    parse_configuration(&read_document(file)?)
}

impl Images {
    /// Loads images from an archive made by this engine, Docker, Podman or skopeo: all of them, or those for a platform.
    ///
    /// # Errors
    /// When the spool directory cannot be made; everything later is reported in the stream.
    pub async fn load(
        &self,
        archive: Box<dyn AsyncRead + Send + Unpin>,
        platform: Option<Platform>,
    ) -> Result<ProgressStream> {
        let directory = Spool::create(&self.inner.with.spool_dir)?;
        let (progress, receiver) = progress_channel();
        let images = self.clone();
        Ok(run(receiver, async move {
            if let Err(error) = images
                .load_all(archive, platform.as_ref(), &directory.path, &progress)
                .await
            {
                images.give_back_after(&error).await;
                tell_end(&progress, TransferProgress::Failed(error)).await;
            }
        }))
    }

    async fn load_all(
        &self,
        archive: Box<dyn AsyncRead + Send + Unpin>,
        platform: Option<&Platform>,
        directory: &Path,
        progress: &Progress,
    ) -> Result<()> {
        let spooled = receive(archive, directory).await?;
        let found = tokio::task::spawn_blocking(move || find_images(&spooled))
            .await
            .map_err(|error| ServiceError::internal("loading was interrupted").with_source(error))??;
        for image in found {
            let offered = configuration_of(&image)?.platform;
            if platform.is_some_and(|wanted| wanted.rank(&offered).is_none()) {
                continue;
            }
            let lease = self.inner.leases.open().await;
            self.load_one(image, &lease, progress).await?;
        }
        Ok(())
    }

    /// Takes one image out of an archive without listing it: no name moves, and only the lease protects what came.
    ///
    /// # Errors
    /// `NotFound` when the archive does not have it; those of the archive and of the stores.
    pub async fn load_unlisted(
        &self,
        archive: Box<dyn AsyncRead + Send + Unpin>,
        id: &ImageId,
        lease: &LayerLease,
    ) -> Result<ImageRecord> {
        let directory = Spool::create(&self.inner.with.spool_dir)?;
        let spooled = receive(archive, &directory.path).await?;
        let found = tokio::task::spawn_blocking(move || find_images(&spooled))
            .await
            .map_err(|error| ServiceError::internal("loading was interrupted").with_source(error))??;
        let wanted = found.into_iter().find(|image| image.parsed.config.digest == id.0);
        let wanted = wanted.ok_or_else(|| ServiceError::not_found(format!("the archive has no image {id}")))?;
        let (silence, _nobody) = progress_channel();
        let (record, _) = self.store_found(wanted, lease, &silence).await?;
        Ok(record)
    }

    async fn load_one(&self, found: Found, lease: &LayerLease, progress: &Progress) -> Result<()> {
        let (record, names) = self.store_found(found, lease, progress).await?;
        let id = record.id.clone();
        if names.is_empty() {
            self.publish_image(record, None, None).await?;
            let text = format!("Loaded image ID: {id}\n");
            tell(progress, TransferProgress::Status { id: None, status: text });
        } else {
            for name in &names {
                self.publish_image(record.clone(), Some(name), None).await?;
                let text = format!("Loaded image: {}\n", name.familiar());
                tell(progress, TransferProgress::Status { id: None, status: text });
            }
        }
        self.publish("load", &id, &id.to_string());
        Ok(())
    }

    /// Puts what an image consists of into the stores, protected by a lease; returns its record and its names.
    async fn store_found(
        &self,
        found: Found,
        lease: &LayerLease,
        progress: &Progress,
    ) -> Result<(ImageRecord, Vec<ImageReference>)> {
        let configuration = configuration_of(&found)?;
        let mut record = assemble(found.descriptor.clone(), found.parsed, configuration, ByteSize(0))?;
        let layers = record.layers.iter().map(|layer| layer.diff_id.clone());
        lease
            .protect(
                found.blobs.keys().cloned().chain([found.descriptor.digest.clone()]),
                layers,
            )
            .await;
        for (digest, file) in &found.blobs {
            self.store_blob(digest, file, lease).await?;
        }
        for (position, layer) in record.layers.iter().enumerate() {
            if !self.inner.with.snapshotter.has_layer(&layer.diff_id) {
                let id = layer.diff_id.0.short().to_owned();
                tell(progress, crate::image::fetch::status(&id, "Loading layer"));
                let file = self.inner.with.content.open(&layer.blob.digest).map_err(stored)?;
                let staged = self
                    .inner
                    .with
                    .snapshotter
                    .stage_layer(Box::new(file))
                    .await
                    .map_err(brought)?;
                if *staged.diff_id() != layer.diff_id {
                    return Err(ServiceError::invalid(format!(
                        "invalid diffID for layer {position}: expected \"{}\", got \"{}\"",
                        layer.diff_id,
                        staged.diff_id()
                    )));
                }
                commit_layer(layer, staged, lease).await?;
            }
        }
        store_document(self, &found.descriptor, &found.manifest, lease).await?;
        record.size = self.unpacked_size(&record).await?;
        Ok((record, found.names))
    }

    pub(in crate::image) async fn store_blob(&self, digest: &Digest, file: &Spooled, lease: &LayerLease) -> Result<()> {
        let content = &self.inner.with.content;
        if content.info(digest).map_err(stored)?.is_some() {
            return Ok(());
        }
        let mut writer = content.writer(digest).await.map_err(stored)?;
        let reading = |error: std::io::Error| {
            let kind = crate::seam::io_kind(&error);
            ServiceError::from_mechanism(format!("cannot read {}", file.path.display()), kind, error)
        };
        let mut source = tokio::fs::File::open(&file.path).await.map_err(reading)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let length = source.read(&mut buffer).await.map_err(reading)?;
            if length == 0 {
                break;
            }
            writer.write(&buffer[..length]).await.map_err(stored)?;
        }
        let size = file.size;
        let committed = lease.during(async move { writer.commit(Some(size)).await }).await?;
        committed.map_err(stored)?;
        Ok(())
    }
}

/// Spools the archive on a blocking thread while it arrives.
async fn receive(mut archive: Box<dyn AsyncRead + Send + Unpin>, directory: &Path) -> Result<Archive> {
    let (sender, receiver) = mpsc::channel(16);
    let directory = directory.to_owned();
    let spooling = tokio::task::spawn_blocking(move || spool(ChunkReader::new(receiver), &directory));
    let pump = async move {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let chunk = match archive.read(&mut buffer).await {
                Ok(0) => return,
                Ok(length) => Ok(bytes::Bytes::copy_from_slice(&buffer[..length])),
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            // The spooler may have seen enough; what follows the archive is still read, so that the client can finish.
            if sender.send(chunk).await.is_err() && failed {
                return;
            }
        }
    };
    let ((), spooled) = tokio::join!(pump, spooling);
    spooled.map_err(|error| ServiceError::internal("spooling was interrupted").with_source(error))?
}

fn find_images(archive: &Archive) -> Result<Vec<Found>> {
    let docker = archive.docker_entries()?;
    match archive.document("index.json")? {
        Some(index) => from_layout(archive, &index, docker.as_deref().unwrap_or_default()),
        None => docker
            .ok_or_else(no_images)?
            .iter()
            .map(|entry| from_docker(archive, entry))
            .collect(),
    }
}

/// Docker looks for the list of its oldest form last, and that is what it misses.
fn no_images() -> ServiceError {
    ServiceError::invalid("open repositories: no such file or directory")
        .with_hint("an archive of images has manifest.json or index.json; a root filesystem is loaded by 'import'")
}

#[derive(Debug, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<IndexEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    media_type: String,
    digest: Digest,
    size: ByteSize,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

fn from_layout(archive: &Archive, index: &[u8], docker: &[DockerEntry]) -> Result<Vec<Found>> {
    let index: Index = serde_json::from_slice(index)
        .map_err(|error| ServiceError::invalid(format!("invalid archive: index.json: {error}")))?;
    let mut found: Vec<Found> = Vec::new();
    for entry in index.manifests {
        let annotations = entry.annotations.unwrap_or_default();
        let full = annotations
            .get(FULL_NAME)
            .or_else(|| annotations.get(REFERENCE_NAME).filter(|name| name.contains(['/', ':'])));
        let name = full.and_then(|name| ImageReference::parse(name).ok());
        let descriptor = Descriptor {
            media_type: entry.media_type,
            digest: entry.digest,
            size: entry.size,
            annotations: BTreeMap::new(),
        };
        if let Some(known) = found
            .iter_mut()
            .find(|known| known.descriptor.digest == descriptor.digest)
        {
            known.names.extend(name);
            continue;
        }
        let Some(mut image) = resolve(archive, descriptor, 0)? else {
            continue;
        };
        image.names.extend(name);
        if image.names.is_empty() {
            image.names = docker_names(docker, &image.parsed.config.digest);
        }
        found.push(image);
    }
    Ok(found)
}

/// Follows an entry to the image for this machine; `None` when it has none.
fn resolve(archive: &Archive, descriptor: Descriptor, depth: usize) -> Result<Option<Found>> {
    let bytes = read_document(archive.blob(&descriptor.digest)?)?;
    let parsed = match manifest::parse(&descriptor.media_type, &bytes) {
        Ok(parsed) => parsed,
        Err(manifest::ManifestError::UnsupportedMediaType { .. }) => return Ok(None),
        Err(error) => return Err(ServiceError::from_mechanism("invalid archive", error.kind(), error)),
    };
    match parsed {
        ParsedManifest::Image(parsed) => {
            let mut blobs = BTreeMap::new();
            for blob in parsed.layers.iter().chain([&parsed.config]) {
                blobs.insert(blob.digest.clone(), archive.blob(&blob.digest)?.clone());
            }
            Ok(Some(Found {
                manifest: bytes,
                descriptor,
                parsed,
                blobs,
                names: Vec::new(),
            }))
        }
        ParsedManifest::Index(entries) if depth < 3 => {
            let host = hyperbox_types::Platform::host();
            match manifest::choose_platform(&entries, &host) {
                Some(entry) => resolve(archive, entry.clone(), depth + 1),
                None => Ok(None),
            }
        }
        ParsedManifest::Index(_) => Err(ServiceError::invalid("invalid archive: indexes are nested too deeply")),
    }
}

fn docker_names(docker: &[DockerEntry], config: &Digest) -> Vec<ImageReference> {
    docker
        .iter()
        .filter(|entry| entry.config.contains(config.hex()))
        .flat_map(|entry| entry.repo_tags.iter().flatten())
        .filter_map(|name| ImageReference::parse(name).ok())
        .collect()
}

/// Makes an OCI manifest for an image of a Docker archive, which has none.
fn from_docker(archive: &Archive, entry: &DockerEntry) -> Result<Found> {
    let config = archive.file(&entry.config)?;
    check_configuration(&read_document(config)?, entry)?;
    let mut blobs = BTreeMap::from([(config.digest.clone(), config.clone())]);
    let mut layers = Vec::new();
    for name in entry.layers.iter().flatten() {
        let file = archive.file(name)?;
        layers.push(json!({
            "mediaType": layer_media_type(&file.path)?,
            "digest": file.digest,
            "size": file.size,
        }));
        blobs.insert(file.digest.clone(), file.clone());
    }
    let document = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": { "mediaType": media_type::OCI_CONFIG, "digest": config.digest, "size": config.size },
        "layers": layers,
    });
    let manifest = document.to_string().into_bytes();
    let ParsedManifest::Image(parsed) = manifest::parse(media_type::OCI_MANIFEST, &manifest)
        .map_err(|error| ServiceError::from_mechanism("invalid archive", error.kind(), error))?
    else {
        return Err(ServiceError::internal("a manifest was made and read back as an index"));
    };
    let mut names = Vec::new();
    for name in entry.repo_tags.iter().flatten() {
        names.push(ImageReference::parse(name).map_err(|error| ServiceError::invalid(error.to_string()))?);
    }
    let descriptor = Descriptor {
        media_type: media_type::OCI_MANIFEST.to_owned(),
        digest: Digest::from_sha256(Sha256::digest(&manifest).into()),
        size: ByteSize(manifest.len() as u64),
        annotations: BTreeMap::new(),
    };
    Ok(Found {
        manifest,
        descriptor,
        parsed,
        blobs,
        names,
    })
}

/// Says in Docker's words what is wrong with a configuration.
fn check_configuration(bytes: &[u8], entry: &DockerEntry) -> Result<()> {
    #[derive(Deserialize)]
    struct Layers {
        #[serde(default)]
        diff_ids: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Document {
        rootfs: Option<Layers>,
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_eof() {
            ServiceError::invalid("unexpected end of JSON input")
        } else {
            ServiceError::invalid(format!("malformed image configuration: {error}"))
        }
    })?;
    let Some(layers) = document.rootfs else {
        return Err(ServiceError::invalid("invalid image JSON, no RootFS key"));
    };
    let (listed, expected) = (entry.layers.as_ref().map_or(0, Vec::len), layers.diff_ids.len());
    if listed != expected {
        return Err(ServiceError::invalid(format!(
            "invalid manifest, layers length mismatch: expected {listed}, got {expected}"
        )));
    }
    Ok(())
}

fn layer_media_type(path: &Path) -> Result<&'static str> {
    use std::io::Read;
    let mut magic = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut magic))
        .map_err(|error| {
            let kind = crate::seam::io_kind(&error);
            ServiceError::from_mechanism(format!("cannot read {}", path.display()), kind, error)
        })?;
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => media_type::OCI_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => media_type::OCI_LAYER_ZSTD,
        _ => media_type::OCI_LAYER,
    })
}

/// A directory that goes when it is dropped. What a crash leaves of it is removed at the next start.
pub(in crate::image) struct Spool {
    pub(in crate::image) path: PathBuf,
}

impl Spool {
    pub(in crate::image) fn create(parent: &Path) -> Result<Self> {
        let path = parent.join(Digest::from_sha256(random::bytes()?).short());
        std::fs::create_dir_all(&path).map_err(|error| {
            let kind = crate::seam::io_kind(&error);
            ServiceError::from_mechanism(format!("cannot make {}", path.display()), kind, error)
        })?;
        Ok(Self { path })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        drop(std::fs::remove_dir_all(&self.path));
    }
}
