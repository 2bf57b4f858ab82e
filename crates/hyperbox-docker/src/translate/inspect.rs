// SPDX-License-Identifier: MIT
//! A container's record → its inspection.

use std::path::{Path, PathBuf};

use hyperbox_core::container::{ContainerRecord, NetworkMode, Phase, ResolvedMount};
use hyperbox_types::{ByteSize, RootMount};

use super::complete::{Defaults, complete};
use super::document::DoorDocument;
use super::endpoint::endpoints;
use super::network::KnownNetworks;
use super::{graph_driver, health, ports, since};
use crate::wire::config::ContainerConfig;
use crate::wire::container::{Health, Inspect, MountPoint, NetworkSettings, State};
use crate::wire::host_config::HostConfig;
use crate::wire::{Empty, Set};

/// What the inspection needs beside the record.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Ids of running execs.
    pub exec_ids: Vec<String>,
    /// The networks of the engine.
    pub networks: KnownNetworks,
    /// Links of the default bridge in Docker's form, `/name:/own/alias`.
    pub links: Vec<String>,
    /// Directory of the container's files.
    pub directory: PathBuf,
    /// Its log.
    pub log_path: Option<PathBuf>,
    /// Name of the snapshotter.
    pub storage_driver: String,
    /// Where its files are.
    pub root: Option<RootMount>,
    /// What it occupies (alone, in all), when asked for.
    pub size: Option<(ByteSize, ByteSize)>,
}

/// Makes the inspection.
pub(crate) fn inspect(record: &ContainerRecord, around: Surroundings) -> Inspect {
    let document = DoorDocument::from_record(record);
    let mut command = record.command_line().into_iter();
    let started = record.state.started_at.is_some();
    // Docker makes these files at the first start.
    let file = |name: &str| {
        if started {
            text(&around.directory.join(name))
        } else {
            String::new()
        }
    };
    Inspect {
        id: record.id.to_string(),
        created: record.created_at.to_string(),
        path: command.next().unwrap_or_default(),
        args: command.collect(),
        state: state(record),
        image: record.image_id.to_string(),
        resolv_conf_path: file("resolv.conf"),
        hostname_path: file("hostname"),
        hosts_path: file("hosts"),
        log_path: around
            .log_path
            .as_deref()
            .filter(|_| started)
            .map(text)
            .unwrap_or_default(),
        name: format!("/{}", record.name),
        restart_count: record.state.restart_count,
        driver: around.storage_driver.clone(),
        platform: "linux",
        mount_label: "",
        process_label: "",
        app_armor_profile: record.spec.security.apparmor.clone().unwrap_or_default(),
        exec_ids: (!around.exec_ids.is_empty()).then_some(around.exec_ids),
        host_config: host_config(record, &document, around.links),
        graph_driver: graph_driver::of_container(around.storage_driver, record, around.root.as_ref()),
        size_rw: around.size.map(|(own, _)| own.0),
        size_root_fs: around.size.map(|(_, all)| all.0),
        mounts: mount_points(record, &document),
        config: config(record, &document),
        network_settings: network_settings(record, &document, &around.networks),
    }
}

