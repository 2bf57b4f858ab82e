// SPDX-License-Identifier: MIT
//! The networks of a container that is to be created: what clients of older versions mean, what contradicts, and the wishes. Pure.

use std::collections::BTreeMap;

use hyperbox_core::container::EndpointWish;

use super::endpoint_wish::{SYSCTLS, wish};
use super::faults::join;
use super::network::KnownNetworks;
use crate::error::{ApiError, ApiResult};
use crate::version::ApiVersion;
use crate::wire::config::{CreateBody, EndpointRequest};

/// Refuses combinations with the network mode that make no sense, before anything else is looked at.
///
/// # Errors
/// 400 with Docker's texts.
pub(crate) fn refuse_conflicts(body: &CreateBody) -> ApiResult<()> {
    let host = &body.host_config;
    let links = host.links.as_ref().is_some_and(|links| !links.is_empty());
    let any = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let refuse = |text: &str| Err(ApiError::bad_request(text));
    if let Some(container) = other_container(&host.network_mode) {
        let published = host.publish_all_ports || host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty());
        let conflicts = [
            (
                container.is_empty(),
                "invalid network mode: invalid container format container:<name|id>",
            ),
            (
                !body.hostname.is_empty(),
                "conflicting options: hostname and the network mode",
            ),
            (
                links,
                "conflicting options: container type network can't be used with links. This would result in undefined behavior",
            ),
            (any(&host.dns), "conflicting options: dns and the network mode"),
            (
                any(&host.extra_hosts),
                "conflicting options: custom host-to-IP mapping and the network mode",
            ),
            (
                published,
                "conflicting options: port publishing and the container type network mode",
            ),
            (
                !body.exposed_ports.is_empty(),
                "conflicting options: port exposing and the container type network mode",
            ),
        ];
        if let Some((_, text)) = conflicts.into_iter().find(|(conflict, _)| *conflict) {
            return refuse(text);
        }
    }
    if host.uts_mode == "host" && !body.hostname.is_empty() {
        return refuse("conflicting options: hostname and the UTS mode");
    }
    if host.network_mode == "host" && links {
        return refuse(
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        );
    }
    Ok(())
}

/// Returns the container of a mode `container:x`.
fn other_container(mode: &str) -> Option<&str> {
    match mode {
        "container" => Some(""),
        mode => mode.strip_prefix("container:"),
    }
}

/// Returns the key of the mode's network in `EndpointsConfig`.
fn main_network(body: &CreateBody) -> &str {
    match body.host_config.network_mode.as_str() {
        "" | "default" => "bridge",
        mode => mode,
    }
}

/// Brings the body of a client to the newest version's form; returns warnings.
///
/// # Errors
/// 400 for what the client's version does not know, and for contradictions.
pub(crate) fn modernize(body: &mut CreateBody, version: ApiVersion) -> ApiResult<Vec<String>> {
    super::mounts::refuse_newer(&body.host_config.mounts, version)?;
    let endpoints = &mut body.networking_config.endpoints_config;
    if matches!(body.host_config.network_mode.as_str(), "" | "default")
        && let Some(endpoint) = endpoints.remove("default")
    {
        endpoints.insert("bridge".to_owned(), endpoint);
    }
    if !version.at_least(44) && endpoints.len() > 1 {
        let names: Vec<_> = endpoints.keys().cloned().collect();
        let names = names.join(", ");
        let message = format!("Container cannot be created with multiple network endpoints: {names}");
        return Err(ApiError::bad_request(message));
    }
    if !version.at_least(48) {
        for endpoint in endpoints.values_mut().flatten() {
            endpoint.gateway_priority = 0;
        }
    }
    let warnings = [move_mac_address(body, version)?, move_sysctls(body, version)?];
    Ok(warnings.into_iter().flatten().collect())
}

/// Tells whether the mode is a network in which an endpoint can have wishes.
fn has_endpoint(mode: &str) -> bool {
    !matches!(mode, "host" | "none") && other_container(mode).is_none()
}

