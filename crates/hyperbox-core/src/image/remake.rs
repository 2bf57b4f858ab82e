// SPDX-License-Identifier: MIT
//! Making committed layers again, in the form that the snapshotter gives to new ones: from their archives, else from their kept blobs.

use std::collections::HashSet;
use std::io::Read;

use hyperbox_types::DiffId;

use super::delta::archives;
use super::fetch::{commit_layer, stored, unpacked};
use super::lease::LayerLease;
use super::record::ImageLayer;
use super::service::Images;
use crate::Result;

/// What became of layers that were to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remade {
    /// So many are in the new form.
    pub layers: usize,
    /// So many have neither archive nor blob to make them of, and stay as they are.
    pub without_source: usize,
}

impl Images {
    /// Makes layers again, one after the other; each is replaced in one step, so that an interruption leaves all of them usable. No
    /// container may run meanwhile: the files of the old form go.
    ///
    /// # Errors
    /// Those of the stores. Layers that were replaced until then stay so.
    pub async fn remake(&self, wanted: &[DiffId]) -> Result<Remade> {
        let with = &self.inner.with;
        let lease = self.inner.leases.open().await;
        lease.protect([], wanted.iter().cloned()).await;
        let mut left: HashSet<&DiffId> = wanted.iter().collect();
        let mut remade = Remade::default();
        let images = self.list();
        let layers = images.iter().flat_map(|image| &image.layers);
        for layer in layers {
            let has_source = with.snapshotter.has_archive(&layer.diff_id)
                || with.content.info(&layer.blob.digest).map_err(stored)?.is_some();
            if !left.contains(&layer.diff_id) || !has_source {
                continue;
            }
            self.remake_one(layer, &lease).await?;
            left.remove(&layer.diff_id);
            remade.layers += 1;
        }
        remade.without_source = left.len();
        Ok(remade)
    }

    async fn remake_one(&self, layer: &ImageLayer, lease: &LayerLease) -> Result<()> {
        let with = &self.inner.with;
        let source: Box<dyn Read + Send> = match archives::kept(self, &layer.diff_id).await? {
            Some(archive) => Box::new(archive),
            None => Box::new(with.content.open(&layer.blob.digest).map_err(stored)?),
        };
        let staged = with.snapshotter.stage_layer(source).await.map_err(unpacked)?;
        commit_layer(layer, staged, lease).await
    }
}
