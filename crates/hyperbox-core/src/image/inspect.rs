// SPDX-License-Identifier: MIT
//! What is shown of an image beyond its record: what its configuration says to Docker alone, its layers' sizes, its ancestors.

use std::collections::HashMap;
use std::sync::Arc;

use hyperbox_types::{ByteSize, DiffId, Digest};
use serde::Deserialize;
use serde_json::Value;

use super::fetch::stored;
use super::removal::chain_ids;
use super::{ImageRecord, Images};
use crate::{Result, ServiceError};

/// More parents than any image has: a chain of records cannot keep anybody busy for ever.
const MOST_ANCESTORS: usize = 10_000;

/// The longest configuration that is read; longer ones were not taken in either.
const LONGEST_CONFIGURATION: u64 = 16 << 20;

/// The field of a configuration in which the builder says which steps made the layers.
pub(super) const BUILD_CACHE: &str = "hyperbox.build-cache.v1";

/// What Docker keeps in the configuration of an image besides what the image specification has.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct DockerFields {
    /// Version of the engine that made the image.
    pub docker_version: Option<String>,
    /// The container that it was made of.
    pub container: Option<String>,
    /// That container's configuration.
    pub container_config: Option<Value>,
    /// Which steps made the layers, as the builder said.
    #[serde(rename = "hyperbox.build-cache.v1")]
    pub build_cache: Option<Value>,
}

impl Images {
    /// Reads what an image's configuration says to Docker alone; nothing when it cannot be read.
    pub async fn docker_fields(&self, record: &ImageRecord) -> DockerFields {
        let Ok(file) = self
            .inner
            .with
            .content
            .open(&record.configuration.digest)
            .map_err(stored)
        else {
            return DockerFields::default();
        };
        let reading = tokio::task::spawn_blocking(move || {
            let file = std::io::Read::take(file, LONGEST_CONFIGURATION);
            serde_json::from_reader(std::io::BufReader::new(file)).unwrap_or_default()
        });
        reading.await.unwrap_or_default()
    }

    /// Returns the sizes of all unpacked layers.
    ///
    /// # Errors
    /// Those of the snapshotter.
    pub async fn layer_sizes(&self) -> Result<HashMap<DiffId, ByteSize>> {
        let layers = self
            .inner
            .with
            .snapshotter
            .layers()
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot measure layers", error.kind(), error))?;
        Ok(layers.into_iter().map(|(layer, usage)| (layer, usage.size)).collect())
    }

    /// Returns an image, the one it was made of, and so on.
    pub fn lineage(&self, record: &Arc<ImageRecord>) -> Vec<Arc<ImageRecord>> {
        let table = self.table();
        let parent = |record: &Arc<ImageRecord>| record.parent.as_ref().and_then(|id| table.get(id)).cloned();
        std::iter::successors(Some(Arc::clone(record)), parent)
            .take(MOST_ANCESTORS)
            .collect()
    }
}

/// Returns how many bytes of each image are in layers that others of the images have as well, in their order.
///
/// Layers are the same when all below them are, as for Docker, whose layers stand on one another.
pub fn shared_sizes(images: &[Arc<ImageRecord>], sizes: &HashMap<DiffId, ByteSize>) -> Vec<ByteSize> {
    let mut users: HashMap<Digest, usize> = HashMap::new();
    for (chain, _) in images.iter().flat_map(|image| stack(image)) {
        *users.entry(chain).or_default() += 1;
    }
    let shared = |image: &Arc<ImageRecord>| {
        let layers = stack(image);
        let shared = layers.filter(|(chain, _)| users.get(chain).is_some_and(|count| *count > 1));
        shared
            .filter_map(|(_, layer)| sizes.get(layer))
            .map(|size| size.0)
            .sum()
    };
    images.iter().map(shared).map(ByteSize).collect()
}

/// Returns an image's layers with their chain ids.
fn stack(image: &ImageRecord) -> impl Iterator<Item = (Digest, &DiffId)> {
    let layers: Vec<&DiffId> = image.layers.iter().map(|layer| &layer.diff_id).collect();
    chain_ids(&layers).into_iter().zip(layers)
}