fn host_config(record: &ContainerRecord, document: &DoorDocument, links: Vec<String>) -> HostConfig {
    let mut host = document.host_config.clone();
    if host.network_mode.is_empty() {
        // Another door made this container.
        host = complete(host, &record.spec, &Defaults::default());
    }
    host.links = (!links.is_empty()).then_some(links);
    // What the kernel has no control for was left out.
    host.resources.blkio_weight = record.spec.resources.block_weight.map_or(0, i64::from);
    if record.spec.resources.block_weight_devices.is_empty() {
        let weights = host.resources.blkio_weight_device.as_mut();
        weights.into_iter().for_each(Vec::clear);
    }
    host
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn state(record: &ContainerRecord) -> State {
    let state = &record.state;
    State {
        status: state.phase.as_str(),
        running: state.phase.is_alive() || state.phase == Phase::Restarting,
        paused: state.phase == Phase::Paused,
        restarting: state.phase == Phase::Restarting,
        oom_killed: state.out_of_memory,
        dead: state.phase == Phase::Dead,
        pid: state.pid,
        exit_code: state.exit_code,
        error: state.error.clone(),
        started_at: since::moment(state.started_at),
        finished_at: since::moment(state.finished_at),
        health: state.health.as_ref().map(Health::from),
    }
}

/// Shows the configuration as it is kept in an image that is made of the container.
pub(crate) fn configuration(record: &ContainerRecord) -> serde_json::Value {
    let config = config(record, &DoorDocument::from_record(record));
    serde_json::to_value(config).unwrap_or_default()
}

fn config(record: &ContainerRecord, document: &DoorDocument) -> ContainerConfig {
    let spec = &record.spec;
    let set = |names: Vec<String>| names.into_iter().map(|name| (name, Empty {})).collect::<Set>();
    let volumes = set(spec.anonymous_volumes.iter().map(|path| text(path)).collect());
    let list = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
    ContainerConfig {
        hostname: if spec.hostname.is_empty() {
            record.id.short().to_owned()
        } else {
            spec.hostname.clone()
        },
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        attach_stdin: document.attach_stdin,
        attach_stdout: document.attach_stdout,
        attach_stderr: document.attach_stderr,
        exposed_ports: set(spec.exposed_ports.clone()),
        tty: spec.terminal,
        open_stdin: spec.open_stdin,
        stdin_once: spec.stdin_once,
        env: Some(spec.env.clone()).filter(|env| !env.is_empty()),
        cmd: list(&spec.command),
        healthcheck: spec.health.as_ref().map(health::to_wire),
        image: spec.image.clone(),
        volumes: (!volumes.is_empty()).then_some(volumes),
        working_dir: spec.working_dir.clone(),
        entrypoint: list(&spec.entrypoint),
        network_disabled: document.network_disabled,
        mac_address: mac_address(record),
        on_build: None,
        labels: spec.labels.clone(),
        stop_signal: spec.stop_signal.map(|signal| match document.stop_signal.as_str() {
            "" => signal.to_string(),
            written => written.to_owned(),
        }),
        stop_timeout: spec
            .stop_timeout
            .map(|timeout| i64::try_from(timeout.as_secs()).unwrap_or(-1)),
        shell: document.shell.clone(),
    }
}

/// Returns the wished MAC address in the main network, for clients that know no other.
fn mac_address(record: &ContainerRecord) -> String {
    let main = match &record.spec.network {
        NetworkMode::Default => "bridge",
        NetworkMode::Named(name) => name,
        NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => return String::new(),
    };
    let wish = record.spec.networks.get(main);
    wish.and_then(|wish| wish.mac_address.clone()).unwrap_or_default()
}

/// Shows the mounts; of those in memory only what came in the long form, as Docker keeps the others to the host configuration.
pub(crate) fn mount_points(record: &ContainerRecord, document: &DoorDocument) -> Vec<MountPoint> {
    let long_form = |target: &Path| {
        let mounts = &document.host_config.mounts;
        mounts
            .iter()
            .any(|mount| mount.kind == "tmpfs" && Path::new(&mount.target) == target)
    };
    let shown = |mount: &&ResolvedMount| !matches!(mount, ResolvedMount::Tmpfs { target, .. } if !long_form(target));
    let own = &record.spec.anonymous_volumes;
    record
        .mounts
        .iter()
        .filter(shown)
        .map(|mount| mount_point(mount, own))
        .collect()
}

/// Shows a mount; `own` are the places for which the container's configuration asks for volumes.
fn mount_point(mount: &ResolvedMount, own: &[PathBuf]) -> MountPoint {
    let point = |kind, source: String, target: &Path, read_only: bool| MountPoint {
        kind,
        name: String::new(),
        source,
        destination: text(target),
        driver: String::new(),
        mode: String::new(),
        read_write: !read_only,
        propagation: "",
    };
    match mount {
        ResolvedMount::Bind {
            source,
            target,
            read_only,
            propagation,
            ..
        } => MountPoint {
            mode: if *read_only { "ro".to_owned() } else { String::new() },
            propagation: propagation.as_str(),
            ..point("bind", text(source), target, *read_only)
        },
        ResolvedMount::Volume {
            name,
            source,
            target,
            read_only,
            anonymous,
            ..
        } => MountPoint {
            name: name.to_string(),
            driver: "local".to_owned(),
            mode: match *anonymous && own.contains(target) {
                true => String::new(),
                false => "z".to_owned(),
            },
            ..point("volume", text(source), target, *read_only)
        },
        ResolvedMount::Image { reference, target, .. } => MountPoint {
            name: reference.clone(),
            propagation: "rprivate",
            ..point("image", String::new(), target, true)
        },
        ResolvedMount::Tmpfs { target, read_only, .. } => point("tmpfs", String::new(), target, *read_only),
    }
}

fn network_settings(record: &ContainerRecord, document: &DoorDocument, known: &KnownNetworks) -> NetworkSettings {
    let networks = endpoints(record, document, known);
    let mut settings = NetworkSettings {
        ports: ports::shown(record, known).inspected(),
        ..NetworkSettings::default()
    };
    let shares = matches!(record.spec.network, NetworkMode::Container(_));
    if record.state.phase.is_alive() && !shares && !document.network_disabled {
        settings.sandbox_id = record.id.to_string();
        settings.sandbox_key = format!("/proc/{}/ns/net", record.state.pid);
    }
    // The old fields tell of the default bridge only.
    if let Some(bridge) = networks.get("bridge") {
        settings.endpoint_id.clone_from(&bridge.endpoint_id);
        settings.gateway.clone_from(&bridge.gateway);
        settings.ip_address.clone_from(&bridge.ip_address);
        settings.ip_prefix_len = bridge.ip_prefix_len;
        settings.mac_address.clone_from(&bridge.mac_address);
        settings.ipv6_gateway.clone_from(&bridge.ipv6_gateway);
        settings.global_ipv6_address.clone_from(&bridge.global_ipv6_address);
        settings.global_ipv6_prefix_len = bridge.global_ipv6_prefix_len;
    }
    settings.networks = networks;
    settings
}
