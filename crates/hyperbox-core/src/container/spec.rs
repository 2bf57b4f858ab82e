// SPDX-License-Identifier: MIT
//! What a container is made of: the wish, complete and validated, in the engine's own words.
//!
//! A door translates its own language into a [`ContainerSpec`]; the image's configuration is merged into it when the container is
//! created, so that a stored spec needs no image to be understood.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use hyperbox_types::{ByteSize, ContainerId, Platform, Signal, VolumeName};
use serde::{Deserialize, Serialize};

use crate::seam::PortRequest;

/// A container as it is wished for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// The image, as the client named it.
    pub image: String,
    /// The platform wished for, if any.
    pub platform: Option<Platform>,
    /// Overrides the image's entrypoint; an empty list clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Overrides the image's command.
    pub command: Option<Vec<String>>,
    /// Environment, `NAME=value`; added to and overriding the image's.
    pub env: Vec<String>,
    /// Working directory; the image's when empty.
    pub working_dir: String,
    /// `user[:group]`; the image's when empty.
    pub user: String,
    /// Supplementary groups.
    pub additional_groups: Vec<String>,
    /// Host name; the short id when empty.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// Whether the process has a terminal.
    pub terminal: bool,
    /// Whether standard input is open.
    pub open_stdin: bool,
    /// Whether standard input ends when the first attached client goes away.
    pub stdin_once: bool,
    /// Labels; added to and overriding the image's.
    pub labels: BTreeMap<String, String>,
    /// The polite signal of `stop`; the image's, else `SIGTERM`.
    pub stop_signal: Option<Signal>,
    /// How long `stop` waits; 10 s when unset. [`Duration::MAX`] means for ever.
    pub stop_timeout: Option<Duration>,
    /// The shell of the shell form of health checks; `/bin/sh -c` when empty.
    pub shell: Vec<String>,
    /// Health check; the image's when unset.
    pub health: Option<HealthCheck>,
    /// Ports that the image declares, such as `80/tcp`; for display.
    pub exposed_ports: Vec<String>,
    /// Mount points for which anonymous volumes are made.
    pub anonymous_volumes: Vec<PathBuf>,
    /// Mounts.
    pub mounts: Vec<MountRequest>,
    /// Whether the root filesystem refuses writes.
    pub read_only_root: bool,
    /// Whose network it uses.
    pub network: NetworkMode,
    /// The networks it joins when it starts, by name. Completed at creation: the network of the mode is among them unless the
    /// container was disconnected from it.
    pub networks: BTreeMap<String, EndpointWish>,
    /// Ports of the host that lead to its own.
    pub ports: Vec<PortRequest>,
    /// Publish every declared port on some port of the host.
    pub publish_all_ports: bool,
    /// Containers of the default bridge that it knows by another name: name or id, and alias.
    pub links: Vec<(String, String)>,
    /// Name servers; the host's when empty.
    pub dns_servers: Vec<IpAddr>,
    /// Resolver search domains; the host's when empty.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_options: Vec<String>,
    /// Additional lines of `/etc/hosts`: name and address (or `host-gateway`).
    pub extra_hosts: Vec<(String, String)>,
    /// Limits.
    pub resources: Resources,
    /// Privileges.
    pub security: Security,
    /// Devices of the host.
    pub devices: Vec<DeviceMapping>,
    /// Resource limits of the process.
    pub rlimits: Vec<Rlimit>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Size of `/dev/shm`; 64 MiB when unset.
    pub shm_size: Option<ByteSize>,
    /// Namespaces.
    pub namespaces: NamespaceModes,
    /// Whether a small init process reaps orphans.
    pub init: bool,
    /// What to do when the process ends.
    pub restart: RestartPolicy,
    /// Where the output goes.
    pub log: LogOptions,
    /// Remove the container (and its anonymous volumes) when it ends.
    pub auto_remove: bool,
    /// The runtime's name; the default when empty.
    pub runtime: String,
    /// Adjustment of the out-of-memory score.
    pub oom_score_adjustment: Option<i32>,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
    /// Devices by what they can do.
    pub device_requests: Vec<DeviceRequest>,
}

/// Devices that are asked for by what they can do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    /// Who knows them; anybody who can do it when empty.
    pub driver: String,
    /// Which ones.
    pub ids: Vec<String>,
    /// What they can do: all words of one of the lists.
    pub capabilities: Vec<Vec<String>>,
}

