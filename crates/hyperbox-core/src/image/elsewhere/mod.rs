// SPDX-License-Identifier: MIT
//! Blobs of layers that are with a registry and not here: a delta pull left them there, or they were removed to save space.
//!
//! A record says of a layer's blob that it is elsewhere until it was fetched; afterwards one that is missing is damage. Whoever needs
//! blobs (push, save) asks for a [whole](Images::whole) image: they are fetched, verified by their digests, and what no registry gives any
//! more is made anew of the layer's archive (`recompress.rs`).
//!
//! **Crashes.** One in between leaves a blob that is here and said to be elsewhere: that is no harm, and the next fetch finds nothing to do.

mod recompress;

use std::collections::{BTreeMap, HashSet};

use hyperbox_types::{Digest, ErrorKind, ImageReference, RegistryHost};

use crate::image::LayerLease;
use crate::image::fetch::{Blobs, Progress, Source, stored};
use crate::image::record::{ImageLayer, ImageRecord};
use crate::image::service::Images;
use crate::seam::Credentials;
use crate::{Result, ServiceError};

/// What becomes of the compressed blobs of layers that a pull brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PulledBlobs {
    /// They are kept beside the layers.
    Kept,
    /// They stay with their registry, where the snapshotter keeps the layers' archives.
    Left,
}

impl Images {
    /// Returns an image with all of its blobs here. It is the image itself, or, where a registry did not give a blob, the same image with
    /// another manifest, which nobody knows yet. `lease` protects the image already, and then what is made. Blobs of `claimed` may stay
    /// where they are. `credentials` are those of one registry, and given to no other.
    ///
    /// # Errors
    /// Those of the registry, with a hint, when a layer has no archive to make a blob of; those of the stores. Blobs that came until then
    /// stay.
    pub(in crate::image) async fn whole(
        &self,
        record: &ImageRecord,
        credentials: Option<(&RegistryHost, &Credentials)>,
        progress: &Progress,
        lease: &LayerLease,
        claimed: &HashSet<Digest>,
    ) -> Result<ImageRecord> {
        // As it is by now: a blob may have gone to its registry before the lease began.
        let current = self.table().get(&record.id).cloned();
        let record = current.as_deref().unwrap_or(record);
        let mut missing = Vec::new();
        let mut silent = HashSet::new();
        for layer in &record.layers {
            let Some(reference) = record.elsewhere.get(&layer.blob.digest) else {
                continue;
            };
            if claimed.contains(&layer.blob.digest) {
                continue;
            }
            let host = reference.repository().host().clone();
            let credentials = credentials.and_then(|(of, credentials)| (*of == host).then_some(credentials));
            // A registry that did not answer is not waited for again.
            if silent.contains(&host) && !self.has_blob(layer)? {
                missing.push((layer, unanswered(&host)));
            } else if let Err(error) = self.bring(layer, reference, credentials, progress, lease).await {
                if error.kind() == ErrorKind::Unavailable {
                    silent.insert(host);
                }
                missing.push((layer, error));
            }
        }
        if !record.elsewhere.is_empty() {
            self.blobs_came(record).await?;
        }
        let mut whole = record.clone();
        whole.elsewhere.retain(|blob, _| claimed.contains(blob));
        if missing.is_empty() {
            return Ok(whole);
        }
        self.recompress(whole, missing, progress, lease).await
    }

    /// Makes sure that the blob of a layer is here.
    async fn bring(
        &self,
        layer: &ImageLayer,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        progress: &Progress,
        lease: &LayerLease,
    ) -> Result<()> {
        if self.has_blob(layer)? {
            return Ok(());
        }
        let source = Source {
            inner: &self.inner,
            reference,
            credentials,
            progress,
            lease,
            delta: None,
            blobs: Blobs::All,
        };
        source.layer(layer, &[]).await.map_err(|error| {
            error.with_hint(format!(
                "this blob was left with the registry of {}, and there is no archive of the layer to make it of",
                reference.familiar()
            ))
        })
    }

    pub(in crate::image) fn has_blob(&self, layer: &ImageLayer) -> Result<bool> {
        let known = self.inner.with.content.info(&layer.blob.digest);
        Ok(known.map_err(stored)?.is_some())
    }

    /// Returns which blobs of an image's layers are not here, with a name under which a registry has them: one that other images say, or
    /// `source`.
    pub(in crate::image) fn left_behind(
        &self,
        record: &ImageRecord,
        source: Option<&ImageReference>,
    ) -> BTreeMap<Digest, ImageReference> {
        let content = &self.inner.with.content;
        let blobs = record.layers.iter().map(|layer| &layer.blob.digest);
        let absent = blobs.filter(|blob| matches!(content.info(blob), Ok(None)));
        let named = absent.filter_map(|blob| {
            let name = source.cloned().or_else(|| self.where_else(blob));
            name.map(|name| (blob.clone(), name))
        });
        named.collect()
    }

    /// Returns a name under which a registry has a blob that is not here, as far as an image says so.
    pub(in crate::image) fn where_else(&self, blob: &Digest) -> Option<ImageReference> {
        self.list().iter().find_map(|image| image.elsewhere.get(blob).cloned())
    }

    /// Records of all images that blobs are here now.
    async fn blobs_came(&self, record: &ImageRecord) -> Result<()> {
        let _order = self.turn_to_change().await;
        let content = &self.inner.with.content;
        let is_here = |blob: &Digest| record.elsewhere.contains_key(blob) && matches!(content.info(blob), Ok(Some(_)));
        let mut changed = Vec::new();
        for image in self.list() {
            if image.elsewhere.keys().any(is_here) {
                let mut image = ImageRecord::clone(&image);
                image.elsewhere.retain(|blob, _| !is_here(blob));
                changed.push(image);
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.commit(changed, &[])
    }
}

fn unanswered(host: &RegistryHost) -> ServiceError {
    let message = format!("the registry {host} does not answer");
    ServiceError::new(ErrorKind::Unavailable, message)
}
