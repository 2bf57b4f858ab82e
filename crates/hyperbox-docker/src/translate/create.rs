// SPDX-License-Identifier: MIT
//! The body of `POST /containers/create` → a [`ContainerSpec`], a door document, and warnings.
//!
//! What Docker refuses at creation for its form alone is refused here, in Docker's words; what needs the image, the machine or other
//! containers is the engine's to judge. What this version of the engine cannot do at all (publishing ports, links, device requests) is
//! an error rather than silently left out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hyperbox_core::container::{ContainerSpec, EndpointWish, NetworkMode, RestartPolicy};
use hyperbox_types::{ByteSize, Platform, Signal};

use super::complete::{Defaults, complete};
use super::document::DoorDocument;
use super::image::parse_reference;
use super::{health, log, mounts, namespaces, resources, security, volumes_from};
use crate::error::{ApiError, ApiResult};
use crate::wire::Words;
use crate::wire::config::CreateBody;
use crate::wire::host_config::{self, HostConfig};

/// A translated request.
#[derive(Debug)]
pub(crate) struct Translated {
    /// The wish.
    pub spec: ContainerSpec,
    /// What inspect will echo.
    pub document: DoorDocument,
    /// Containers whose volumes are wanted too, with a forced read-only mode if any.
    pub volumes_from: Vec<volumes_from::VolumesFrom>,
    /// What the client should know.
    pub warnings: Vec<String>,
}

/// Translates a request.
///
/// # Errors
/// 400 for malformed wishes, 501 for what this version cannot do.
pub(crate) fn translate(body: CreateBody, platform: Option<Platform>, defaults: &Defaults) -> ApiResult<Translated> {
    if body.image.is_empty() {
        // Docker says this of an empty body too, which has no image either.
        return Err(ApiError::bad_request(
            "config cannot be empty in order to create a container",
        ));
    }
    parse_reference(&body.image)?;
    refuse_unsupported(&body)?;
    let mut warnings = Vec::new();
    let network = namespaces::network_mode(&body.host_config.network_mode)?;
    check_ports(&body.host_config, &network, &mut warnings)?;
    let endpoint = endpoint(&body)?;
    let host = &body.host_config;
    let spec = ContainerSpec {
        platform,
        user: body.user.clone(),
        additional_groups: host.group_add.clone().unwrap_or_default(),
        hostname: body.hostname.clone(),
        domainname: body.domainname.clone(),
        terminal: body.tty,
        open_stdin: body.open_stdin,
        stdin_once: body.stdin_once,
        env: environment(&body.env)?,
        working_dir: body.working_dir.clone(),
        labels: body.labels.clone(),
        stop_signal: stop_signal(&body.stop_signal)?,
        stop_timeout: body.stop_timeout.map(patience),
        health: body.healthcheck.as_ref().map(health::from_wire).transpose()?,
        exposed_ports: body.exposed_ports.keys().map(|port| with_protocol(port)).collect(),
        anonymous_volumes: body.volumes.keys().map(Into::into).collect(),
        mounts: mounts::requests(host, &body.volumes)?,
        read_only_root: host.readonly_rootfs,
        network,
        networks: BTreeMap::from([(primary(&body.host_config).to_owned(), endpoint)]),
        ports: Vec::new(),
        publish_all_ports: host.publish_all_ports,
        links: Vec::new(),
        dns_servers: name_servers(&host.dns)?,
        dns_search: host.dns_search.clone(),
        dns_options: host.dns_options.clone(),
        extra_hosts: extra_hosts(host)?,
        resources: resources::from_wire(&host.resources)?,
        security: security::from_wire(host)?,
        devices: resources::devices(&host.resources),
        rlimits: resources::rlimits(&host.resources)?,
        sysctls: host.sysctls.clone(),
        shm_size: shm_size(host.shm_size)?,
        namespaces: namespaces::from_wire(host)?,
        init: host.init.unwrap_or(false),
        restart: restart_policy(&host.restart_policy)?,
        log: log::from_wire(&host.log_config)?,
        auto_remove: host.auto_remove,
        runtime: host.runtime.clone(),
        oom_score_adjustment: oom_score(host.oom_score_adj)?,
        annotations: host.annotations.clone(),
        image: body.image.clone(),
        entrypoint: entrypoint(body.entrypoint.clone()),
        command: body
            .cmd
            .clone()
            .map(Words::into_vec)
            .filter(|command| !command.is_empty()),
    };
    let volumes_from = volumes_from::volumes_from(host)?;
    let document = DoorDocument::of(&body, complete(body.host_config.clone(), &spec, defaults));
    Ok(Translated {
        spec,
        document,
        volumes_from,
        warnings,
    })
}

