// SPDX-License-Identifier: MIT
//! The answer of `GET /hyperbox/v1/image-diff?left=IMAGE&right=IMAGE`: in what two images differ.

use serde::{Deserialize, Serialize};

/// In what two images differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageDiff {
    /// Id of the left image.
    pub left: String,
    /// Id of the right image.
    pub right: String,
    /// How many layers at the bottom are the same.
    pub shared_layers: u64,
    /// How many layers the left image has on top of those.
    pub left_layers: u64,
    /// How many layers the right image has on top of those.
    pub right_layers: u64,
    /// Bytes (uncompressed archives) of chunks that are in the upper layers of both, measured in the right one.
    pub shared_bytes: u64,
    /// Bytes of chunks that only the left image's upper layers have.
    pub left_bytes: u64,
    /// Bytes of chunks that only the right image's upper layers have: what somebody who has the left one lacks.
    pub right_bytes: u64,
    /// Paths that differ, sorted.
    pub changes: Vec<PathChange>,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PathChange {
    /// Absolute path.
    pub path: String,
    /// Length in the left image; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_size: Option<u64>,
    /// Length in the right image; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_size: Option<u64>,
}
