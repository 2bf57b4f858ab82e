// SPDX-License-Identifier: MIT
//! Completes a `HostConfig` with the defaults that Docker's daemon fills in, so that inspect shows what is in force.

use hyperbox_core::container::{ContainerSpec, NetworkMode};

use super::network::KnownNetworks;
use crate::wire::host_config::HostConfig;

/// Docker's default size of `/dev/shm`.
const SHM_SIZE: i64 = 64 * 1024 * 1024;

const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What the engine does when a client leaves it open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    /// The runtime.
    pub runtime: String,
    /// Whether control groups are pure version 2, where a private view of them is the default.
    pub cgroup_v2: bool,
    /// The networks that wishes are checked against.
    pub networks: KnownNetworks,
}

/// Tells whether a container sees so much of the host that Docker does not label it, and whether nobody wished otherwise.
fn shares_all(host: &HostConfig) -> bool {
    let labelled = host
        .security_opt
        .iter()
        .flatten()
        .any(|option| option.starts_with("label"));
    !labelled && (host.privileged || host.ipc_mode == "host" || host.pid_mode == "host")
}

/// Fills in what the client left open.
pub(crate) fn complete(mut host: HostConfig, spec: &ContainerSpec, defaults: &Defaults) -> HostConfig {
    if host.runtime.is_empty() {
        host.runtime.clone_from(&defaults.runtime);
    }
    host.log_config.driver.clone_from(&spec.log.driver);
    if matches!(host.network_mode.as_str(), "" | "default") {
        host.network_mode = match &spec.network {
            NetworkMode::Host => "host".to_owned(),
            NetworkMode::Named(name) => name.clone(),
            NetworkMode::Container(container) => format!("container:{container}"),
            NetworkMode::None => "none".to_owned(),
            NetworkMode::Default => "bridge".to_owned(),
        };
    }
    if host.restart_policy.name.is_empty() {
        "no".clone_into(&mut host.restart_policy.name);
    }
    if host.ipc_mode.is_empty() {
        "private".clone_into(&mut host.ipc_mode);
    }
    if host.cgroupns_mode.is_empty() {
        let mode = if host.privileged || !defaults.cgroup_v2 {
            "host"
        } else {
            "private"
        };
        mode.clone_into(&mut host.cgroupns_mode);
    }
    if host.shm_size == 0 {
        host.shm_size = SHM_SIZE;
    }
    if host.console_size.len() != 2 {
        host.console_size = vec![0, 0];
    }
    let resources = &mut host.resources;
    resources.memory_swappiness = resources.memory_swappiness.filter(|swappiness| *swappiness != -1);
    resources.pids_limit = resources.pids_limit.filter(|limit| *limit != 0);
    resources.oom_kill_disable.get_or_insert(false);
    if resources.memory > 0 && resources.memory_swap == 0 {
        // Docker allows as much swap as memory.
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
    if shares_all(&host) {
        // Without SELinux this says nothing; clients see it all the same.
        host.security_opt
            .get_or_insert_default()
            .push("label=disable".to_owned());
    }
    let unmasked = host.privileged || spec.security.system_paths_unconfined;
    let paths = |paths: &[&str]| Some(paths.iter().copied().filter(|_| !unmasked).map(str::to_owned).collect());
    if unmasked && host.privileged {
        host.masked_paths = None;
        host.readonly_paths = None;
    } else {
        host.masked_paths = host.masked_paths.or_else(|| paths(&MASKED_PATHS));
        host.readonly_paths = host.readonly_paths.or_else(|| paths(&READ_ONLY_PATHS));
    }
    host
}
