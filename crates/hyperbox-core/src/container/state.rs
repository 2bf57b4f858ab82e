// SPDX-License-Identifier: MIT
//! What a container is now: the record that survives a restart of the daemon.

use std::collections::VecDeque;
use std::path::PathBuf;

use hyperbox_types::{ContainerId, ContainerName, DiffId, ImageId, VolumeName};
use serde::{Deserialize, Serialize};

use super::{ContainerSpec, Propagation};
use crate::seam::{Endpoint, PublishedPort};
use crate::time::Timestamp;

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Made, never started (or the start failed).
    #[default]
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its process ended and is about to be started again.
    Restarting,
    /// It is being removed.
    Removing,
    /// Its process ended.
    Exited,
    /// Removal failed half-way; only another removal is possible.
    Dead,
}

impl Phase {
    /// Returns Docker's name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Tells whether a process exists.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// The changing part of a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Where it is in its life.
    pub phase: Phase,
    /// First process in the daemon's pid namespace; 0 when none.
    pub pid: u32,
    /// Last exit code.
    pub exit_code: i32,
    /// Why the last start failed; empty otherwise.
    pub error: String,
    /// Whether the last run was killed for want of memory.
    pub out_of_memory: bool,
    /// Last start.
    pub started_at: Option<Timestamp>,
    /// Last end.
    pub finished_at: Option<Timestamp>,
    /// Restarts by policy since the last start by hand.
    pub restart_count: u32,
    /// Stopped by hand since the last start.
    pub manually_stopped: bool,
    /// Whether its anonymous volumes go with it when it is removed; decided when the removal begins.
    pub remove_volumes: bool,
    /// Presence in networks while it runs.
    pub endpoints: Vec<Endpoint>,
    /// Published ports while it runs.
    pub ports: Vec<PublishedPort>,
    /// Health, where there is a check.
    pub health: Option<HealthState>,
}

/// Result of health checks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HealthState {
    /// Verdict.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last five checks, oldest first.
    pub log: VecDeque<HealthProbe>,
}

/// Verdict of health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// No verdict yet.
    #[default]
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Too many checks in a row failed.
    Unhealthy,
}

impl HealthStatus {
    /// Returns Docker's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthProbe {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Exit code; -1 when it took too long.
    pub exit_code: i32,
    /// Output, at most 4 KiB.
    pub output: String,
}

/// A mount as it was decided at creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ResolvedMount {
    /// A path of the host.
    Bind {
        /// On the host.
        source: PathBuf,
        /// In the container.
        target: PathBuf,
        /// Whether writes are refused.
        read_only: bool,
        /// Mount without submounts.
        non_recursive: bool,
        /// Propagation.
        propagation: Propagation,
    },
    /// A volume.
    Volume {
        /// Its name.
        name: VolumeName,
        /// Its directory.
        source: PathBuf,
        /// In the container.
        target: PathBuf,
        /// Whether writes are refused.
        read_only: bool,
        /// Whether the volume goes when the container is removed with its volumes.
        anonymous: bool,
        /// Whether the image's content is copied into an empty volume.
        populate: bool,
        /// What is mounted of it, relative to its directory; all of it when empty.
        #[serde(default, skip_serializing_if = "is_empty")]
        subpath: PathBuf,
    },
    /// The files of an image, read-only.
    Image {
        /// What it was asked for by.
        reference: String,
        /// Which one it is.
        image: ImageId,
        /// Its layers, lowest first.
        layers: Vec<DiffId>,
        /// In the container.
        target: PathBuf,
        /// What is mounted of it, relative to its root; all of it when empty.
        #[serde(default, skip_serializing_if = "is_empty")]
        subpath: PathBuf,
    },
    /// Memory.
    Tmpfs {
        /// In the container.
        target: PathBuf,
        /// Mount options as text.
        options: Vec<String>,
        /// Whether writes are refused.
        read_only: bool,
    },
}

impl ResolvedMount {
    /// Returns where it is in the container.
    pub fn target(&self) -> &std::path::Path {
        match self {
            Self::Bind { target, .. }
            | Self::Volume { target, .. }
            | Self::Image { target, .. }
            | Self::Tmpfs { target, .. } => target,
        }
    }
}

fn is_empty(path: &std::path::Path) -> bool {
    path.as_os_str().is_empty()
}

/// A container as it is kept in the record store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its image.
    pub image_id: ImageId,
    /// The image's layers, lowest first.
    pub layers: Vec<DiffId>,
    /// The merged wish.
    pub spec: ContainerSpec,
    /// Its mounts.
    pub mounts: Vec<ResolvedMount>,
    /// What a door wants to remember of the request, opaque to the engine.
    #[serde(default)]
    pub door_document: serde_json::Value,
    /// Made to be run at once by the same request. Nobody but that request knows of it before it is started.
    #[serde(default)]
    pub run_at_once: bool,
    /// The changing part.
    #[serde(default)]
    pub state: ContainerState,
}

impl ContainerRecord {
    /// Returns the executable that is run (`Path` of inspect) and its arguments.
    pub fn command_line(&self) -> Vec<String> {
        let mut line = self.spec.entrypoint.clone().unwrap_or_default();
        line.extend(self.spec.command.iter().flatten().cloned());
        line
    }
}
