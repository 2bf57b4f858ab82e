// SPDX-License-Identifier: MIT
//! What uses disk space.

use serde::Deserialize;

use super::{ContainerSummary, ImageSummary, Volume, nullable};

/// Everything that uses disk space.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiskUsage {
    /// Bytes of all layers of images, each counted once.
    pub layers_size: i64,
    /// Images.
    #[serde(deserialize_with = "nullable")]
    pub images: Vec<ImageSummary>,
    /// Containers.
    #[serde(deserialize_with = "nullable")]
    pub containers: Vec<ContainerSummary>,
    /// Volumes.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<Volume>,
    /// What builds keep.
    #[serde(deserialize_with = "nullable")]
    pub build_cache: Vec<BuildCache>,
}

/// Something that builds keep.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BuildCache {
    /// Id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Where it comes from, up to API 1.41.
    #[serde(deserialize_with = "nullable")]
    pub parent: String,
    /// `regular`, `internal`, `source.local`, …
    #[serde(rename = "Type")]
    pub kind: String,
    /// What it was made by.
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    /// A build uses it.
    pub in_use: bool,
    /// Its bytes belong to an image.
    pub shared: bool,
    /// Bytes.
    pub size: i64,
    /// When it was made, RFC 3339.
    #[serde(deserialize_with = "nullable")]
    pub created_at: String,
    /// When it was used, RFC 3339; empty if never.
    #[serde(deserialize_with = "nullable")]
    pub last_used_at: String,
    /// How often it was used.
    pub usage_count: i64,
}
