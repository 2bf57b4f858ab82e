// SPDX-License-Identifier: MIT
//! Blobs that no registry gives any more, made anew of the archives of their layers.
//!
//! Compression is not reproducible, so the blob and with it the manifest get other digests; configuration, diff ids and the image's id
//! stay. It is what Docker's own store does at each push and save. **Crashes** leave blobs that nobody names: they are collected.

use serde_json::Value;

use crate::image::LayerLease;
use crate::image::archive::Spool;
use crate::image::delta::archives;
use crate::image::fetch::{Progress, status, stored, tell};
use crate::image::make::{SpooledLayer, blob, describe, spool_layer};
use crate::image::manifest::{MANIFEST_LIMIT, media_type};
use crate::image::pull::store_document;
use crate::image::record::{ImageLayer, ImageRecord};
use crate::image::service::Images;
use crate::seam::Descriptor;
use crate::{Result, ServiceError};

impl Images {
    /// Returns the image with new blobs for those layers; each error is why the layer's own is not here, and is returned when there is no
    /// archive.
    pub(super) async fn recompress(
        &self,
        mut record: ImageRecord,
        missing: Vec<(&ImageLayer, ServiceError)>,
        progress: &Progress,
        lease: &LayerLease,
    ) -> Result<ImageRecord> {
        for (layer, error) in missing {
            tracing::info!(layer = %layer.diff_id, %error, "the blob of a layer is made anew");
            tell(progress, status(layer.blob.digest.short(), "Compressing"));
            let Some(made) = self.compress(layer, lease).await? else {
                return Err(error);
            };
            for own in &mut record.layers {
                if own.diff_id == layer.diff_id {
                    own.blob = made.clone();
                }
            }
        }
        let content = &self.inner.with.content;
        let manifest = content.read(&record.manifest.digest, MANIFEST_LIMIT).await;
        let rewritten = with_layers(&manifest.map_err(stored)?, &record.layers)?;
        record.manifest = describe(&record.manifest.media_type, &rewritten);
        lease.protect([record.manifest.digest.clone()], []).await;
        store_document(self, &record.manifest, &rewritten, lease).await?;
        Ok(record)
    }

    /// Makes a blob of a layer's archive; `None` when there is none.
    async fn compress(&self, layer: &ImageLayer, lease: &LayerLease) -> Result<Option<Descriptor>> {
        let directory = Spool::create(&self.inner.with.spool_dir)?;
        let target = directory.path.join("layer");
        let (images, layer) = (self.clone(), layer.clone());
        let spooling = tokio::task::spawn_blocking(move || {
            let opened = archives::open(&images, &layer).map_err(|error| {
                let kind = crate::seam::io_kind(&error);
                let what = format!("cannot open the archive of layer {}", layer.diff_id);
                ServiceError::from_mechanism(what, kind, error)
            })?;
            opened.map(|archive| spool_layer(archive, &target)).transpose()
        });
        let spooled = spooling
            .await
            .map_err(|error| ServiceError::internal("compressing a layer was interrupted").with_source(error))?;
        let Some(SpooledLayer { file, media_type, .. }) = spooled? else {
            return Ok(None);
        };
        lease.protect([file.digest.clone()], []).await;
        self.store_blob(&file.digest, &file, lease).await?;
        Ok(Some(Descriptor {
            media_type: media_type.to_owned(),
            digest: file.digest,
            size: file.size,
            annotations: std::collections::BTreeMap::new(),
        }))
    }
}

/// Returns a manifest that names other blobs; everything else stays as it is.
fn with_layers(manifest: &[u8], layers: &[ImageLayer]) -> Result<Vec<u8>> {
    let broken = || ServiceError::internal("the image's manifest cannot be read back");
    let mut document: Value = serde_json::from_slice(manifest).map_err(|error| broken().with_source(error))?;
    let is_docker = document["mediaType"] == media_type::DOCKER_MANIFEST;
    let named = document["layers"]
        .as_array_mut()
        .filter(|named| named.len() == layers.len());
    for (named, layer) in named.ok_or_else(broken)?.iter_mut().zip(layers) {
        if named["digest"] != layer.blob.digest.to_string().as_str() {
            let mut descriptor = layer.blob.clone();
            if is_docker {
                media_type::DOCKER_LAYER_GZIP.clone_into(&mut descriptor.media_type);
            }
            *named = blob(&descriptor);
        }
    }
    Ok(document.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use hyperbox_types::{ByteSize, DiffId, Digest};
    use serde_json::json;

    use super::*;

    fn digest(character: char) -> Digest {
        format!("sha256:{}", character.to_string().repeat(64)).parse().unwrap()
    }

    #[test]
    fn only_what_is_new_changes() {
        let layer = |diff: char, blob: char| ImageLayer {
            diff_id: DiffId(digest(diff)),
            blob: Descriptor {
                media_type: media_type::OCI_LAYER_GZIP.to_owned(),
                digest: digest(blob),
                size: ByteSize(7),
                annotations: std::collections::BTreeMap::new(),
            },
        };
        for (kind, expected) in [
            (media_type::DOCKER_MANIFEST, media_type::DOCKER_LAYER_GZIP),
            (media_type::OCI_MANIFEST, media_type::OCI_LAYER_GZIP),
        ] {
            let kept = json!({ "mediaType": "kept", "digest": digest('a'), "size": 1, "annotations": { "a": "b" } });
            let gone = json!({ "mediaType": "gone", "digest": digest('b'), "size": 2 });
            let before =
                json!({ "mediaType": kind, "config": { "size": 3 }, "layers": [kept, gone], "annotations": {} });
            let layers = [layer('1', 'a'), layer('2', 'c')];
            let after = with_layers(before.to_string().as_bytes(), &layers).unwrap();
            let after: Value = serde_json::from_slice(&after).unwrap();
            let made = json!({ "mediaType": expected, "digest": digest('c'), "size": 7 });
            let wanted =
                json!({ "mediaType": kind, "config": { "size": 3 }, "layers": [kept, made], "annotations": {} });
            assert_eq!(after, wanted);
        }
        assert!(with_layers(b"{}", &[]).is_err());
        assert!(with_layers(b"x", &[]).is_err());
    }
}
