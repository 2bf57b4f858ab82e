// SPDX-License-Identifier: MIT
//! Images as clients see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Set;
use super::config::Healthcheck;
use super::container::GraphDriver;

/// An image in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageSummary {
    pub containers: i64,
    pub created: i64,
    pub id: String,
    pub labels: Option<BTreeMap<String, String>>,
    pub parent_id: String,
    pub repo_digests: Option<Vec<String>>,
    pub repo_tags: Option<Vec<String>>,
    pub shared_size: i64,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
}

/// An image's inspection.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageInspect {
    pub id: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub parent: String,
    pub comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The container that it was made of; for clients before 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// That container's configuration; for clients before 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<serde_json::Value>,
    pub docker_version: String,
    pub author: String,
    pub architecture: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    pub os: String,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
    pub graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    pub metadata: ImageMetadata,
    pub config: ImageConfig,
}

/// The layers of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RootFs {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    pub layers: Vec<String>,
}

/// What the engine knows of an image beyond its content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageMetadata {
    pub last_tag_time: String,
}

/// `Config` of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageConfig {
    pub cmd: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Set::is_empty")]
    pub exposed_ports: Set,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    pub labels: Option<BTreeMap<String, String>>,
    pub on_build: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    pub user: String,
    pub volumes: Option<Set>,
    pub working_dir: String,
    /// For clients before 1.50.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub of_a_container: Option<ContainerFields>,
}

/// What a container's configuration has and an image's never sets.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerFields {
    pub hostname: &'static str,
    pub domainname: &'static str,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub image: &'static str,
}

/// One step of an image's history.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HistoryItem {
    pub comment: String,
    pub created: i64,
    pub created_by: String,
    pub id: String,
    pub size: u64,
    pub tags: Option<Vec<String>>,
}

/// What removing an image did.
#[derive(Debug, Serialize)]
pub(crate) enum Removed {
    /// A name was removed.
    Untagged(String),
    /// Content was removed.
    Deleted(String),
}

/// What pruning images removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImagesPruned {
    pub images_deleted: Option<Vec<Removed>>,
    pub space_reclaimed: u64,
}

/// A platform in the form of the image specification.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlatformDocument {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}
