// SPDX-License-Identifier: MIT
//! `api/types/worker.proto`: whoever builds.

use std::collections::HashMap;

use super::ops::Platform;

/// `moby.buildkit.v1.types.WorkerRecord`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WorkerRecord {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) labels: HashMap<String, String>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) platforms: Vec<Platform>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) gc_policy: Vec<GcPolicy>,
    #[prost(message, optional, tag = "5")]
    pub(crate) buildkit_version: Option<BuildkitVersion>,
}

/// `moby.buildkit.v1.types.GCPolicy`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GcPolicy {
    #[prost(bool, tag = "1")]
    pub(crate) all: bool,
    #[prost(int64, tag = "2")]
    pub(crate) keep_duration: i64,
    #[prost(int64, tag = "3")]
    pub(crate) reserved_space: i64,
    #[prost(string, repeated, tag = "4")]
    pub(crate) filters: Vec<String>,
    #[prost(int64, tag = "5")]
    pub(crate) max_used_space: i64,
}

/// `moby.buildkit.v1.types.BuildkitVersion`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BuildkitVersion {
    #[prost(string, tag = "1")]
    pub(crate) package: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    #[prost(string, tag = "3")]
    pub(crate) revision: String,
}
