// SPDX-License-Identifier: MIT
//! From a container's record to the OCI runtime configuration (`config.json`), purely.
//!
//! The result is complete but for two things that only the shim can know: where the root filesystem is mounted (`root.path`) and
//! which numbers a user name means inside it (`process.user`).

mod capabilities;
mod device_requests;
mod mounts;
mod resources;
mod seccomp;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

pub(crate) use capabilities::validate as validate_capabilities;
pub(crate) use mounts::{EngineFiles, MountSources, Shm};
pub(crate) use resources::{
    discard_unsupported, to_oci as resources_to_oci, validate as validate_resources, validate_update,
};
pub(crate) use seccomp::parse as parse_seccomp;

use super::spec::NamespaceProvider;
use super::{ContainerRecord, ContainerSpec, NamespaceMode, NetworkMode, SeccompChoice};
use crate::exec::ExecSpec;
use crate::seam::{DeviceNode, Host, PathKind};
use crate::{Result, ServiceError};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const MASKED: [&str; 11] = [
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
];

const MASKED_SINCE_26: [&str; 1] = ["/sys/devices/virtual/powercap"];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What, beside the record, an OCI configuration is made from.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub host: &'a dyn Host,
    /// Parent of all containers' control groups, such as `/hyperbox`.
    pub cgroup_parent: &'a str,
    pub kernel: (u32, u32),
    pub files: Option<&'a EngineFiles>,
    pub sources: &'a MountSources,
    /// Containers whose namespaces are joined.
    pub pid_provider: Option<NamespaceProvider>,
    pub ipc_provider: Option<NamespaceProvider>,
    /// Whether control groups are pure version 2, where a private cgroup namespace is the default.
    pub cgroup_v2: bool,
}

/// Returns the runtime configuration of a container's first process, but for `linux.seccomp`: that is large and the same for most.
///
/// # Errors
/// `InvalidArgument` for a malformed profile or device rule, `NotFound` for a device that the host lacks.
pub(crate) fn configuration(record: &ContainerRecord, around: &Surroundings<'_>) -> Result<Value> {
    let spec = &record.spec;
    device_requests::refuse(&spec.device_requests)?;
    mounts::refuse_memory_options(&record.mounts)?;
    let capabilities = capabilities::effective(&spec.security, &around.host.capabilities())?;
    let devices = devices(spec, around.host)?;
    let allowed: Vec<(DeviceNode, String)> = devices
        .iter()
        // Other letters mean nothing; without any of these three, making the node is all.
        .map(|(node, access)| (node.clone(), access.replace(|letter| !"rwm".contains(letter), "")))
        .filter(|(_, access)| !access.is_empty())
        .collect();
    let mut linux = json!({
        "namespaces": namespaces(spec, around),
        "resources": resources_to_oci(&spec.resources, &allowed, spec.security.privileged, around.host)?,
        "cgroupsPath": cgroup_path(record, around.cgroup_parent),
        "devices": devices.iter().map(|(node, _)| device(node)).collect::<Vec<_>>(),
        "rootfsPropagation": root_propagation(record),
    });
    let map = linux.as_object_mut().expect("made as an object above");
    let sysctls = sysctls(spec);
    if !sysctls.is_empty() {
        map.insert("sysctl".to_owned(), json!(sysctls));
    }
    hide_paths(spec, map);
    let mut configuration = json!({
        "ociVersion": "1.2.0",
        "root": { "path": "rootfs", "readonly": spec.read_only_root },
        "process": first_process(record, &capabilities),
        "mounts": mounts::to_oci(spec, &record.mounts, around.sources, around.files, shm(spec, around)),
        "linux": linux,
    });
    // In the machine's UTS namespace it would be a name for the machine. A domain name that was asked for is passed on even
    // then: the runtime refuses it, as Docker's does.
    if spec.namespaces.uts != NamespaceMode::Host {
        configuration["hostname"] = hostname(record).into();
    }
    if !spec.domainname.is_empty() {
        configuration["domainname"] = spec.domainname.clone().into();
    }
    if !spec.annotations.is_empty() {
        configuration["annotations"] = json!(spec.annotations);
    }
    Ok(configuration)
}

/// Returns the process object of an exec.
///
/// # Errors
/// `InvalidArgument` for unknown capabilities.
pub(crate) fn exec_process(record: &ContainerRecord, exec: &ExecSpec, host: &dyn Host) -> Result<Value> {
    let mut security = record.spec.security.clone();
    security.privileged |= exec.privileged;
    let capabilities = capabilities::effective(&security, &host.capabilities())?;
    let mut env = environment(record, exec.terminal);
    merge_environment(&mut env, &exec.env);
    let working_dir = if exec.working_dir.is_empty() {
        &record.spec.working_dir
    } else {
        &exec.working_dir
    };
    Ok(process(
        record,
        &exec.command,
        env,
        working_dir,
        exec.terminal,
        &capabilities,
    ))
}

