// SPDX-License-Identifier: MIT
//! The body of `POST /containers/create` → a [`ContainerSpec`], a door document, and warnings.
//!
//! What Docker refuses at creation for its form alone is refused here, in Docker's words; what needs the image, the machine or other
//! containers is the engine's to judge. What this version of the engine cannot do at all is an error rather than
//! silently left out.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use hyperbox_core::container::{ContainerSpec, NetworkMode, RestartPolicy};
use hyperbox_types::{ByteSize, Platform, Signal};

use super::complete::{Defaults, complete};
use super::document::DoorDocument;
use super::endpoint_wish::link;
use super::image::parse_reference;
use super::{health, log, mounts, namespaces, networking, ports, resources, security, volumes_from};
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

/// Docker's warning.
const UNBOUNDED: &str = "OOM killer is disabled for the container, but no memory limit is set, this can result in the system \
                         running out of resources.";

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
    networking::refuse_conflicts(&body)?;
    refuse_unsupported(&body)?;
    let host = &body.host_config;
    let network = match body.network_disabled {
        true => NetworkMode::None,
        false => namespaces::network_mode(&host.network_mode),
    };
    let extra_hosts = extra_hosts(host)?;
    let bindings = host.port_bindings.clone().unwrap_or_default();
    let ports = ports::requests(&bindings)?;
    let mut warnings = Vec::new();
    if network == NetworkMode::Host && !bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    if host.resources.oom_kill_disable == Some(true) && host.resources.memory <= 0 {
        warnings.push(UNBOUNDED.to_owned());
    }
    warnings.extend(mounts::warnings(&host.mounts));
    if host.annotations.contains_key("") {
        return Err(ApiError::bad_request(
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ));
    }
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
        shell: body.shell.clone().map(Words::into_vec).unwrap_or_default(),
        stop_timeout: body.stop_timeout.map(patience),
        health: body.healthcheck.as_ref().map(health::from_wire).transpose()?,
        exposed_ports: body.exposed_ports.keys().map(|port| with_protocol(port)).collect(),
        anonymous_volumes: body.volumes.keys().map(Into::into).collect(),
        mounts: mounts::requests(host, &body.volumes)?,
        read_only_root: host.readonly_rootfs,
        links: links(host, &network)?,
        network,
        networks: networking::wishes(&body, &defaults.networks)?,
        ports,
        publish_all_ports: host.publish_all_ports,
        dns_servers: name_servers(host.dns.as_deref().unwrap_or_default())?,
        dns_search: host.dns_search.clone().unwrap_or_default(),
        dns_options: host.dns_options.clone().unwrap_or_default(),
        extra_hosts,
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
        device_requests: resources::device_requests(&host.resources),
        image: body.image.clone(),
        entrypoint: entrypoint(body.entrypoint.clone()),
        command: body
            .cmd
            .clone()
            .map(Words::into_vec)
            .filter(|command| !command.is_empty()),
    };
    let volumes_from = volumes_from::volumes_from(host)?;
    let mut host_config = body.host_config.clone();
    if body.network_disabled && matches!(host_config.network_mode.as_str(), "" | "default") {
        // A container without a network has the mode of the others.
        "bridge".clone_into(&mut host_config.network_mode);
    }
    let document = DoorDocument::of(&body, complete(host_config, &spec, defaults));
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
    if !host.storage_opt.is_empty() {
        let mut names = host.storage_opt.keys();
        let message = match names.find(|name| !name.eq_ignore_ascii_case("size")) {
            Some(unknown) => format!("Unknown option {}", unknown.to_lowercase()),
            // This engine keeps its layers on any filesystem; quotas of single directories need that one.
            None => "--storage-opt is supported only for overlay over xfs with 'pquota' mount option".to_owned(),
        };
        return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message));
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

fn with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
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

/// Translates links; as with Docker they are of the default bridge only, other networks have them in their endpoints.
fn links(host: &HostConfig, network: &NetworkMode) -> ApiResult<Vec<(String, String)>> {
    let of_bridge = match network {
        NetworkMode::Default => true,
        NetworkMode::Named(name) => name == "bridge",
        NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => false,
    };
    let links = host.links.iter().flatten().filter(|_| of_bridge);
    links.map(|text| link(text).map_err(ApiError::bad_request)).collect()
}

fn name_servers(servers: &[String]) -> ApiResult<Vec<IpAddr>> {
    let parse = |server: &String| {
        server.parse().map_err(|_| {
            ApiError::bad_request(format!(
                "bad nameserver address {server}: ParseAddr({server:?}): unable to parse IP"
            ))
        })
    };
    servers.iter().map(parse).collect()
}

/// Parses `name:address`, with `host-gateway` for the host; a name ends at the first colon, so that an IPv6 address needs no brackets.
fn extra_hosts(host: &HostConfig) -> ApiResult<Vec<(String, String)>> {
    let parse = |entry: &String| {
        let (name, address) = match entry.split_once(':') {
            Some((name, address)) if !name.is_empty() => (name, address),
            _ => return Err(ApiError::bad_request(format!("bad format for add-host: {entry:?}"))),
        };
        if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
            return Err(ApiError::bad_request(format!(
                "invalid IP address in add-host: {address:?}"
            )));
        }
        Ok((name.to_owned(), address.to_owned()))
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
