// SPDX-License-Identifier: MIT
//! Writing an archive of images, streamed: nothing is spooled, and a client that goes away ends it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use hyperbox_types::{Digest, ImageReference};
use serde_json::{Value, json};

use super::{DockerEntry, FULL_NAME, LayerSource, REFERENCE_NAME};
use crate::image::fetch::progress_channel;
use crate::image::lease::LayerLease;
use crate::image::media_type::OCI_INDEX;
use crate::image::service::is_id_of;
use crate::image::{ImageRecord, Images};
use crate::seam::{ContentStore, Descriptor};
use crate::{ChunkWriter, Result, ServiceError};

/// The bytes of an archive.
pub type ArchiveStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

impl Images {
    /// Writes images to an archive. A tag selects the image with that name, a name without tag all tags of it, an id the image
    /// without any name.
    ///
    /// # Errors
    /// `NotFound` when an image is missing; nothing is written then.
    pub async fn save(&self, names: &[String]) -> Result<ArchiveStream> {
        let mut chosen: Vec<(Arc<ImageRecord>, Vec<ImageReference>)> = Vec::new();
        for name in names {
            for (record, tag) in self.selected(name)? {
                match chosen.iter_mut().find(|(known, _)| known.id == record.id) {
                    Some((_, known)) => known.extend(tag),
                    None => chosen.push((record, tag.into_iter().collect())),
                }
            }
        }
        let mut leases = Vec::new();
        for (record, tags) in &mut chosen {
            let lease = self.lease(record).await?;
            let (silence, _nobody) = progress_channel();
            *record = Arc::new(self.whole(record, None, &silence, &lease, &HashSet::new()).await?);
            leases.push(lease);
            tags.sort();
            tags.dedup();
        }
        for (record, _) in &chosen {
            self.publish("save", &record.id, &record.id.to_string());
        }
        Ok(self.stream_archive(chosen, leases))
    }

    /// Writes images to an archive, in which each has these names; `leases` protect them until it is written.
    pub(in crate::image) fn stream_archive(
        &self,
        chosen: Vec<(Arc<ImageRecord>, Vec<ImageReference>)>,
        leases: Vec<LayerLease>,
    ) -> ArchiveStream {
        let content = Arc::clone(&self.inner.with.content);
        let (mut writer, stream) = ChunkWriter::pipe();
        tokio::task::spawn_blocking(move || {
            let _leases = leases;
            let written = write_archive(&mut writer, &chosen, content.as_ref());
            writer.finish(written);
        });
        stream
    }
}

impl Images {
    /// Returns what a name selects, as Docker's `parseNames` (`image/tarexport/save.go`).
    fn selected(&self, name: &str) -> Result<Vec<(Arc<ImageRecord>, Option<ImageReference>)>> {
        let absent = |text: String| ServiceError::not_found(text);
        let by_id = || self.get(name).ok().filter(|record| is_id_of(&record.id, name));
        let Ok(reference) = ImageReference::parse_untagged(name) else {
            let record = by_id().ok_or_else(|| absent(format!("No such image: {name}")))?;
            return Ok(vec![(record, None)]);
        };
        if reference.digest().is_some() {
            let record = self
                .get(name)
                .map_err(|_| absent("reference does not exist".to_owned()))?;
            return Ok(vec![(record, None)]);
        }
        let wanted = |known: &&ImageReference| {
            known.repository() == reference.repository() && reference.tag().is_none_or(|tag| known.tag() == Some(tag))
        };
        let images = self.list();
        let found: Vec<_> = images
            .iter()
            .flat_map(|record| record.references.iter().filter(wanted).map(move |tag| (record, tag)))
            .map(|(record, tag)| (Arc::clone(record), Some(tag.clone())))
            .collect();
        match (found.is_empty(), reference.tag()) {
            (false, _) => Ok(found),
            (true, Some(_)) => by_id()
                .map(|record| vec![(record, None)])
                .ok_or_else(|| absent("reference does not exist".to_owned())),
            (true, None) => by_id()
                .map(|record| vec![(record, None)])
                .ok_or_else(|| absent(format!("No such image: {name}"))),
        }
    }
}

