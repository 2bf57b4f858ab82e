// SPDX-License-Identifier: MIT
//! How a service's image is built.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FileReference, Ulimit};

/// `build` of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    /// The folder, absolute, or a URL.
    pub context: String,
    /// The Dockerfile, seen from the context.
    pub dockerfile: Option<String>,
    /// The Dockerfile itself.
    pub dockerfile_inline: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Which stage.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Further contexts by name.
    pub additional_contexts: BTreeMap<String, String>,
    /// Where cached steps come from.
    pub cache_from: Vec<String>,
    /// Where cached steps go.
    pub cache_to: Vec<String>,
    /// `host=address`.
    pub extra_hosts: Vec<String>,
    /// The network of `RUN`.
    pub network: Option<String>,
    /// Whether cached steps are passed by.
    pub no_cache: bool,
    /// Stages whose cached steps are passed by.
    pub no_cache_filter: Vec<String>,
    /// Whether base images are pulled again.
    pub pull: bool,
    /// Platforms.
    pub platforms: Vec<String>,
    /// Privileges that `RUN` may ask for.
    pub entitlements: Vec<String>,
    /// Whether `RUN` is privileged.
    pub privileged: bool,
    /// Secrets for `RUN`.
    pub secrets: Vec<FileReference>,
    /// Further names of the image.
    pub tags: Vec<String>,
    /// Size of `/dev/shm` in bytes, in digits.
    pub shm_size: Option<String>,
    /// Limits of `RUN`.
    pub ulimits: BTreeMap<String, Ulimit>,
}