fn first_process(record: &ContainerRecord, capabilities: &[String]) -> Value {
    let spec = &record.spec;
    let env = environment(record, spec.terminal);
    let mut value = process(
        record,
        &record.command_line(),
        env,
        &spec.working_dir,
        spec.terminal,
        capabilities,
    );
    let adjustment = spec.oom_score_adjustment.unwrap_or(0);
    value["oomScoreAdj"] = adjustment.into();
    value
}

fn process(
    record: &ContainerRecord,
    args: &[String],
    env: Vec<String>,
    working_dir: &str,
    terminal: bool,
    capabilities: &[String],
) -> Value {
    let spec = &record.spec;
    let cwd = if working_dir.is_empty() { "/" } else { working_dir };
    let mut value = json!({
        "terminal": terminal,
        "user": { "uid": 0, "gid": 0 },
        "args": args,
        "env": env,
        "cwd": cwd,
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
        },
        "noNewPrivileges": spec.security.no_new_privileges,
        "rlimits": spec.rlimits.iter().map(rlimit).collect::<Vec<_>>(),
    });
    if let Some(profile) = &spec.security.apparmor {
        value["apparmorProfile"] = profile.clone().into();
    }
    value
}

fn rlimit(limit: &super::Rlimit) -> Value {
    let unlimited = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    json!({
        "type": format!("RLIMIT_{}", limit.name.to_ascii_uppercase()),
        "soft": unlimited(limit.soft),
        "hard": unlimited(limit.hard),
    })
}

/// Returns the environment in Docker's order: PATH, HOSTNAME, TERM, then what was asked for.
fn environment(record: &ContainerRecord, terminal: bool) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={}", hostname(record))];
    if terminal {
        env.push("TERM=xterm".to_owned());
    }
    merge_environment(&mut env, &record.spec.env);
    env
}

/// Adds variables, replacing those of the same name. A name without `=` removes the variable.
pub(crate) fn merge_environment(env: &mut Vec<String>, additions: &[String]) {
    for addition in additions {
        let name = addition.split('=').next().unwrap_or_default();
        let position = env.iter().position(|variable| variable.split('=').next() == Some(name));
        match (position, addition.contains('=')) {
            (Some(position), true) => env[position].clone_from(addition),
            (None, true) => env.push(addition.clone()),
            (Some(position), false) => {
                env.remove(position);
            }
            (None, false) => {}
        }
    }
}

/// Returns the host name that a container sees.
pub(crate) fn hostname(record: &ContainerRecord) -> &str {
    if record.spec.hostname.is_empty() {
        record.id.short()
    } else {
        &record.spec.hostname
    }
}

fn cgroup_path(record: &ContainerRecord, default_parent: &str) -> String {
    let parent = record
        .spec
        .resources
        .cgroup_parent
        .as_deref()
        .filter(|parent| !parent.is_empty());
    let parent = parent.unwrap_or(default_parent).trim_matches('/');
    format!("/{parent}/{}", record.id)
}

fn root_propagation(record: &ContainerRecord) -> &'static str {
    use super::{Propagation, ResolvedMount};
    let any = |wanted: &[Propagation]| {
        record
            .mounts
            .iter()
            .any(|mount| matches!(mount, ResolvedMount::Bind { propagation, .. } if wanted.contains(propagation)))
    };
    if any(&[Propagation::Shared, Propagation::Rshared]) {
        "rshared"
    } else if any(&[Propagation::Slave, Propagation::Rslave]) {
        "rslave"
    } else {
        "rprivate"
    }
}

fn namespaces(spec: &ContainerSpec, around: &Surroundings<'_>) -> Value {
    let mut list = vec![json!({ "type": "mount" })];
    let join = |provider: &Option<NamespaceProvider>, kind: &str| {
        provider
            .as_ref()
            .map(|provider| PathBuf::from(format!("/proc/{}/ns/{kind}", provider.pid)))
    };
    let mut add = |kind: &str, mode: &NamespaceMode, path: Option<PathBuf>| match (mode, path) {
        (NamespaceMode::Host, _) => {}
        (NamespaceMode::Container(_), Some(path)) => list.push(json!({ "type": kind, "path": path })),
        _ => list.push(json!({ "type": kind })),
    };
    add("pid", &spec.namespaces.pid, join(&around.pid_provider, "pid"));
    add("ipc", &spec.namespaces.ipc, join(&around.ipc_provider, "ipc"));
    add("uts", &spec.namespaces.uts, None);
    let cgroup = match &spec.namespaces.cgroup {
        NamespaceMode::Default if around.cgroup_v2 && !spec.security.privileged => NamespaceMode::Private,
        NamespaceMode::Default => NamespaceMode::Host,
        other => other.clone(),
    };
    add("cgroup", &cgroup, None);
    let network = if spec.network == NetworkMode::Host {
        NamespaceMode::Host
    } else {
        NamespaceMode::Private
    };
    add("network", &network, None);
    list.into()
}

