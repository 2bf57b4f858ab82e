// SPDX-License-Identifier: MIT
//! What is mounted in the containers of a service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One of `volumes` of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceMount {
    /// `bind`, `volume`, `tmpfs`, `image`, `npipe` or `cluster`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A path, the name of a volume, an image.
    pub source: Option<String>,
    /// The path in the container.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// More of a bind mount.
    pub bind: Option<Bind>,
    /// More of a volume.
    pub volume: Option<MountedVolume>,
    /// More of a tmpfs.
    pub tmpfs: Option<MountedTmpfs>,
    /// More of an image.
    pub image: Option<MountedImage>,
}

/// More of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bind {
    /// How mounts propagate.
    pub propagation: Option<String>,
    /// Whether a directory is made where the source is not.
    pub create_host_path: bool,
    /// `enabled`, `disabled`, `writable` or `readonly`.
    pub recursive: Option<String>,
    /// `z` or `Z`.
    pub selinux: Option<String>,
}

/// More of a volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountedVolume {
    /// Whether the image's files are not copied to an empty volume.
    pub nocopy: bool,
    /// Which directory of it.
    pub subpath: Option<String>,
    /// Labels, for an anonymous one.
    pub labels: BTreeMap<String, String>,
}

/// More of a tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountedTmpfs {
    /// Bytes, in digits.
    pub size: Option<String>,
    /// Permissions.
    pub mode: Option<u32>,
}

/// More of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountedImage {
    /// Which directory of it.
    pub subpath: Option<String>,
}

/// A config or a secret in a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileReference {
    /// Which one.
    pub source: String,
    /// Where; by default `/NAME` for configs.
    pub target: Option<String>,
    /// The owner's number.
    pub uid: Option<String>,
    /// The group's number.
    pub gid: Option<String>,
    /// Permissions, octal digits.
    pub mode: Option<String>,
}
