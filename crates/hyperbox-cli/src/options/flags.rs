// SPDX-License-Identifier: MIT
//! The options of `run` and `create`, as they are typed: a table, long by nature.

use clap::{ArgAction, Args};

use super::{parse_bytes, parse_bytes_or_unlimited, parse_cpus};

#[derive(Debug, Default, Args)]
#[command(next_line_help = false)]
pub(crate) struct ContainerFlags {
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long, value_name = "HOST:IP", value_parser = super::address::extra_host)]
    pub(crate) add_host: Vec<String>,
    /// Add an annotation to the container (passed through to the OCI runtime)
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(short, long, value_name = "STREAM", value_parser = stream)]
    pub(crate) attach: Vec<String>,
    /// Block IO weight, between 10 and 1000, or 0 to disable
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) blkio_weight: Option<u16>,
    /// Block IO weight of a device (path:weight)
    #[arg(long, value_name = "DEVICE", value_parser = super::device::weight)]
    pub(crate) blkio_weight_device: Vec<hyperbox_client::model::BlkioWeight>,
    /// Add Linux capabilities
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_drop: Vec<String>,
    /// Parent cgroup of the container
    #[arg(long, value_name = "CGROUP")]
    pub(crate) cgroup_parent: Option<String>,
    /// Cgroup namespace to use (host|private)
    #[arg(long, value_name = "MODE")]
    pub(crate) cgroupns: Option<String>,
    /// Write the container ID to the file
    #[arg(long, value_name = "FILE")]
    pub(crate) cidfile: Option<String>,
    /// Period of the CPU quota in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub(crate) cpu_period: Option<i64>,
    /// CPU quota in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    pub(crate) cpu_quota: Option<i64>,
    /// Period of the real-time limit in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub(crate) cpu_rt_period: Option<i64>,
    /// Real-time limit in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub(crate) cpu_rt_runtime: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "WEIGHT")]
    pub(crate) cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "NUMBER", value_parser = parse_cpus)]
    pub(crate) cpus: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// Add a host device to the container
    #[arg(long, value_name = "HOST[:CONTAINER][:PERMISSIONS]")]
    pub(crate) device: Vec<String>,
    /// Add a rule to the list of allowed devices
    #[arg(long, value_name = "RULE", value_parser = super::device::rule)]
    pub(crate) device_cgroup_rule: Vec<String>,
    /// Limit read rate (bytes per second) from a device
    #[arg(long, value_name = "DEVICE:RATE", value_parser = super::device::bytes_per_second)]
    pub(crate) device_read_bps: Vec<hyperbox_client::model::ThrottleDevice>,
    /// Limit read rate (IO per second) from a device
    #[arg(long, value_name = "DEVICE:RATE", value_parser = super::device::operations_per_second)]
    pub(crate) device_read_iops: Vec<hyperbox_client::model::ThrottleDevice>,
    /// Limit write rate (bytes per second) to a device
    #[arg(long, value_name = "DEVICE:RATE", value_parser = super::device::bytes_per_second)]
    pub(crate) device_write_bps: Vec<hyperbox_client::model::ThrottleDevice>,
    /// Limit write rate (IO per second) to a device
    #[arg(long, value_name = "DEVICE:RATE", value_parser = super::device::operations_per_second)]
    pub(crate) device_write_iops: Vec<hyperbox_client::model::ThrottleDevice>,
    /// Set custom DNS servers
    #[arg(long, value_name = "ADDRESS", value_parser = super::address::address)]
    pub(crate) dns: Vec<String>,
    /// Set DNS options
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    pub(crate) dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "DOMAIN", allow_hyphen_values = true, value_parser = super::address::search_domain)]
    pub(crate) dns_search: Vec<String>,
    /// Container NIS domain name
    #[arg(long, value_name = "NAME")]
    pub(crate) domainname: Option<String>,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<String>,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "PORT")]
    pub(crate) expose: Vec<String>,
    /// GPU devices to add to the container ('all' to pass all GPUs)
    #[arg(long, value_name = "REQUEST")]
    pub(crate) gpus: Option<String>,
    /// Add additional groups to join
    #[arg(long, value_name = "GROUP")]
    pub(crate) group_add: Vec<String>,
    /// Command to run to check health
    #[arg(long, value_name = "COMMAND")]
    pub(crate) health_cmd: Option<String>,
    /// Time between running the check (ms|s|m|h)
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub(crate) health_interval: Option<String>,
    /// Consecutive failures needed to report unhealthy
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    pub(crate) health_retries: i64,
    /// Time between running the check during the start period (ms|s|m|h)
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub(crate) health_start_interval: Option<String>,
    /// Time for the container to initialize before failures count (ms|s|m|h)
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub(crate) health_start_period: Option<String>,
    /// Maximum time to allow one check to run (ms|s|m|h)
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub(crate) health_timeout: Option<String>,
    /// Container host name
    #[arg(short = 'h', long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) init: Option<bool>,
    /// Keep STDIN open even if not attached
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) interactive: bool,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<String>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip6: Option<String>,
    /// IPC mode to use
    #[arg(long, value_name = "MODE")]
    pub(crate) ipc: Option<String>,
    /// Container isolation technology
    #[arg(long, value_name = "NAME")]
    pub(crate) isolation: Option<String>,
    /// Set meta data on a container
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) label: Vec<String>,
    /// Read in a line delimited file of labels
    #[arg(long, value_name = "FILE")]
    pub(crate) label_file: Vec<String>,
    /// Add link to another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]", value_parser = super::network::link)]
    pub(crate) link: Vec<String>,
    /// Container IPv4/IPv6 link-local addresses
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) link_local_ip: Vec<String>,
    /// Logging driver for the container
    #[arg(long, value_name = "NAME")]
    pub(crate) log_driver: Option<String>,
    /// Log driver options
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) log_opt: Vec<String>,
    /// Container MAC address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mac_address: Option<String>,
    /// Memory limit
    #[arg(short, long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) memory_reservation: Option<i64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes_or_unlimited, allow_negative_numbers = true)]
    pub(crate) memory_swap: Option<i64>,
    /// Tune container memory swappiness (0 to 100)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) memory_swappiness: Option<i64>,
    /// Attach a filesystem mount to the container
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub(crate) mount: Vec<String>,
    /// Assign a name to the container
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Connect a container to a network
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    pub(crate) network: Vec<String>,
    /// Add network-scoped alias for the container
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    pub(crate) network_alias: Vec<String>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) no_healthcheck: bool,
    /// Disable OOM Killer
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) oom_kill_disable: bool,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) oom_score_adj: Option<i64>,
    /// PID namespace to use
    #[arg(long, value_name = "MODE")]
    pub(crate) pid: Option<String>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) pids_limit: Option<i64>,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub(crate) platform: Option<String>,
    /// Give extended privileges to this container
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) privileged: bool,
    /// Publish a container's port(s) to the host
    #[arg(short, long, value_name = "[[ADDRESS:]HOST:]CONTAINER", allow_hyphen_values = true)]
    pub(crate) publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) publish_all: bool,
    /// Pull image before running ("always", "missing", "never")
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub(crate) pull: String,
    /// Suppress the pull output
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) quiet: bool,
    /// Mount the container's root filesystem as read only
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) read_only: bool,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "POLICY", default_value = "no")]
    pub(crate) restart: String,
    /// Automatically remove the container and its anonymous volumes when it exits
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) rm: bool,
    /// Runtime to use for this container
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,
    /// Security options
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) shm_size: Option<i64>,
    /// Signal to stop the container
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,
    /// Timeout (in seconds) to stop a container
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) stop_timeout: Option<i64>,
    /// Storage driver options for the container
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) storage_opt: Vec<String>,
    /// Sysctl options
    #[arg(long, value_name = "NAME=VALUE", value_parser = sysctl)]
    pub(crate) sysctl: Vec<String>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "PATH[:OPTIONS]")]
    pub(crate) tmpfs: Vec<String>,
    /// Allocate a pseudo-TTY
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    pub(crate) tty: bool,
    /// Ulimit options
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = hyperbox_types::Ulimit::parse)]
    pub(crate) ulimit: Vec<hyperbox_types::Ulimit>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// User namespace to use
    #[arg(long, value_name = "MODE")]
    pub(crate) userns: Option<String>,
    /// UTS namespace to use
    #[arg(long, value_name = "MODE")]
    pub(crate) uts: Option<String>,
    /// Bind mount a volume
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:MODE]")]
    pub(crate) volume: Vec<String>,
    /// Volume driver for the container
    #[arg(long, value_name = "NAME")]
    pub(crate) volume_driver: Option<String>,
    /// Mount volumes from the specified container(s)
    #[arg(long, value_name = "CONTAINER[:MODE]")]
    pub(crate) volumes_from: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(crate) workdir: Option<String>,
    #[arg(
        required = true,
        trailing_var_arg = true,
        value_name = "IMAGE [COMMAND] [ARG...]",
        hide = true
    )]
    pub(crate) image_and_command: Vec<String>,
}

fn stream(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "stdin" | "stdout" | "stderr") {
        return Ok(lower);
    }
    Err("valid streams are STDIN, STDOUT and STDERR".to_owned())
}

fn sysctl(text: &str) -> Result<String, String> {
    const NAMES: &[&str] = &[
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let name = text.split_once('=').map(|(name, _)| name);
    if name.is_some_and(|name| NAMES.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")) {
        return Ok(text.to_owned());
    }
    Err(format!("sysctl '{text}' is not allowed"))
}
