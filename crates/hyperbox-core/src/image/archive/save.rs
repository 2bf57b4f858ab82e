// SPDX-License-Identifier: MIT
//! Writing an archive of images, streamed: nothing is spooled, and a client that goes away ends it.

use std::collections::BTreeSet;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use hyperbox_types::{Digest, ImageReference};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{DockerEntry, FULL_NAME, REFERENCE_NAME};
use crate::Result;
use crate::image::media_type::OCI_INDEX;
use crate::image::{ImageRecord, Images};
use crate::seam::ContentStore;

/// The bytes of an archive.
pub type ArchiveStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Bytes collected before they are sent.
const CHUNK: usize = 64 * 1024;

impl Images {
    /// Writes images to an archive. A name selects that tag, an id the image with all its tags.
    ///
    /// # Errors
    /// `NotFound` when an image is missing; nothing is written then.
    pub async fn save(&self, names: &[String]) -> Result<ArchiveStream> {
        let mut chosen: Vec<(Arc<ImageRecord>, Vec<ImageReference>)> = Vec::new();
        for name in names {
            let record = self.get(name)?;
            let wanted = ImageReference::parse(name)
                .ok()
                .filter(|parsed| record.references.contains(parsed));
            let tags = wanted.map_or_else(|| record.references.clone(), |wanted| vec![wanted]);
            match chosen.iter_mut().find(|(known, _)| known.id == record.id) {
                Some((_, known)) => known.extend(tags),
                None => chosen.push((record, tags)),
            }
        }
        let mut leases = Vec::new();
        for (record, tags) in &mut chosen {
            leases.push(self.lease(record).await);
            tags.sort();
            tags.dedup();
        }
        let content = Arc::clone(&self.inner.with.content);
        let (sender, receiver) = mpsc::channel(8);
        tokio::task::spawn_blocking(move || {
            let _leases = leases;
            let failed = sender.clone();
            let mut writer = ChunkWriter {
                sender,
                buffer: Vec::with_capacity(CHUNK),
            };
            if let Err(error) = write_archive(&mut writer, &chosen, content.as_ref()).and_then(|()| writer.flush()) {
                drop(failed.blocking_send(Err(error)));
            }
        });
        Ok(Box::pin(stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        })))
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
    text(&mut archive, "oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
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
            repo_tags: Some(tags.iter().map(ImageReference::familiar).collect()),
            layers: Some(record.layers.iter().map(|layer| path(&layer.blob.digest)).collect()),
        })
        .collect();
    json!(entries)
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
    let bytes = value.to_string().into_bytes();
    archive.append_data(
        &mut entry(tar::EntryType::Regular, 0o644, bytes.len() as u64),
        name,
        bytes.as_slice(),
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

/// Sends what is written in chunks.
struct ChunkWriter {
    sender: mpsc::Sender<std::io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        self.sender
            .blocking_send(Ok(chunk))
            .map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}
