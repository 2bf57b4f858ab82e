// SPDX-License-Identifier: MIT
//! Images as tar archives: `save` and `load`.
//!
//! What is written is an OCI image layout (image-spec `image-layout.md`) and a Docker archive (`manifest.json`) at once, over the same
//! blobs, as Docker itself does since version 25. What is read is either.

mod load;
mod read;
mod save;

pub(super) use load::Spool;
pub(super) use read::Spooled;
pub use save::ArchiveStream;

use std::collections::BTreeMap;

use hyperbox_types::{ByteSize, DiffId, Digest};
use serde::{Deserialize, Serialize};

/// Annotation with the complete name of an image (containerd's convention, used by Docker).
const FULL_NAME: &str = "io.containerd.image.name";
/// Annotation with the tag, or by some tools the name (image-spec `annotations.md`).
const REFERENCE_NAME: &str = "org.opencontainers.image.ref.name";

/// One image of Docker's `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    /// What the layers are, by their diff ids. Written for Docker, not read.
    #[serde(default, skip_deserializing, skip_serializing_if = "BTreeMap::is_empty")]
    layer_sources: BTreeMap<DiffId, LayerSource>,
}

/// A descriptor without annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerSource {
    media_type: String,
    size: ByteSize,
    digest: Digest,
}
