// SPDX-License-Identifier: MIT
//! What a project is like now.

use serde::{Deserialize, Serialize};

use super::specification::ProjectLimits;

/// A project in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSummary {
    /// The name.
    pub name: String,
    /// Its folder on the client's machine; empty for a project that is known by its containers' labels alone and does not say.
    pub directory: String,
    /// The files that it was read from.
    #[serde(default)]
    pub files: Vec<String>,
    /// The client's machine, when it is not the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Whether it was opened here; otherwise only its containers are here, made by `docker compose`.
    pub opened: bool,
    /// What its containers do.
    pub state: ProjectState,
    /// How many of its containers run.
    pub running: usize,
    /// How many containers it has.
    pub containers: usize,
    /// Its own ports of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortRange>,
    /// When it was opened first: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it was opened last with another content: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
}

/// What the containers of a project do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectState {
    /// There are none.
    Empty,
    /// All that are wanted run.
    Running,
    /// Some run, some do not.
    Partial,
    /// None runs.
    Stopped,
}

/// Ports of the host, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// A project with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectStatus {
    /// What lists show.
    #[serde(flatten)]
    pub summary: ProjectSummary,
    /// Its services, by name. Those of containers that no file has any more come last.
    pub services: Vec<ServiceStatus>,
    /// Its networks.
    pub networks: Vec<NetworkStatus>,
    /// Names of its volumes that are there.
    pub volumes: Vec<String>,
    /// The control group of all its containers, when it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// What its containers together may use.
    #[serde(default)]
    pub limits: ProjectLimits,
    /// What they use, where it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ProjectUsage>,
    /// Whether something is being done to it at the moment.
    #[serde(default)]
    pub busy: bool,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The name.
    pub name: String,
    /// The image.
    pub image: String,
    /// How many containers the files say.
    pub wanted: u32,
    /// Whether the files have it no more.
    #[serde(default)]
    pub orphan: bool,
    /// Its containers, by number.
    pub containers: Vec<ContainerStatus>,
}

/// A container of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// Its number in the service, from 1.
    pub number: u32,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub state: String,
    /// `starting`, `healthy`, `unhealthy`; none without a health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether it was killed for want of memory.
    #[serde(default)]
    pub out_of_memory: bool,
    /// When it was last started: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Ports of the host that lead to it.
    #[serde(default)]
    pub ports: Vec<PublishedPortStatus>,
    /// Its addresses in the project's networks.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// A port of the host that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPortStatus {
    /// On which address; `0.0.0.0` for all.
    pub host_ip: String,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Where a browser finds it, when that is likely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A network of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// The name that services use.
    pub key: String,
    /// The name in the engine.
    pub name: String,
    /// Its subnets, such as `10.89.3.0/24`; none when it is not there.
    pub subnets: Vec<String>,
    /// Whether somebody else made it.
    #[serde(default)]
    pub external: bool,
}

/// What the containers of a project use together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectUsage {
    /// Processors, over the last moments; `used` of `limit`.
    pub cpus: Quantity,
    /// Bytes of memory.
    pub memory: Quantity,
    /// Processes and threads.
    pub pids: Quantity,
    /// Bytes read from block devices so far.
    pub read_bytes: u64,
    /// Bytes written to block devices so far.
    pub write_bytes: u64,
    /// How often the memory limit has ended a process.
    pub memory_kills: u64,
}

/// What is used of what may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quantity {
    /// What is used.
    pub used: f64,
    /// What may be; none when there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}
