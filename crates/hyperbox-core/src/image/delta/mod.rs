// SPDX-License-Identifier: MIT
//! Delta pulls: layers from the store of another HyperBox, of which only those chunks are sent that no layer here has.
//!
//! What an image is, its registry says; the other store is only believed what hashes to it. For each layer it tells the list of the
//! chunks of the uncompressed archive; those that layers of the same repository here have are taken from them (`archives.rs`), the
//! others are asked for (`assembly.rs`), and the stream of both is unpacked like any other: it is committed only when its digest is the
//! diff id that the image's configuration names. Each chunk from elsewhere is compared with its name first, so that a peer that sends
//! something else is found out early and named.
//!
//! Whatever goes wrong with the other store, the layer is fetched from the registry, as if nobody had asked for a delta. The blob of a
//! layer that came this way stays with the registry ([`super::ImageRecord::elsewhere`]) until somebody needs it
//! (`image/elsewhere`).
//!
//! Crashes: a layer is staged and committed as in any pull; nothing else is written.

pub(in crate::image) mod archives;
mod assembly;
mod serve;

use std::sync::Arc;

use hyperbox_chunks::{LONGEST_LIST, Recipe, decode_list};
use hyperbox_types::{ErrorKind, ImageReference};
use tokio::sync::OnceCell;

use self::archives::{Known, Place};
use super::fetch::{Source, commit_layer, status, tell, unpacked};
use super::record::ImageLayer;
use super::service::Images;
use crate::{Result, ServiceError, failpoint};

/// Another store that a pull asks, and what is known here already.
pub(super) struct Delta {
    images: Images,
    reference: ImageReference,
    /// Written like `DOCKER_HOST`.
    host: String,
    known: OnceCell<Arc<Known>>,
    moved: Arc<assembly::Moved>,
}

/// Why a layer does not come from the other store.
enum Instead {
    /// It would not save much.
    NotWorthwhile,
    /// The other store has failed.
    Peer(String),
    /// This machine has failed: the registry would not help.
    Here(ServiceError),
}

impl Delta {
    /// Makes a delta of nothing yet.
    pub(super) fn new(images: Images, reference: ImageReference, host: String) -> Self {
        Self {
            images,
            reference,
            host,
            known: OnceCell::new(),
            moved: Arc::default(),
        }
    }

    /// Tries to make a layer; `false`, and said, when the registry has to be asked. `wanted` is the image that it is for.
    pub(super) async fn layer(&self, layer: &ImageLayer, wanted: &[ImageLayer], source: &Source<'_>) -> Result<bool> {
        let id = layer.blob.digest.short();
        match self.attempt(layer, wanted, source).await {
            Ok(()) => Ok(true),
            Err(Instead::Here(error)) => Err(error),
            Err(Instead::NotWorthwhile) => Ok(false),
            Err(Instead::Peer(reason)) => {
                let text = format!("No delta from {}, asking the registry: {reason}", self.host);
                tell(source.progress, status(id, &text));
                tracing::warn!(host = self.host, layer = %layer.diff_id, reason, "no delta of a layer");
                Ok(false)
            }
        }
    }

    async fn attempt(
        &self,
        layer: &ImageLayer,
        wanted: &[ImageLayer],
        source: &Source<'_>,
    ) -> std::result::Result<(), Instead> {
        let known = self.known.get_or_try_init(|| self.look_around(wanted)).await;
        let known = known.map_err(Instead::Here)?;
        if known.is_empty() {
            return Err(Instead::NotWorthwhile);
        }
        let peers = &source.inner.with.peers;
        let list = peers.chunk_list(&self.host, &layer.diff_id, LONGEST_LIST as u64).await;
        let list = list.map_err(|error| Instead::Peer(told(&error)))?;
        self.moved.add(list.len() as u64);
        let list = decode_list(&list).map_err(|error| Instead::Peer(error.to_string()))?;
        let recipe = known.recipe(&list);
        if !is_worthwhile(&recipe, layer.blob.size.0) {
            return Err(Instead::NotWorthwhile);
        }
        failpoint!("delta.after-list");
        self.assemble(layer, Arc::clone(known), recipe, source).await?;
        failpoint!("delta.after-layer");
        Ok(())
    }

    async fn assemble(
        &self,
        layer: &ImageLayer,
        known: Arc<Known>,
        recipe: Recipe<Place>,
        source: &Source<'_>,
    ) -> std::result::Result<(), Instead> {
        let (reader, feeder) = assembly::assemble(known, recipe, Arc::clone(&self.moved));
        let failure = reader.failure();
        let staging = source.inner.with.snapshotter.stage_layer(Box::new(reader));
        let staging = std::pin::pin!(staging);
        let feeding = std::pin::pin!(feeder.run(&self.host, layer, source));
        // The feeder ends when the reader goes, which staging owns.
        let (staged, ()) = futures_util::future::join(staging, feeding).await;
        if let Some(reason) = failure.take() {
            return Err(Instead::Peer(reason));
        }
        let staged = match staged.map_err(unpacked) {
            Ok(staged) => staged,
            Err(error) if error.kind() == ErrorKind::InvalidArgument => {
                return Err(Instead::Peer(error.message().to_owned()));
            }
            Err(error) => return Err(Instead::Here(error)),
        };
        if *staged.diff_id() != layer.diff_id {
            let told = format!("it makes {} of {}", staged.diff_id(), layer.diff_id);
            return Err(Instead::Peer(told));
        }
        commit_layer(layer, staged, source.lease).await.map_err(Instead::Here)
    }

    async fn look_around(&self, wanted: &[ImageLayer]) -> Result<Arc<Known>> {
        let (images, reference) = (self.images.clone(), self.reference.clone());
        let wanted: Vec<_> = wanted.iter().map(|layer| layer.diff_id.clone()).collect();
        let looking = tokio::task::spawn_blocking(move || archives::look_around(&images, &reference, &wanted));
        let known = looking
            .await
            .map_err(|error| ServiceError::internal("cutting layers into chunks was interrupted").with_source(error))?;
        known.map(Arc::new)
    }

    /// Says what was moved.
    pub(super) fn summary(&self) -> String {
        let (moved, taken) = (self.moved.bytes(), self.moved.taken());
        format!(
            "Delta: {moved} bytes from {}, {taken} bytes from layers that were here",
            self.host
        )
    }
}

/// Tells whether asking for what is missing moves clearly less than the blob. What is sent is compressed about as well as the blob.
fn is_worthwhile(recipe: &Recipe<Place>, blob: u64) -> bool {
    let (missing, total) = (u128::from(recipe.missing()), u128::from(recipe.total()));
    // Nothing to send is nothing to save.
    blob > 0 && total > 0 && missing * 10 <= total * 7
}

/// The whole sentence of a failure of a peer: one reason after the other.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