/// Docker's clients send `[""]` to clear the image's entrypoint.
fn entrypoint(words: Option<Words>) -> Option<Vec<String>> {
    let words = words?.into_vec();
    match words.as_slice() {
        [] => None,
        [only] if only.is_empty() => Some(Vec::new()),
        _ => Some(words),
    }
}

fn refuse_unsupported(body: &CreateBody) -> ApiResult<()> {
    let host = &body.host_config;
    let unsupported = |what: &str| {
        Err(ApiError::not_implemented(format!(
            "{what} not supported by this version of HyperBox"
        )))
    };
    if host.links.as_ref().is_some_and(|links| !links.is_empty()) {
        return unsupported("container links are");
    }
    if host
        .resources
        .device_requests
        .as_ref()
        .is_some_and(|requests| !requests.is_empty())
    {
        return unsupported("device requests (such as --gpus) are");
    }
    if !host.storage_opt.is_empty() {
        return unsupported("storage options are");
    }
    if !host.volume_driver.is_empty() && host.volume_driver != "local" {
        let driver = &host.volume_driver;
        return Err(ApiError::not_found(format!(
            "error looking up volume plugin {driver}: plugin {driver:?} not found"
        )));
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        let isolation = &host.isolation;
        return Err(ApiError::bad_request(format!(
            "invalid isolation ({isolation}): linux only supports 'default'"
        )));
    }
    Ok(())
}

fn check_ports(host: &HostConfig, network: &NetworkMode, warnings: &mut Vec<String>) -> ApiResult<()> {
    for (port, bindings) in &host.port_bindings {
        let number = port.split('/').next().unwrap_or_default();
        let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        if !is_port_range(number) || !matches!(protocol, "tcp" | "udp" | "sctp") {
            return Err(ApiError::bad_request(format!("invalid port specification: {port:?}")));
        }
        for binding in bindings
            .iter()
            .flatten()
            .filter(|binding| !binding.host_port.is_empty())
        {
            if !is_port_range(&binding.host_port) {
                return Err(ApiError::bad_request(format!(
                    "invalid port specification: {:?}",
                    binding.host_port
                )));
            }
        }
    }
    if host.port_bindings.is_empty() && !host.publish_all_ports {
        return Ok(());
    }
    match network {
        NetworkMode::Host => {
            warnings.push("Published ports are discarded when using host network mode".to_owned());
            Ok(())
        }
        NetworkMode::None => Ok(()),
        NetworkMode::Container(_) => Err(ApiError::bad_request(
            "conflicting options: port publishing and the container type network mode",
        )),
        NetworkMode::Default | NetworkMode::Named(_) => Ok(()),
    }
}

fn is_port_range(text: &str) -> bool {
    let mut ends = text.splitn(2, '-').map(str::parse::<u16>);
    match (ends.next(), ends.next()) {
        (Some(Ok(_)), None) => true,
        (Some(Ok(first)), Some(Ok(last))) => first <= last,
        _ => false,
    }
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
}

fn primary(host: &HostConfig) -> &str {
    match host.network_mode.as_str() {
        "" | "default" => "bridge",
        other => other,
    }
}

