// SPDX-License-Identifier: MIT
//! What is told while something is done to a project, and to whoever listens.

use serde::{Deserialize, Serialize};

use crate::{ErrorKind, Hint};

/// An operation of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOperation {
    /// Its number, from 1.
    pub number: usize,
    /// What is done, such as `create shop-web-1`.
    pub text: String,
    /// Why, such as `missing`.
    pub cause: String,
    /// The numbers of what has to be done before.
    #[serde(default)]
    pub after: Vec<usize>,
    /// The service that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What it is about: the name of a container, a network, a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

/// One line of a run. The last one is *done* or *failed*; a line that is missing at the end means that the daemon went away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ProjectEvent {
    /// An image is being pulled.
    Pull {
        /// The image.
        image: String,
        /// The layer, shortened; none for the whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layer: Option<String>,
        /// What happens, in Docker's words.
        status: String,
        /// Bytes so far.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        current: Option<u64>,
        /// Bytes in all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// What will be done. Told once, when all images are there.
    Planned {
        /// The operations; none when nothing has to change.
        operations: Vec<PlannedOperation>,
    },
    /// An operation goes on.
    Operation {
        /// Its number in the plan, from 1.
        number: usize,
        /// What is done.
        text: String,
        /// Why.
        cause: String,
        /// How far it is.
        phase: OperationPhase,
        /// What is told in the middle, such as the health of what is waited for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// What the user should know.
    Note {
        /// One sentence.
        text: String,
    },
    /// All is done.
    Done {
        /// What it was.
        summary: RunSummary,
    },
    /// It failed; what was done stays, and asking again goes on from there.
    Failed {
        /// Class of the failure.
        kind: ErrorKind,
        /// One sentence.
        message: String,
        /// What to do next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<Hint>,
    },
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationPhase {
    /// It has begun.
    Started,
    /// It goes on.
    Progress,
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// It was not begun, because something before it failed or the run was cancelled.
    Skipped,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// Containers, networks and volumes that were made.
    pub created: usize,
    /// Containers that were started.
    pub started: usize,
    /// Containers that were stopped or killed.
    pub stopped: usize,
    /// Containers, networks, volumes and images that were removed.
    pub removed: usize,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// Something happened to a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectChanged {
    /// Which.
    pub name: String,
    /// What.
    pub what: ProjectChange,
    /// The service that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The container that it is about, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// When: RFC 3339.
    pub at: String,
}

/// What happens to projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectChange {
    /// It was opened, or opened again with another content.
    Opened,
    /// It was removed.
    Removed,
    /// Something is being done to it.
    RunBegan,
    /// What was being done is done.
    RunEnded,
    /// What was being done has failed or was cancelled.
    RunFailed,
    /// A container was made.
    ContainerCreated,
    /// A container was started.
    ContainerStarted,
    /// A container has ended.
    ContainerEnded,
    /// A container was removed.
    ContainerRemoved,
    /// A container was killed for want of memory.
    ContainerOutOfMemory,
    /// A health check has another verdict.
    HealthChanged,
}
