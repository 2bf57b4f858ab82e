// SPDX-License-Identifier: MIT
//! What a project is: the body that opens it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A project as its client sees it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpecification {
    /// The name, as in the path.
    pub name: String,
    /// The project's folder: an absolute path of the client's machine, as text.
    pub directory: String,
    /// The files that were read, absolute paths of the client's machine.
    #[serde(default)]
    pub files: Vec<String>,
    /// The name of the client's machine, when it is not the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The resolved model, in the shape of `docker compose config --format json`.
    pub model: Value,
    /// What all containers together may use.
    #[serde(default)]
    pub limits: ProjectLimits,
    /// Contents of the secrets and configs that are variables of the client, by `secrets.NAME` and `configs.NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<String, String>,
}

impl fmt::Debug for ProjectSpecification {
    /// Without what may be secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProjectSpecification")
            .field("name", &self.name)
            .field("directory", &self.directory)
            .field("files", &self.files)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What all containers of a project together may use; what is not said is not limited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectLimits {
    /// Processors, such as `1.5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Block input and output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoLimits>,
}

impl ProjectLimits {
    /// Tells whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Rates on each block device of the machine, and the share of a busy one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IoLimits {
    /// Bytes read per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Bytes written per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_bytes: Option<u64>,
    /// Read operations per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_operations: Option<u64>,
    /// Write operations per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_operations: Option<u64>,
    /// Relative weight, 10 to 1000; 100 is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
}
