// SPDX-License-Identifier: MIT
//! A service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BlockLimits, Build, Deploy, DeviceRequest, FileReference, Provider, ServiceMount};

/// A service: one image, run in some containers that are alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// What Docker Compose would have on the label of its containers, when somebody found out ([`crate::plan::note_hashes`]).
    #[serde(skip)]
    pub compose_hash: Option<String>,
    /// Profiles in which it takes part; all when there are none.
    pub profiles: Vec<String>,
    /// Annotations of its containers.
    pub annotations: BTreeMap<String, String>,
    /// Whether `up` shows its output.
    pub attach: Option<bool>,
    /// How its image is built.
    pub build: Option<Build>,
    /// The image.
    pub image: Option<String>,
    /// When the image is pulled: `always`, `never`, `missing`, `build`, `daily` and the like.
    pub pull_policy: Option<String>,
    /// The platform of the image.
    pub platform: Option<String>,
    /// The command; `None` leaves the image's, empty clears it.
    pub command: Option<Vec<String>>,
    /// The entry point; `None` leaves the image's, empty clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Variables; one without a value is not set.
    pub environment: BTreeMap<String, Option<String>>,
    /// The name of its one container.
    pub container_name: Option<String>,
    /// How many containers.
    pub scale: Option<i64>,
    /// How many containers, and what they may use.
    pub deploy: Option<Deploy>,
    /// What has to be there before.
    pub depends_on: BTreeMap<String, Dependency>,
    /// What happens when its files change.
    pub develop: Option<Develop>,
    /// The networks; one without a value has nothing said of it.
    pub networks: BTreeMap<String, Option<ServiceNetwork>>,
    /// `host`, `none`, `service:NAME`, `container:NAME`.
    pub network_mode: Option<String>,
    /// Published ports.
    pub ports: Vec<ServicePort>,
    /// Ports that are told of.
    pub expose: Vec<String>,
    /// `service[:alias]`.
    pub links: Vec<String>,
    /// `container[:alias]`.
    pub external_links: Vec<String>,
    /// `host=address`.
    pub extra_hosts: Vec<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Options of the resolver.
    pub dns_opt: Vec<String>,
    /// Domains that are searched.
    pub dns_search: Vec<String>,
    /// The name of the machine.
    pub hostname: Option<String>,
    /// The domain of the machine.
    pub domainname: Option<String>,
    /// The address of its link on the first network.
    pub mac_address: Option<String>,
    /// What is mounted.
    pub volumes: Vec<ServiceMount>,
    /// Whose volumes are mounted, too.
    pub volumes_from: Vec<String>,
    /// `path[:options]`.
    pub tmpfs: Vec<String>,
    /// Secrets, as files.
    pub secrets: Vec<FileReference>,
    /// Configs, as files.
    pub configs: Vec<FileReference>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// How it is asked whether it works.
    pub healthcheck: Option<Healthcheck>,
    /// Where its output goes.
    pub logging: Option<Logging>,
    /// Whether a small `init` is its first process.
    pub init: Option<bool>,
    /// `host`, `private`, `shareable`, `service:NAME`, `container:NAME`.
    pub ipc: Option<String>,
    /// `host`, `service:NAME`, `container:NAME`.
    pub pid: Option<String>,
    /// `host`.
    pub uts: Option<String>,
    /// `host`.
    pub userns_mode: Option<String>,
    /// `host` or `private`.
    pub cgroup: Option<String>,
    /// Below which cgroup.
    pub cgroup_parent: Option<String>,
    /// Capabilities more.
    pub cap_add: Vec<String>,
    /// Capabilities less.
    pub cap_drop: Vec<String>,
    /// Whether it may do all.
    pub privileged: bool,
    /// Whether its files cannot be written.
    pub read_only: bool,
    /// Options such as `no-new-privileges`.
    pub security_opt: Vec<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// Further groups.
    pub group_add: Vec<String>,
    /// The directory of its first process.
    pub working_dir: Option<String>,
    /// Whether its input stays open.
    pub stdin_open: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// `no`, `always`, `on-failure[:N]`, `unless-stopped`.
    pub restart: Option<String>,
    /// Which runtime.
    pub runtime: Option<String>,
    /// How it is asked to stop.
    pub stop_signal: Option<String>,
    /// How long it may take to stop, as Go writes durations.
    pub stop_grace_period: Option<String>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of its processes.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Rules for devices.
    pub device_cgroup_rules: Vec<String>,
    /// Graphics processors.
    pub gpus: Vec<DeviceRequest>,
    /// What makes it, when that is no container.
    pub provider: Option<Provider>,
    /// Block devices.
    pub blkio_config: Option<BlockLimits>,
    /// Processors.
    pub cpus: Option<f64>,
    /// Its share of the processors, among others.
    pub cpu_shares: Option<i64>,
    /// Microseconds of a period.
    pub cpu_period: Option<i64>,
    /// Microseconds it may run in a period.
    pub cpu_quota: Option<i64>,
    /// Microseconds of a period, in real time.
    pub cpu_rt_period: Option<i64>,
    /// Microseconds it may run in a period, in real time.
    pub cpu_rt_runtime: Option<i64>,
    /// Which processors.
    pub cpuset: Option<String>,
    /// Bytes of memory, in digits.
    pub mem_limit: Option<String>,
    /// Bytes of memory it has at least, in digits.
    pub mem_reservation: Option<String>,
    /// Bytes of memory and swap, in digits; -1 for no limit.
    pub memswap_limit: Option<String>,
    /// How willingly it is swapped out, 0 to 100, in digits.
    pub mem_swappiness: Option<String>,
    /// Whether the kernel may not kill it when memory is short.
    pub oom_kill_disable: bool,
    /// How willingly the kernel kills it.
    pub oom_score_adj: Option<i64>,
    /// Processes.
    pub pids_limit: Option<i64>,
    /// Bytes of `/dev/shm`, in digits.
    pub shm_size: Option<String>,
    /// Options of its writable layer.
    pub storage_opt: BTreeMap<String, String>,
    /// What runs in it after it has started.
    pub post_start: Vec<Hook>,
    /// What runs in it before it is stopped.
    pub pre_stop: Vec<Hook>,
}

