// SPDX-License-Identifier: MIT
//! Volumes, credentials and the daemon itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::nullable;

/// Who answered a ping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ping {
    /// The newest version of the Engine API that it speaks.
    pub api_version: String,
    /// Product and version, such as `HyperBox/0.1.0 (linux)`.
    pub server: String,
}

impl Ping {
    /// Tells whether the daemon is HyperBox, and not another engine with the same API.
    pub fn is_hyperbox(&self) -> bool {
        self.server.starts_with("HyperBox/")
    }
}

/// A volume to create.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateVolume {
    /// Name; made up when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Driver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Driver.
    pub driver: String,
    /// Path on the host.
    pub mountpoint: String,
    /// `local` or `global`.
    pub scope: String,
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// What it uses, where that was asked for.
    pub usage_data: Option<VolumeUsage>,
}

/// What a volume uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeUsage {
    /// Bytes, -1 when unknown.
    pub size: i64,
    /// Containers that use it, -1 when unknown.
    pub ref_count: i64,
}

/// The list of volumes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeList {
    /// The volumes.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<Volume>,
    /// What the user should know.
    #[serde(deserialize_with = "nullable")]
    pub warnings: Vec<String>,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Pruned {
    /// Containers.
    #[serde(deserialize_with = "nullable")]
    pub containers_deleted: Vec<String>,
    /// Images.
    #[serde(deserialize_with = "nullable")]
    pub images_deleted: Vec<super::RemovedImage>,
    /// Volumes.
    #[serde(deserialize_with = "nullable")]
    pub volumes_deleted: Vec<String>,
    /// Networks.
    #[serde(deserialize_with = "nullable")]
    pub networks_deleted: Vec<String>,
    /// What builds kept.
    #[serde(deserialize_with = "nullable")]
    pub caches_deleted: Vec<String>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// Credentials to check.
#[derive(Clone, Serialize)]
pub struct AuthRequest {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// Registry.
    pub serveraddress: String,
}

impl fmt::Debug for AuthRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AuthRequest({} at {})", self.username, self.serveraddress)
    }
}

/// What the registry said.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AuthStatus {
    /// For people.
    pub status: String,
    /// Replaces the password when it is not empty.
    pub identity_token: String,
}

impl fmt::Debug for AuthStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AuthStatus({})", self.status)
    }
}
