// SPDX-License-Identifier: MIT
//! Answers about containers.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::nullable;

/// A line of the list of containers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerSummary {
    /// Full id.
    pub id: String,
    /// Names, each with a leading slash.
    #[serde(deserialize_with = "nullable")]
    pub names: Vec<String>,
    /// The image as it was named.
    pub image: String,
    /// The image's id.
    #[serde(rename = "ImageID")]
    pub image_id: String,
    /// The command as one line.
    pub command: String,
    /// Seconds of the epoch.
    pub created: i64,
    /// Ports.
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<PortSummary>,
    /// Size of the writable layer.
    pub size_rw: i64,
    /// Size with the image.
    pub size_root_fs: i64,
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// `running`, `exited`, …
    pub state: String,
    /// The state in words.
    pub status: String,
    /// Networks.
    #[serde(deserialize_with = "nullable")]
    pub network_settings: NetworkSettings,
    /// Mounts.
    #[serde(deserialize_with = "nullable")]
    pub mounts: Vec<MountPoint>,
}

/// A port of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortSummary {
    /// Address on the host.
    #[serde(rename = "IP")]
    pub ip: String,
    /// Port in the container.
    pub private_port: u16,
    /// Port on the host, 0 when it is not published.
    pub public_port: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(rename = "Type")]
    pub protocol: String,
}

/// The networks of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSettings {
    /// By name.
    #[serde(deserialize_with = "nullable")]
    pub networks: BTreeMap<String, EndpointSummary>,
    /// Bindings by `port/protocol`.
    #[serde(deserialize_with = "nullable")]
    pub ports: BTreeMap<String, Option<Vec<PortBinding>>>,
}

/// A container's place in a network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSummary {
    /// Address.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
}

/// Where a port is published.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// Address on the host.
    pub host_ip: String,
    /// Port on the host.
    pub host_port: String,
}

/// A mount of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountPoint {
    /// `bind`, `volume`, `tmpfs`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Name of the volume.
    pub name: String,
    /// Path on the host.
    pub source: String,
    /// Driver of the volume.
    pub driver: String,
}

/// The part of a container's description that the client acts on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerState {
    /// Full id.
    pub id: String,
    /// Name with a leading slash.
    pub name: String,
    /// Running or not.
    pub state: State,
    /// How it was configured.
    pub config: ContainerConfig,
    /// Its networks.
    pub network_settings: NetworkSettings,
}

/// A container's state.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct State {
    /// `running`, `exited`, …
    pub status: String,
    /// The process runs.
    pub running: bool,
    /// Frozen.
    pub paused: bool,
    /// About to be started again.
    pub restarting: bool,
    /// Exit code of the last run.
    pub exit_code: i64,
    /// Why it could not start.
    pub error: String,
}

/// A container's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// It has a terminal.
    pub tty: bool,
    /// Its input can be attached.
    pub open_stdin: bool,
    /// It was created with attached input.
    pub attach_stdin: bool,
    /// It was created with attached output.
    pub attach_stdout: bool,
    /// It was created with attached errors.
    pub attach_stderr: bool,
}

/// The answer to a creation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreatedContainer {
    /// Full id.
    pub id: String,
    /// What the user should know.
    #[serde(deserialize_with = "nullable")]
    pub warnings: Vec<String>,
}

/// The answer to the creation of an exec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Created {
    /// Its id.
    pub id: String,
}

/// The state of an exec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecState {
    /// It runs.
    pub running: bool,
    /// Its exit code, once it has ended.
    pub exit_code: Option<i64>,
}

/// The end of a wait.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WaitResult {
    /// Exit code.
    pub status_code: i64,
    /// Why the wait failed.
    pub error: Option<WaitError>,
}

/// Why a wait failed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WaitError {
    /// One sentence.
    pub message: String,
}

/// The processes of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Top {
    /// Column titles.
    #[serde(deserialize_with = "nullable")]
    pub titles: Vec<String>,
    /// Rows.
    #[serde(deserialize_with = "nullable")]
    pub processes: Vec<Vec<String>>,
}

/// The answer to an update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateWarnings {
    /// What the user should know.
    #[serde(deserialize_with = "nullable")]
    pub warnings: Vec<String>,
}

/// A changed path.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChangedFile {
    /// 0 changed, 1 added, 2 deleted.
    pub kind: u8,
    /// Path in the container.
    pub path: String,
}