impl Default for ContainerSpec {
    fn default() -> Self {
        Self {
            image: String::new(),
            platform: None,
            entrypoint: None,
            command: None,
            env: Vec::new(),
            working_dir: String::new(),
            user: String::new(),
            additional_groups: Vec::new(),
            hostname: String::new(),
            domainname: String::new(),
            terminal: false,
            open_stdin: false,
            stdin_once: false,
            labels: BTreeMap::new(),
            stop_signal: None,
            stop_timeout: None,
            shell: Vec::new(),
            health: None,
            exposed_ports: Vec::new(),
            anonymous_volumes: Vec::new(),
            mounts: Vec::new(),
            read_only_root: false,
            network: NetworkMode::Default,
            networks: BTreeMap::new(),
            ports: Vec::new(),
            publish_all_ports: false,
            links: Vec::new(),
            dns_servers: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            extra_hosts: Vec::new(),
            resources: Resources::default(),
            security: Security::default(),
            devices: Vec::new(),
            rlimits: Vec::new(),
            sysctls: BTreeMap::new(),
            shm_size: None,
            namespaces: NamespaceModes::default(),
            init: false,
            restart: RestartPolicy::Never,
            log: LogOptions::default(),
            auto_remove: false,
            runtime: String::new(),
            oom_score_adjustment: None,
            annotations: BTreeMap::new(),
            device_requests: Vec::new(),
        }
    }
}

/// A mount that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRequest {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path in the container.
    pub target: PathBuf,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum MountSource {
    /// A path of the host.
    Bind(Bind),
    /// A volume; `None` makes an anonymous one.
    Volume {
        /// Its name.
        name: Option<VolumeName>,
        /// Whether the image's content at the target is *not* copied into an empty volume.
        no_copy: bool,
        /// Labels for a volume that is made now.
        labels: BTreeMap<String, String>,
        /// Options of the driver for a volume that is made now.
        #[serde(default)]
        options: BTreeMap<String, String>,
        /// What is mounted of it, relative to its directory; all of it when empty.
        #[serde(default)]
        subpath: PathBuf,
    },
    /// The files of an image, read-only.
    Image {
        /// Its name or id.
        reference: String,
        /// What is mounted of it, relative to its root; all of it when empty.
        subpath: PathBuf,
    },
    /// Memory.
    Tmpfs {
        /// Size limit.
        size: Option<ByteSize>,
        /// Permission bits.
        mode: Option<u32>,
        /// Further mount options as text, such as `noexec`.
        options: Vec<String>,
    },
}

/// A path of the host that is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute path on the host.
    pub path: PathBuf,
    /// Make the directory when it is missing (`-v`) instead of failing (`--mount`).
    pub create: bool,
    /// Mount without submounts.
    pub non_recursive: bool,
    /// Propagation of mount events.
    pub propagation: Propagation,
}

/// Propagation of mount events (`mount_namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Propagation {
    #[default]
    Rprivate,
    Private,
    Rshared,
    Shared,
    Rslave,
    Slave,
}

impl Propagation {
    /// Returns the kernel's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rprivate => "rprivate",
            Self::Private => "private",
            Self::Rshared => "rshared",
            Self::Shared => "shared",
            Self::Rslave => "rslave",
            Self::Slave => "slave",
        }
    }
}

/// The network of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "mode", content = "name", rename_all = "kebab-case")]
pub enum NetworkMode {
    /// The default bridge, not chosen explicitly.
    #[default]
    Default,
    /// A network by name or id; `bridge` is the default one.
    Named(String),
    /// The host's network.
    Host,
    /// Nothing but loopback.
    None,
    /// The network of another container (name or id).
    Container(String),
}

/// How a container wishes to join a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointWish {
    /// Wished address.
    pub ipv4: Option<Ipv4Addr>,
    /// Wished IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Further addresses of link-local scope.
    pub link_local: Vec<IpAddr>,
    /// Wished MAC address.
    pub mac_address: Option<String>,
    /// Further names in this network.
    pub aliases: Vec<String>,
    /// Containers that it knows by another name there: name or id, and alias.
    pub links: Vec<(String, String)>,
    /// Options for the driver.
    pub options: BTreeMap<String, String>,
    /// Whether the client sent options, even none: told to clients that ask.
    pub options_sent: bool,
    /// The network with the highest one gives the default route.
    pub gateway_priority: i64,
}

/// Limits; `None` and empty mean unlimited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Memory.
    pub memory: Option<ByteSize>,
    /// Memory plus swap; `Some(-1)` is unlimited.
    pub memory_swap: Option<i64>,
    /// Soft limit of memory.
    pub memory_reservation: Option<ByteSize>,
    /// Tendency to swap, 0 to 100.
    pub memory_swappiness: Option<u64>,
    /// Never kill for want of memory.
    pub oom_kill_disable: bool,
    /// Billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// Relative weight, 1024 being usual.
    pub cpu_shares: Option<u64>,
    /// Period of the bandwidth limit in microseconds.
    pub cpu_period: Option<u64>,
    /// Quota of the bandwidth limit in microseconds.
    pub cpu_quota: Option<i64>,
    /// Period of the real-time limit in microseconds.
    pub cpu_realtime_period: Option<u64>,
    /// Quota of the real-time limit in microseconds.
    pub cpu_realtime_runtime: Option<i64>,
    /// Processors, such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// Tasks.
    pub pids: Option<i64>,
    /// Relative weight of block input and output, 10 to 1000.
    pub block_weight: Option<u16>,
    /// Relative weights of single devices; the rate is the weight, 10 to 1000.
    pub block_weight_devices: Vec<BlockDeviceLimit>,
    /// Bytes a second read from devices.
    pub block_read_bytes: Vec<BlockDeviceLimit>,
    /// Bytes a second written to devices.
    pub block_write_bytes: Vec<BlockDeviceLimit>,
    /// Read operations a second.
    pub block_read_operations: Vec<BlockDeviceLimit>,
    /// Write operations a second.
    pub block_write_operations: Vec<BlockDeviceLimit>,
    /// Parent control group; the configured one when unset.
    pub cgroup_parent: Option<String>,
    /// Rules such as `c 1:3 rwm`, in addition to the defaults.
    pub device_rules: Vec<String>,
}