/// What the client wishes for the endpoint in its (only) network.
fn endpoint(body: &CreateBody) -> ApiResult<EndpointWish> {
    let wish = body.networking_config.endpoints_config.values().next();
    let address = wish
        .and_then(|wish| wish.ipam_config.as_ref())
        .and_then(|config| config.ipv4_address.parse().ok());
    let mac_address = wish.map(|wish| wish.mac_address.as_str()).filter(|mac| !mac.is_empty());
    // Clients older than 1.44 send it beside the image.
    let mac_address = mac_address.or(Some(body.mac_address.as_str()).filter(|mac| !mac.is_empty()));
    if let Some(mac) = mac_address.filter(|mac| !is_mac_address(mac)) {
        let network = &body.host_config.network_mode;
        let network = if matches!(network.as_str(), "" | "default") {
            "bridge"
        } else {
            network
        };
        let message = format!("invalid config for network {network}: invalid MAC address {mac}");
        return Err(ApiError::bad_request(message));
    }
    Ok(EndpointWish {
        ipv4: address,
        mac_address: mac_address.map(str::to_owned),
        ..EndpointWish::default()
    })
}

fn is_mac_address(text: &str) -> bool {
    let octet = |octet: &str| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split([':', '-']).count() == 6 && text.split([':', '-']).all(octet)
}

fn environment(env: &[String]) -> ApiResult<Vec<String>> {
    match env.iter().find(|entry| entry.is_empty() || entry.starts_with('=')) {
        Some(entry) => Err(ApiError::bad_request(format!("invalid environment variable: {entry}"))),
        None => Ok(env.to_vec()),
    }
}

fn stop_signal(text: &str) -> ApiResult<Option<Signal>> {
    match text {
        "" => Ok(None),
        text => Signal::parse(text)
            .map(Some)
            .map_err(|error| ApiError::bad_request(error.to_string())),
    }
}

/// A negative number of seconds means for ever.
pub(crate) fn patience(seconds: i64) -> Duration {
    u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs)
}

fn name_servers(servers: &[String]) -> ApiResult<Vec<IpAddr>> {
    let parse = |server: &String| {
        server
            .parse()
            .map_err(|_| ApiError::bad_request(format!("invalid IP address in dns: {server:?}")))
    };
    servers.iter().map(parse).collect()
}

fn extra_hosts(host: &HostConfig) -> ApiResult<Vec<(String, String)>> {
    let parse = |entry: &String| {
        let bad = || ApiError::bad_request(format!("bad format for add-host: {entry:?}"));
        let (name, address) = entry
            .split_once(':')
            .or_else(|| entry.split_once('='))
            .ok_or_else(bad)?;
        if name.is_empty() {
            return Err(bad());
        }
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
            return Err(ApiError::bad_request(format!(
                "invalid IP address in add-host: {address:?}"
            )));
        }
        Ok((name.to_owned(), bare.to_owned()))
    };
    host.extra_hosts.iter().flatten().map(parse).collect()
}

fn shm_size(bytes: i64) -> ApiResult<Option<ByteSize>> {
    match u64::try_from(bytes) {
        Ok(0) => Ok(None),
        Ok(bytes) => Ok(Some(ByteSize(bytes))),
        Err(_) => Err(ApiError::bad_request("SHM size can not be less than 0")),
    }
}

fn oom_score(score: i64) -> ApiResult<Option<i32>> {
    match i32::try_from(score) {
        Ok(0) => Ok(None),
        Ok(score @ -1000..=1000) => Ok(Some(score)),
        _ => Err(ApiError::bad_request(format!(
            "Invalid value {score}, range for oom score adj is [-1000, 1000]"
        ))),
    }
}

/// Translates a restart policy.
///
/// # Errors
/// 400 for an unknown policy, and for retries that it cannot have.
pub(crate) fn restart_policy(policy: &host_config::RestartPolicy) -> ApiResult<RestartPolicy> {
    let invalid = |what: &str| Err(ApiError::bad_request(format!("invalid restart policy: {what}")));
    let retries = policy.maximum_retry_count;
    let parsed = match policy.name.as_str() {
        "" | "no" => RestartPolicy::Never,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => {
            let Ok(maximum_retries) = u32::try_from(retries) else {
                return invalid("maximum retry count cannot be negative");
            };
            return Ok(RestartPolicy::OnFailure { maximum_retries });
        }
        other => {
            return invalid(&format!(
                "unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            ));
        }
    };
    if retries != 0 {
        return invalid("maximum retry count can only be used with 'on-failure'");
    }
    Ok(parsed)
}
