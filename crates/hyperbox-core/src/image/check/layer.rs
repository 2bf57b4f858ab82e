// SPDX-License-Identifier: MIT
//! A layer: is it unpacked, and is it what was packed?

use std::io::Read;
use std::sync::Arc;

use hyperbox_types::check::{Finding, Outcome, Problem};
use hyperbox_types::{DiffId, ErrorKind};

use super::blob::BlobKind;
use super::source::Fetched;
use super::{Check, name_of};
use crate::Result;
use crate::image::lease::LayerLease;
use crate::image::record::ImageRecord;
use crate::image::service::RemoveImageOptions;
use crate::seam::{Descriptor, LayerCheck, SnapshotError};

impl Check {
    /// Looks at a layer and mends it if it may. `archive` is its blob, when that is whole.
    pub(super) async fn check_layer(
        &mut self,
        layer: &DiffId,
        archive: Option<&Descriptor>,
        lease: &LayerLease,
    ) -> Result<()> {
        let (problem, detail) = match self.examine_layer(layer, archive).await {
            Ok(None) => (Problem::LayerMissing, "it is not unpacked".to_owned()),
            Ok(Some(LayerCheck::Intact)) => {
                self.summary.layers += 1;
                return Ok(());
            }
            Ok(Some(LayerCheck::Plausible { .. })) => {
                self.summary.layers_in_part += 1;
                return Ok(());
            }
            Ok(Some(LayerCheck::Damaged { reason })) => (Problem::LayerDamaged, reason),
            Err(error) => {
                let detail = format!("it cannot be compared: {error}");
                let why = "see to what the message tells, then check again";
                self.left(Problem::Unchecked, layer.to_string(), detail, Vec::new(), why)
                    .await;
                return Ok(());
            }
        };
        let owners = self.images_with(|image| image.layers.iter().any(|own| own.diff_id == *layer));
        let users = self.images.users();
        let containers = users.iter().filter(|user| user.layers.contains(layer));
        let needed_by = owners.iter().map(|image| name_of(image));
        let needed_by = needed_by.chain(containers.map(|user| user.container.clone())).collect();
        let outcome = if self.options.repair {
            self.mend_layer(layer, archive, &owners, lease).await
        } else {
            Outcome::Nothing
        };
        self.found(Finding {
            problem,
            subject: layer.to_string(),
            detail,
            needed_by,
            outcome,
        })
        .await;
        Ok(())
    }

    /// `None` when the layer is not there.
    async fn examine_layer(
        &self,
        layer: &DiffId,
        archive: Option<&Descriptor>,
    ) -> Result<Option<LayerCheck>, SnapshotError> {
        let with = &self.images.inner.with;
        if !with.snapshotter.has_layer(layer) {
            return Ok(None);
        }
        let opened = archive.and_then(|blob| with.content.open(&blob.digest).ok());
        let opened = opened.map(|file| -> Box<dyn Read + Send> { Box::new(file) });
        match with.snapshotter.verify_layer(layer, opened).await {
            Err(SnapshotError::LayerNotFound { .. }) => Ok(None),
            result => result.map(Some),
        }
    }

    async fn mend_layer(
        &self,
        layer: &DiffId,
        archive: Option<&Descriptor>,
        owners: &[Arc<ImageRecord>],
        lease: &LayerLease,
    ) -> Outcome {
        let Some(archive) = archive else {
            if let Some(blob) = elsewhere(layer, owners) {
                return self.fetch_and_unpack(layer, &blob, owners, lease).await;
            }
            // The blob's own finding tells whether it can be had again.
            return self.give_up(layer, owners).await;
        };
        match self.unpack_again(layer, archive, lease).await {
            Ok(()) => Outcome::Repaired {
                how: "unpacked again".to_owned(),
            },
            Err(why) => Outcome::Left { why },
        }
    }

    /// Mends a layer whose blob a delta pull left with its registry.
    async fn fetch_and_unpack(
        &self,
        layer: &DiffId,
        blob: &Descriptor,
        owners: &[Arc<ImageRecord>],
        lease: &LayerLease,
    ) -> Outcome {
        let images = owners.iter().map(AsRef::as_ref);
        match self.fetch(images, blob, BlobKind::Other, lease).await {
            Fetched::From(source) => match self.unpack_again(layer, blob, lease).await {
                Ok(()) => Outcome::Repaired {
                    how: format!("its archive fetched from {source} and unpacked again"),
                },
                Err(why) => Outcome::Left { why },
            },
            Fetched::NotNow(why) | Fetched::Nowhere(why) => Outcome::Left { why },
        }
    }

    /// Stages the layer, then puts it in the place of the damaged one while nobody can begin to use it.
    async fn unpack_again(&self, layer: &DiffId, archive: &Descriptor, lease: &LayerLease) -> Result<(), String> {
        let with = &self.images.inner.with;
        let file = with.content.open(&archive.digest).map_err(|error| error.to_string())?;
        let staged = with.snapshotter.stage_layer(Box::new(file)).await;
        let staged = staged.map_err(|error| error.to_string())?;
        if staged.diff_id() != layer {
            return Err(format!("{} unpacks to {}", archive.digest, staged.diff_id()));
        }
        let (images, layer) = (self.images.clone(), layer.clone());
        let exchanged = lease.during(async move {
            let _nobody_begins = images.inner.leases.lock().await;
            let users = images.users();
            let running = users.iter().find(|user| user.running && user.layers.contains(&layer));
            if let Some(user) = running {
                return Err(format!("container {} runs on it: stop it first", user.container));
            }
            let replaced = tokio::task::spawn_blocking(move || staged.replace()).await;
            replaced
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())
        });
        exchanged.await.unwrap_or_else(|error| Err(error.message().to_owned()))
    }

    /// Removes the images of a layer that nobody can have again; keeps them while that is not certain.
    async fn give_up(&self, layer: &DiffId, owners: &[Arc<ImageRecord>]) -> Outcome {
        let left = |why: String| Outcome::Left { why };
        if owners.is_empty() {
            return left("its image is gone: remove the container, its own files can be copied out before".to_owned());
        }
        let blobs = owners.iter().flat_map(|image| image.layers.iter());
        let blobs = blobs.filter(|own| own.diff_id == *layer);
        if let Some(hope) = blobs.map(|own| &own.blob).find(|blob| !self.is_lost(blob)) {
            return left(format!("its archive {} may be had again: try again later", hope.digest));
        }
        let mut removed = Vec::new();
        for image in owners {
            let options = RemoveImageOptions {
                force: true,
                ..RemoveImageOptions::default()
            };
            if let Some(user) = self.images.users().iter().find(|user| user.image == image.id) {
                return left(format!("container {} uses image {}", user.container, name_of(image)));
            }
            match self.images.remove(&image.id.to_string(), options).await {
                Ok(_) => removed.push(name_of(image)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return left(error.message().to_owned()),
            }
        }
        Outcome::Removed {
            what: format!("image {}: nobody has this layer any more", removed.join(", ")),
        }
    }

    /// Tells whether a blob was found to be nowhere; its bytes were removed then.
    fn is_lost(&self, blob: &Descriptor) -> bool {
        self.lost.contains(&blob.digest)
    }
}

/// Returns the blob of a layer that some image has with its registry.
fn elsewhere(layer: &DiffId, owners: &[Arc<ImageRecord>]) -> Option<Descriptor> {
    owners.iter().find_map(|image| {
        let mut own = image.layers.iter().filter(|own| own.diff_id == *layer);
        let blob = own.find(|own| image.elsewhere.contains_key(&own.blob.digest));
        blob.map(|own| own.blob.clone())
    })
}