fn shm(spec: &ContainerSpec, around: &Surroundings<'_>) -> Shm {
    match (&spec.namespaces.ipc, &around.ipc_provider) {
        (NamespaceMode::Host, _) => Shm::Shared("/dev/shm".into()),
        (NamespaceMode::None, _) => Shm::None,
        (NamespaceMode::Container(_), Some(provider)) => {
            Shm::Shared(PathBuf::from(format!("/proc/{}/root/dev/shm", provider.pid)))
        }
        _ => Shm::Own,
    }
}

/// Returns the kernel parameters: what was asked for, and in a network namespace of its own Docker's defaults, which allow every
/// user to ping and to listen on every port.
fn sysctls(spec: &ContainerSpec) -> BTreeMap<&str, &str> {
    let mut sysctls = BTreeMap::new();
    if !matches!(spec.network, NetworkMode::Host | NetworkMode::Container(_)) {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start", "0");
        sysctls.insert("net.ipv4.ping_group_range", "0 2147483647");
    }
    let wished = spec.sysctls.iter();
    sysctls.extend(wished.map(|(name, value)| (name.as_str(), value.as_str())));
    sysctls
}

fn hide_paths(spec: &ContainerSpec, linux: &mut Map<String, Value>) {
    let security = &spec.security;
    if security.privileged || security.system_paths_unconfined {
        return;
    }
    let masked = match &security.masked_paths {
        Some(paths) => json!(paths),
        None => json!(MASKED.iter().chain(&MASKED_SINCE_26).collect::<Vec<_>>()),
    };
    let read_only = security
        .read_only_paths
        .as_ref()
        .map_or_else(|| json!(READ_ONLY), |paths| json!(paths));
    linux.insert("maskedPaths".to_owned(), masked);
    linux.insert("readonlyPaths".to_owned(), read_only);
}

/// Returns the configuration's `linux.seccomp`; `None` for a container without a filter.
///
/// # Errors
/// `InvalidArgument` for a malformed profile or unknown capabilities.
pub(crate) fn seccomp(record: &ContainerRecord, around: &Surroundings<'_>) -> Result<Option<Arc<str>>> {
    let security = &record.spec.security;
    let profile = match &security.seccomp {
        _ if security.privileged => return Ok(None),
        SeccompChoice::Unconfined => return Ok(None),
        SeccompChoice::Default => None,
        SeccompChoice::Custom(text) => Some(text.as_str()),
    };
    let capabilities = capabilities::effective(security, &around.host.capabilities())?;
    seccomp::resolved(profile, capabilities, around.kernel).map(Some)
}

/// Returns the devices that the container gets, at their paths in the container, with their permissions.
fn devices(spec: &ContainerSpec, host: &dyn Host) -> Result<Vec<(DeviceNode, String)>> {
    let gathering = |error: crate::seam::HostError| {
        ServiceError::from_mechanism("error gathering device information", error.kind(), error)
    };
    if spec.security.privileged {
        let all = host.all_devices().map_err(gathering)?;
        return Ok(all.into_iter().map(|node| (node, "rwm".to_owned())).collect());
    }
    let mut list = Vec::new();
    for mapping in &spec.devices {
        let kind = host.path_kind(&mapping.host).map_err(gathering)?;
        let directory = kind == PathKind::Directory;
        let nodes = host.devices(&mapping.host).ok().filter(|nodes| !nodes.is_empty());
        let Some(nodes) = nodes else {
            let reason = match kind {
                PathKind::Missing => "no such file or directory",
                PathKind::Directory | PathKind::Other => "not a device node",
            };
            return Err(ServiceError::internal(format!(
                "error gathering device information while adding custom device {:?}: {reason}",
                mapping.host.display().to_string()
            )));
        };
        for mut node in nodes {
            node.path = match node.path.strip_prefix(&mapping.host) {
                Ok(below) if directory => mapping.container.join(below),
                _ => mapping.container.clone(),
            };
            list.push((node, mapping.permissions.clone()));
        }
    }
    Ok(list)
}

fn device(node: &DeviceNode) -> Value {
    json!({
        "path": node.path,
        "type": if node.block { "b" } else { "c" },
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.mode & 0o7777,
        "uid": node.uid,
        "gid": node.gid,
    })
}

/// Returns the container's own files below its directory.
pub(crate) fn engine_files(directory: &Path) -> EngineFiles {
    EngineFiles {
        hostname: directory.join("hostname"),
        hosts: directory.join("hosts"),
        resolv_conf: directory.join("resolv.conf"),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
