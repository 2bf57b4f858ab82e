// SPDX-License-Identifier: MIT
//! What images occupy, and what of it they share: whole layers, and files of layers that are stored once.

use std::collections::HashMap;
use std::sync::Arc;

use hyperbox_types::{ByteSize, DiffId};

use super::inspect::shared_sizes;
use super::record::ImageRecord;
use super::service::Images;
use crate::{Result, ServiceError};

impl Images {
    /// Returns what all layers occupy; what they share counts once.
    ///
    /// # Errors
    /// Those of the snapshotter.
    pub async fn disk_usage(&self) -> Result<ByteSize> {
        let sizes = self.layer_sizes().await?;
        let shared = self
            .inner
            .with
            .snapshotter
            .optimizer()
            .map(|optimizer| optimizer.shared());
        let shared = shared.unwrap_or_default();
        let all: u64 = sizes.values().map(|size| size.0).sum();
        Ok(ByteSize(all.saturating_sub(shared.referenced.0) + shared.stored.0))
    }

    /// Returns how many bytes of each image others have as well, in their order: as layers, or as files that are stored once.
    ///
    /// # Errors
    /// Those of the snapshotter.
    pub async fn shared_between(&self, images: &[Arc<ImageRecord>]) -> Result<Vec<ByteSize>> {
        let sizes = self.layer_sizes().await?;
        let whole = shared_sizes(images, &sizes);
        let Some(optimizer) = self.inner.with.snapshotter.optimizer() else {
            return Ok(whole);
        };
        let own = optimizer
            .own()
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot measure layers", error.kind(), error))?;
        Ok(with_shared_files(images, &whole, &sizes, &own))
    }
}

/// Adds to what is shared as layers what layers of a single image share. `own` tells what of a layer no other has.
pub(super) fn with_shared_files(
    images: &[Arc<ImageRecord>],
    whole: &[ByteSize],
    sizes: &HashMap<DiffId, ByteSize>,
    own: &HashMap<DiffId, ByteSize>,
) -> Vec<ByteSize> {
    let mut users: HashMap<&DiffId, usize> = HashMap::new();
    for layer in images.iter().flat_map(|image| &image.layers) {
        *users.entry(&layer.diff_id).or_default() += 1;
    }
    let in_files = |image: &Arc<ImageRecord>| -> u64 {
        let alone = image.layers.iter().map(|layer| &layer.diff_id);
        let alone = alone.filter(|layer| users.get(*layer) == Some(&1));
        alone
            .filter_map(|layer| Some(sizes.get(layer)?.0.saturating_sub(own.get(layer)?.0)))
            .sum()
    };
    let both = images.iter().zip(whole);
    both.map(|(image, whole)| ByteSize((whole.0 + in_files(image)).min(image.size.0)))
        .collect()
}