/// Clients before 1.44 wish for a MAC address beside the image; it belongs to the main network.
fn move_mac_address(body: &mut CreateBody, version: ApiVersion) -> ApiResult<Option<String>> {
    let wished = std::mem::take(&mut body.mac_address);
    let endpoint_of_mode = has_endpoint(&body.host_config.network_mode);
    if !version.at_least(44) {
        if wished.is_empty() {
            // What that version did not know is not meant.
            for endpoint in body.networking_config.endpoints_config.values_mut().flatten() {
                endpoint.mac_address.clear();
            }
            return Ok(None);
        }
        if !endpoint_of_mode {
            return Err(ApiError::bad_request(
                "conflicting options: mac-address and the network mode",
            ));
        }
        main_endpoint(body, version)?.mac_address = wished;
        return Ok(None);
    }
    if wished.is_empty() {
        return Ok(None);
    }
    if endpoint_of_mode {
        let endpoint = main_endpoint(body, version).map_err(|error| {
            let reason = error.message();
            let message = format!("unable to migrate container-wide MAC address to a specific network: {reason}");
            ApiError::bad_request(message)
        })?;
        if endpoint.mac_address.is_empty() {
            endpoint.mac_address = wished;
        } else if endpoint.mac_address != wished {
            return Err(ApiError::bad_request(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
            ));
        }
    }
    let warning =
        "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";
    Ok(Some(warning.to_owned()))
}

/// Clients before 1.48 wish for kernel parameters of `eth0` beside the others; they belong to the main network.
fn move_sysctls(body: &mut CreateBody, version: ApiVersion) -> ApiResult<Option<String>> {
    if !has_endpoint(&body.host_config.network_mode) && body.host_config.network_mode != "none" {
        return Ok(None);
    }
    let mut moved = Vec::new();
    for (name, value) in &body.host_config.sysctls {
        let parts: Vec<_> = name.splitn(5, '.').collect();
        let [_, family, kind, link, parameter] = parts[..] else {
            continue;
        };
        if !(name.starts_with("net.") && link.starts_with("eth")) {
            continue;
        }
        if version.at_least(48) {
            return Err(ApiError::bad_request(format!(
                "interface specific sysctl setting {name:?} must be supplied using driver option '{SYSCTLS}'"
            )));
        }
        if link != "eth0" {
            return Err(ApiError::bad_request(format!(
                "unable to determine network endpoint for sysctl {name}, use driver option '{SYSCTLS}' to set per-interface sysctls"
            )));
        }
        moved.push((name.clone(), format!("net.{family}.{kind}.IFNAME.{parameter}={value}")));
    }
    if moved.is_empty() {
        return Ok(None);
    }
    let names: Vec<_> = moved.iter().map(|(name, _)| name.clone()).collect();
    for name in &names {
        body.host_config.sysctls.remove(name);
    }
    let mut option: Vec<_> = moved.into_iter().map(|(_, sysctl)| sysctl).collect();
    let warning = format!(
        "Migrated sysctl {:?} to DriverOpts{{{SYSCTLS:?}:{:?}}}.",
        names.join(","),
        option.join(",")
    );
    let endpoint = main_endpoint(body, version)?;
    let options = endpoint.driver_options.get_or_insert_default();
    option.extend(options.get(SYSCTLS).cloned());
    options.insert(SYSCTLS.to_owned(), option.join(","));
    Ok(Some(warning))
}

/// Returns what is wished of the mode's network, making the wish if there is none at all.
fn main_endpoint(body: &mut CreateBody, version: ApiVersion) -> ApiResult<&mut EndpointRequest> {
    let main = main_network(body).to_owned();
    let endpoints = &mut body.networking_config.endpoints_config;
    let key = if endpoints.is_empty() {
        endpoints.insert(main.clone(), Some(EndpointRequest::default()));
        main
    } else if version.at_least(44) {
        main
    } else {
        endpoints.keys().next().cloned().unwrap_or(main)
    };
    endpoints.get_mut(&key).and_then(Option::as_mut).ok_or_else(|| {
        ApiError::bad_request("HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks")
    })
}

/// Translates the wishes for all networks.
///
/// # Errors
/// 400 with Docker's texts, all faults in one.
pub(crate) fn wishes(body: &CreateBody, known: &KnownNetworks) -> ApiResult<BTreeMap<String, EndpointWish>> {
    let mut wishes = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, request) in &body.networking_config.endpoints_config {
        let Some(request) = request else {
            faults.push(format!("invalid config for network {name}: EndpointsConfig is nil"));
            continue;
        };
        match wish(name, known.named(name), request) {
            Ok(wish) => drop(wishes.insert(name.clone(), wish)),
            Err(fault) => faults.push(format!("invalid config for network {name}: {fault}")),
        }
    }
    if !faults.is_empty() {
        return Err(ApiError::bad_request(join(&faults)));
    }
    if body.network_disabled || other_container(&body.host_config.network_mode).is_some() {
        return Ok(BTreeMap::new());
    }
    Ok(wishes)
}