fn write_archive(
    writer: &mut ChunkWriter,
    images: &[(Arc<ImageRecord>, Vec<ImageReference>)],
    content: &dyn ContentStore,
) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(writer);
    directory(&mut archive, "blobs/")?;
    directory(&mut archive, "blobs/sha256/")?;
    let mut written = BTreeSet::new();
    for (record, _) in images {
        for digest in record.blobs() {
            if written.insert(digest.clone()) {
                blob(&mut archive, digest, content)?;
            }
        }
    }
    text(&mut archive, "index.json", &index(images))?;
    text(&mut archive, "manifest.json", &docker_manifest(images))?;
    bytes(&mut archive, "oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#)?;
    let repositories = repositories(images);
    if !repositories.is_empty() {
        text(&mut archive, "repositories", &json!(repositories))?;
    }
    archive.finish()
}

fn index(images: &[(Arc<ImageRecord>, Vec<ImageReference>)]) -> Value {
    let mut manifests = Vec::new();
    for (record, tags) in images {
        let descriptor = json!({
            "mediaType": record.manifest.media_type,
            "digest": record.manifest.digest,
            "size": record.manifest.size,
            "platform": record.platform,
        });
        if tags.is_empty() {
            manifests.push(descriptor);
            continue;
        }
        for tag in tags {
            let mut named = descriptor.clone();
            named["annotations"] = json!({
                FULL_NAME: tag.to_string(),
                REFERENCE_NAME: tag.tag().map_or("latest", hyperbox_types::Tag::as_str),
            });
            manifests.push(named);
        }
    }
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests })
}

fn docker_manifest(images: &[(Arc<ImageRecord>, Vec<ImageReference>)]) -> Value {
    let entries: Vec<DockerEntry> = images
        .iter()
        .map(|(record, tags)| DockerEntry {
            config: path(&record.configuration.digest),
            repo_tags: (!tags.is_empty()).then(|| tags.iter().map(ImageReference::familiar).collect()),
            layer_sources: record
                .layers
                .iter()
                .map(|layer| (layer.diff_id.clone(), source(&layer.blob)))
                .collect(),
            layers: Some(record.layers.iter().map(|layer| path(&layer.blob.digest)).collect()),
        })
        .collect();
    json!(entries)
}

fn source(blob: &Descriptor) -> LayerSource {
    LayerSource {
        media_type: blob.media_type.clone(),
        size: blob.size,
        digest: blob.digest.clone(),
    }
}

/// The oldest list: names and tags with what used to be the id of the topmost layer.
fn repositories(images: &[(Arc<ImageRecord>, Vec<ImageReference>)]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (record, tags) in images {
        let top = record.layers.last().map_or(&record.id.0, |layer| &layer.diff_id.0);
        for reference in tags {
            let tag = reference.tag().map_or("latest", hyperbox_types::Tag::as_str);
            let tags = repositories.entry(reference.repository().familiar()).or_default();
            tags.insert(tag.to_owned(), top.hex().to_owned());
        }
    }
    repositories
}

fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

fn entry(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn directory(archive: &mut tar::Builder<&mut ChunkWriter>, name: &str) -> std::io::Result<()> {
    archive.append_data(&mut entry(tar::EntryType::Directory, 0o755, 0), name, std::io::empty())
}

fn text(archive: &mut tar::Builder<&mut ChunkWriter>, name: &str, value: &Value) -> std::io::Result<()> {
    bytes(archive, name, value.to_string().as_bytes())
}

fn bytes(archive: &mut tar::Builder<&mut ChunkWriter>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    archive.append_data(
        &mut entry(tar::EntryType::Regular, 0o644, bytes.len() as u64),
        name,
        bytes,
    )
}

fn blob(
    archive: &mut tar::Builder<&mut ChunkWriter>,
    digest: &Digest,
    content: &dyn ContentStore,
) -> std::io::Result<()> {
    let file = content.open(digest).map_err(std::io::Error::other)?;
    let size = file.metadata()?.len();
    archive.append_data(&mut entry(tar::EntryType::Regular, 0o644, size), path(digest), file)
}