/// A rate for one block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDeviceLimit {
    /// Path of the device on the host.
    pub path: PathBuf,
    /// The rate.
    pub rate: u64,
}

/// Privileges.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// All capabilities and devices, no seccomp, nothing masked.
    pub privileged: bool,
    /// Capabilities added to the default set, without `CAP_`; `ALL` for all.
    pub capabilities_add: Vec<String>,
    /// Capabilities dropped from it.
    pub capabilities_drop: Vec<String>,
    /// Forbid gaining privileges by executing set-user-id programs.
    pub no_new_privileges: bool,
    /// System call filter.
    pub seccomp: SeccompChoice,
    /// AppArmor profile, where the kernel has it.
    pub apparmor: Option<String>,
    /// SELinux label options.
    pub label_options: Vec<String>,
    /// Paths hidden from the container; the usual ones when unset.
    pub masked_paths: Option<Vec<String>>,
    /// Paths that refuse writes; the usual ones when unset.
    pub read_only_paths: Option<Vec<String>>,
    /// Leave masked and read-only paths out altogether (`systempaths=unconfined`).
    pub system_paths_unconfined: bool,
    /// Whether the container may change its control groups; privileged ones may where nothing is said.
    pub writable_cgroups: Option<bool>,
}

/// A system call filter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "profile", content = "json", rename_all = "kebab-case")]
pub enum SeccompChoice {
    /// Docker's default profile.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in Docker's JSON form.
    Custom(String),
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMapping {
    /// Path on the host; a directory means every device in it.
    pub host: PathBuf,
    /// Path in the container.
    pub container: PathBuf,
    /// Any of `r`, `w`, `m`.
    pub permissions: String,
}

/// A resource limit of the process (`setrlimit(2)`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Lower-case name without `RLIMIT_`, such as `nofile`.
    pub name: String,
    /// Soft limit; -1 is unlimited.
    pub soft: i64,
    /// Hard limit; -1 is unlimited.
    pub hard: i64,
}

/// Namespaces other than mount and network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceModes {
    /// Process ids.
    pub pid: NamespaceMode,
    /// System V IPC and POSIX message queues; also decides whose `/dev/shm` is used.
    pub ipc: NamespaceMode,
    /// Host and domain name.
    pub uts: NamespaceMode,
    /// View of the control groups.
    pub cgroup: NamespaceMode,
    /// Users; only the host's in this engine.
    pub user: NamespaceMode,
}

/// Whose namespace a container uses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "mode", content = "container", rename_all = "kebab-case")]
pub enum NamespaceMode {
    /// The engine's default for this kind.
    #[default]
    Default,
    /// Its own.
    Private,
    /// Its own, and others may join it (`ipc: shareable`).
    Shareable,
    /// The host's.
    Host,
    /// Its own, without `/dev/shm` (`ipc: none`).
    None,
    /// Another container's (name or id).
    Container(String),
}

/// What to do when a container's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    Never,
    /// Start it again, also after the daemon starts.
    Always,
    /// Start it again unless it was stopped by hand.
    UnlessStopped,
    /// Start it again when it failed.
    OnFailure {
        /// At most so many times; 0 without limit.
        maximum_retries: u32,
    },
}

/// Where the output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// `json-file`, `local` or `none`.
    pub driver: String,
    /// Options of the driver, such as `max-size`.
    pub options: BTreeMap<String, String>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            driver: "json-file".to_owned(),
            options: BTreeMap::new(),
        }
    }
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is run.
    pub test: HealthTest,
    /// Time between checks; 30 s when unset.
    pub interval: Option<Duration>,
    /// How long a check may take; 30 s when unset.
    pub timeout: Option<Duration>,
    /// Failures in this time after the start do not count.
    pub start_period: Option<Duration>,
    /// Time between checks in that period; 5 s when unset.
    pub start_interval: Option<Duration>,
    /// Failures in a row that make the container unhealthy; 3 when unset.
    pub retries: Option<u32>,
}

/// What a health check runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", content = "command", rename_all = "kebab-case")]
pub enum HealthTest {
    /// The image's.
    Inherit,
    /// None at all.
    Disabled,
    /// A command with its arguments.
    Command(Vec<String>),
    /// A command line for the shell.
    Shell(String),
    /// Words in another form, kept as they came: `CMD-SHELL` with several words, which the shell gets as its arguments, or a form that
    /// nobody knows, which checks nothing.
    Words(Vec<String>),
}

/// Identifies a container that provides namespaces, with its first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamespaceProvider {
    /// The container.
    pub id: ContainerId,
    /// Its first process.
    pub pid: u32,
}
