// SPDX-License-Identifier: MIT
//! Answers about images.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::nullable;

/// A line of the list of images.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageSummary {
    /// Id, `sha256:…`.
    pub id: String,
    /// Names with tags.
    #[serde(deserialize_with = "nullable")]
    pub repo_tags: Vec<String>,
    /// Names with digests.
    #[serde(deserialize_with = "nullable")]
    pub repo_digests: Vec<String>,
    /// Seconds of the epoch.
    pub created: i64,
    /// Bytes.
    pub size: i64,
    /// Bytes shared with other images, -1 when unknown.
    pub shared_size: i64,
    /// Containers that use it, -1 when unknown.
    pub containers: i64,
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// Its parts, when they were asked for and the daemon keeps images of several platforms.
    #[serde(deserialize_with = "nullable")]
    pub manifests: Vec<ManifestSummary>,
}

/// A part of an image: the image of one platform, or something about it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManifestSummary {
    /// Digest.
    #[serde(rename = "ID")]
    pub id: String,
    /// `image`, `attestation`, `unknown`.
    pub kind: String,
    /// Bytes.
    pub size: ManifestSize,
    /// For images.
    #[serde(deserialize_with = "nullable")]
    pub image_data: ManifestImage,
}

/// What a part of an image uses.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManifestSize {
    /// Bytes as they were transferred.
    pub content: i64,
    /// Bytes with everything unpacked.
    pub total: i64,
}

/// The image of one platform.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManifestImage {
    /// The platform.
    pub platform: ManifestPlatform,
    /// Ids of the containers that use it.
    #[serde(deserialize_with = "nullable")]
    pub containers: Vec<String>,
}

/// The platform of a part of an image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ManifestPlatform {
    /// Operating system.
    pub os: String,
    /// Architecture.
    pub architecture: String,
    /// Variant of the architecture.
    pub variant: String,
}

/// A step that made an image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct History {
    /// Id, or `<missing>`.
    pub id: String,
    /// Seconds of the epoch.
    pub created: i64,
    /// What was done.
    pub created_by: String,
    /// Names.
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<String>,
    /// Bytes that it added.
    pub size: i64,
    /// A remark.
    pub comment: String,
}

/// What a removal did.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RemovedImage {
    /// A name that is gone.
    pub untagged: Option<String>,
    /// An image or layer that is gone.
    pub deleted: Option<String>,
}

/// A repository that a search found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FoundRepository {
    /// Its name.
    pub name: String,
    /// What its owner says of it.
    pub description: String,
    /// How many people like it.
    pub star_count: i64,
    /// Whether the registry vouches for it.
    pub is_official: bool,
}