impl Service {
    /// How many containers it is to have.
    pub fn replicas(&self) -> u32 {
        let said = self
            .scale
            .or_else(|| self.deploy.as_ref().and_then(|deploy| deploy.replicas));
        u32::try_from(said.unwrap_or(1)).unwrap_or_default()
    }
}

/// What has to be there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dependency {
    /// In which state.
    pub condition: Condition,
    /// Whether the service restarts with it.
    pub restart: bool,
    /// Whether it is an error when it is not there.
    pub required: bool,
}

impl Default for Dependency {
    fn default() -> Self {
        Self {
            condition: Condition::Started,
            restart: false,
            required: true,
        }
    }
}

/// A state of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// It runs.
    #[serde(rename = "service_started")]
    Started,
    /// Its health check says so.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// It has ended with 0.
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

/// A service's part in a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceNetwork {
    /// Further names.
    pub aliases: Vec<String>,
    /// What the driver is told.
    pub driver_opts: BTreeMap<String, String>,
    /// The higher, the more its gateway counts.
    pub gw_priority: i64,
    /// The name of the link.
    pub interface_name: Option<String>,
    /// A static address.
    pub ipv4_address: Option<String>,
    /// A static address.
    pub ipv6_address: Option<String>,
    /// Addresses of the link alone.
    pub link_local_ips: Vec<String>,
    /// The link's address.
    pub mac_address: Option<String>,
    /// The higher, the earlier it is joined.
    pub priority: i64,
}

/// A published port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicePort {
    /// Whether each container publishes it itself.
    pub mode: PortMode,
    /// On which address.
    pub host_ip: Option<String>,
    /// The port of the container.
    pub target: u16,
    /// The port of the host, or a range of which one is taken; any when there is none.
    pub published: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Who publishes a port; on one machine there is no difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortMode {
    /// The service.
    #[default]
    Ingress,
    /// Each container.
    Host,
}

/// How it is asked whether a container works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// The command, with `CMD`, `CMD-SHELL` or `NONE` first.
    pub test: Vec<String>,
    /// How often, as Go writes durations.
    pub interval: Option<String>,
    /// How long an answer may take.
    pub timeout: Option<String>,
    /// How many failures make it unhealthy.
    pub retries: Option<u64>,
    /// How long failures do not count.
    pub start_period: Option<String>,
    /// How often in that time.
    pub start_interval: Option<String>,
    /// Whether the image's is not to be used.
    pub disable: bool,
}

/// Where output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logging {
    /// The driver; the engine's default otherwise.
    pub driver: Option<String>,
    /// What the driver is told.
    pub options: BTreeMap<String, String>,
}

/// A resource limit of processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ulimit {
    /// Both limits.
    Single(i64),
    /// Each.
    Both {
        /// The limit.
        soft: i64,
        /// What the process may raise it to.
        hard: i64,
    },
}

/// A device of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// On the host, or the name of a CDI device.
    pub source: String,
    /// In the container.
    pub target: Option<String>,
    /// Some of `rwm`.
    pub permissions: Option<String>,
}

/// What happens when files change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Develop {
    /// The rules, of which the first that fits counts.
    pub watch: Vec<WatchRule>,
}

/// A rule of `develop.watch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRule {
    /// Which files, absolute.
    pub path: String,
    /// What happens.
    pub action: WatchAction,
    /// Where files go in the container.
    #[serde(default)]
    pub target: Option<String>,
    /// Patterns of files that do not count.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Patterns of files that count; all when there are none.
    #[serde(default)]
    pub include: Vec<String>,
    /// Whether files are brought there at the beginning.
    #[serde(default)]
    pub initial_sync: bool,
    /// What runs after files were brought.
    #[serde(default)]
    pub exec: Option<Hook>,
}

/// What happens when a file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchAction {
    /// The image is built again and the containers are made anew.
    #[serde(rename = "rebuild")]
    Rebuild,
    /// The file is copied.
    #[serde(rename = "sync")]
    Sync,
    /// The containers are restarted.
    #[serde(rename = "restart")]
    Restart,
    /// The file is copied, then the containers are restarted.
    #[serde(rename = "sync+restart")]
    SyncRestart,
    /// The file is copied, then a command runs.
    #[serde(rename = "sync+exec")]
    SyncExec,
}

/// A command that runs in a container at a moment of its life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// The command.
    pub command: Option<Vec<String>>,
    /// As whom.
    pub user: Option<String>,
    /// Whether it may do all.
    pub privileged: bool,
    /// Where.
    pub working_dir: Option<String>,
    /// Variables more.
    pub environment: BTreeMap<String, Option<String>>,
}
