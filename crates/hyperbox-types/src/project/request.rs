// SPDX-License-Identifier: MIT
//! What can be asked of a project.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::PlannedOperation;
use super::specification::ProjectSpecification;

/// What is asked of `plan` and `up`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectUp {
    /// What the project is from now on: it is opened first, as `PUT` does. `plan` takes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<Box<ProjectSpecification>>,
    /// Which services; all when none is named. What they depend on takes part as well.
    pub services: Vec<String>,
    /// Whether only the services named take part.
    pub no_deps: bool,
    /// How many containers of a service, instead of what the files say.
    pub scale: BTreeMap<String, u32>,
    /// Which containers are made anew.
    pub recreate: RecreatePolicy,
    /// Whether containers of services that are only depended on are made anew as well. Without it, `recreate: always` is meant for the
    /// services named.
    pub always_recreate_deps: bool,
    /// Whether anonymous volumes are new, instead of taken over from the container before.
    pub renew_anonymous_volumes: bool,
    /// Whether containers of services that are no more are removed.
    pub remove_orphans: bool,
    /// Whether containers are only made, not started.
    pub no_start: bool,
    /// When images are pulled, instead of what the files say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullPolicy>,
    /// Whether host ports that somebody else has are replaced by others of the project's own.
    pub remap: bool,
    /// Seconds that a container gets to stop before it is killed, instead of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Whether the run ends only when all services run or are healthy.
    pub wait: bool,
    /// Seconds after which waiting is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_timeout: Option<u64>,
}

/// Which containers are made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecreatePolicy {
    /// Those that were made of something else.
    #[default]
    Changed,
    /// All.
    Always,
    /// None.
    Never,
}

/// When images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Always.
    Always,
    /// When they are not there.
    Missing,
    /// Never.
    Never,
}

/// What would be done: the answer of `plan`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectPlan {
    /// All of it as text, a line for each operation and note.
    pub text: String,
    /// The operations.
    pub operations: Vec<PlannedOperation>,
    /// What the user should know and what nothing is done about.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Images that would be pulled.
    pub missing_images: Vec<String>,
    /// Services whose images the client has to build before `up`.
    pub builds: Vec<String>,
}

/// What is asked of `down`, and by its query of `DELETE`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectDown {
    /// Which services; all when none is named. Networks and volumes stay when some are.
    pub services: Vec<String>,
    /// Whether volumes go, too.
    pub volumes: bool,
    /// Which images go, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<RemovedImages>,
    /// Whether containers of services that are no more go, too.
    pub remove_orphans: bool,
    /// Seconds that a container gets to stop before it is killed, instead of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// Which images go with a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovedImages {
    /// Those of services that say no name for what they build.
    Local,
    /// Those of all services.
    All,
}

/// What is asked of `stop`, `start`, `restart`, `kill`, `pause` and `unpause`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectServices {
    /// Which services; all when none is named.
    pub services: Vec<String>,
    /// Whether `restart` leaves alone what depends on the services.
    pub no_deps: bool,
    /// Seconds that a container gets to stop before it is killed, instead of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// The signal of `kill`; `SIGKILL` when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Whether `start` ends only when all services run or are healthy.
    pub wait: bool,
    /// Seconds after which waiting is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_timeout: Option<u64>,
}
