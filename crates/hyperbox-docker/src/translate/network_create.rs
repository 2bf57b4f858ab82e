// SPDX-License-Identifier: MIT
//! The body of `POST /networks/create` → a [`NetworkSpec`], with Docker's checks. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::StatusCode;
use hyperbox_core::network::{NetworkSpec, is_predefined};
use hyperbox_core::seam::PoolWish;

use super::faults::join;
use crate::error::{ApiError, ApiResult};
use crate::wire::network::{IpamConfig, NetworkCreateBody};

/// Translates a request; the name is the engine's to judge, but for what Docker refuses before it looks at the rest.
///
/// # Errors
/// 400 for malformed wishes, 403 for those that Docker forbids, 404 for an unknown address management.
pub(crate) fn translate(body: NetworkCreateBody) -> ApiResult<NetworkSpec> {
    if is_predefined(&body.name) || body.name == "default" {
        let message = format!("operation is not permitted on predefined {} network ", body.name);
        return Err(forbidden(message));
    }
    if body.driver == "overlay" {
        return Err(forbidden(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm \
             and try again.",
        ));
    }
    let mut options = body.options.clone();
    let ipv4 = family(body.enable_ipv4, "com.docker.network.enable_ipv4", &mut options)?.unwrap_or(true);
    let ipv6 = family(body.enable_ipv6, "com.docker.network.enable_ipv6", &mut options)?.unwrap_or(false);
    let ipam = body.ipam.clone().unwrap_or_default();
    let pools = pools(ipam.config.as_deref().unwrap_or_default(), ipv6)?;
    let from = body.config_from.clone().unwrap_or_default().network;
    if body.name.trim().is_empty() {
        return Err(ApiError::bad_request("invalid name: name is empty"));
    }
    check_configuration(&body, &from, !options.is_empty(), ipv4, ipv6)?;
    if ipam.driver == "null" && !matches!(body.driver.as_str(), "host" | "null") && (ipv4 || ipv6) {
        return Err(ApiError::bad_request(match (pools.is_empty(), ipv4) {
            (true, true) => "ipv4 pool is empty",
            (true, false) => "ipv6 pool is empty",
            (false, _) => "null ipam driver does not handle specific address pool requests",
        }));
    }
    if !matches!(ipam.driver.as_str(), "" | "default" | "null") {
        let driver = &ipam.driver;
        return Err(ApiError::not_found(format!("plugin {driver:?} not found")));
    }
    if !(ipv4 || ipv6 || body.config_only) {
        return Err(ApiError::bad_request("IPv4 or IPv6 must be enabled"));
    }
    Ok(NetworkSpec {
        driver: body.driver,
        options,
        ipv4,
        ipv6,
        internal: body.internal,
        attachable: body.attachable,
        address_driver: ipam.driver,
        address_options_sent: ipam.options.is_some(),
        address_options: ipam.options.unwrap_or_default(),
        pools,
        labels: body.labels,
        config_only: body.config_only,
        config_from: from,
    })
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, message)
}

/// Whether a family of addresses is wished: by its field, which makes the option of the same meaning void, or by the option.
fn family(field: Option<bool>, option: &str, options: &mut BTreeMap<String, String>) -> ApiResult<Option<bool>> {
    if field.is_some() {
        options.remove(option);
        return Ok(field);
    }
    let value = options.get(option).map(|value| parse_bool(value).ok_or(()));
    value
        .transpose()
        .map_err(|()| ApiError::bad_request(format!("driver-opt {option:?} is not a valid bool")))
}

/// Parses a truth value as Go does.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Refuses what contradicts a configuration network, and what only a swarm has.
fn check_configuration(body: &NetworkCreateBody, from: &str, options: bool, ipv4: bool, ipv6: bool) -> ApiResult<()> {
    if body.config_only && (body.ingress || body.internal || body.attachable || !body.scope.is_empty()) {
        return Err(forbidden(
            "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | \
             attachable | scope ] are not supported.",
        ));
    }
    if !from.is_empty() {
        if body.config_only {
            return Err(forbidden(
                "a configuration network cannot depend on another configuration network",
            ));
        }
        let ipam = body.ipam.clone().unwrap_or_default();
        let addresses = ipam.options.is_some_and(|options| !options.is_empty())
            || ipam.config.is_some_and(|config| !config.is_empty())
            || !matches!(ipam.driver.as_str(), "" | "default");
        if addresses || !ipv4 || ipv6 || !body.labels.is_empty() {
            return Err(forbidden(
                "user specified configurations are not supported if the network depends on a configuration network",
            ));
        }
        if options {
            return Err(forbidden(
                "network driver options are not supported if the network depends on a configuration network",
            ));
        }
    }
    if body.ingress {
        return Err(forbidden("Ingress network can only be global scope network"));
    }
    if body.scope == "swarm" {
        return Err(forbidden(
            "cannot create a swarm scoped network when swarm is not active",
        ));
    }
    Ok(())
}

/// Translates subnets with Docker's checks (`ValidateIPAM`).
fn pools(config: &[IpamConfig], ipv6: bool) -> ApiResult<Vec<PoolWish>> {
    let mut faults = Vec::new();
    let mut pools = Vec::new();
    for config in config {
        match pool(config, ipv6, &mut faults) {
            Some(pool) => pools.push(pool),
            None => faults.push(format!("invalid subnet {}: invalid CIDR block notation", config.subnet)),
        }
    }
    if faults.is_empty() {
        return Ok(pools);
    }
    Err(ApiError::bad_request(format!(
        "invalid network config:\n{}",
        join(&faults)
    )))
}

/// Translates one subnet; none if it is not even one.
fn pool(config: &IpamConfig, ipv6: bool, faults: &mut Vec<String>) -> Option<PoolWish> {
    let mut pool = PoolWish {
        subnet: Some(config.subnet.parse().ok()?),
        ..PoolWish::default()
    };
    let subnet = pool.subnet?;
    if subnet.addr().is_ipv6() && !ipv6 {
        // Docker keeps what it does not use, and does not look at it.
        pool.range = config.range.parse().ok();
        pool.gateway = config.gateway.parse().ok();
        let readable = config
            .auxiliary
            .iter()
            .filter_map(|(name, text)| Some((name.clone(), text.parse().ok()?)));
        pool.reserved = readable.collect();
        return Some(pool);
    }
    if subnet != subnet.trunc() {
        faults.push(format!("invalid subnet {subnet}: it should be {}", subnet.trunc()));
    }
    check_range(&config.range, &mut pool, faults);
    pool.gateway = address(&config.gateway, &pool).unwrap_or_else(|fault| {
        faults.push(format!("invalid gateway {}: {fault}", config.gateway));
        None
    });
    for (name, text) in &config.auxiliary {
        match address(text, &pool) {
            Ok(Some(address)) => drop(pool.reserved.insert(name.clone(), address)),
            Ok(None) => {}
            Err(fault) => faults.push(format!("invalid auxiliary address {name}: {fault}")),
        }
    }
    Some(pool)
}

fn family_fault(ipv6: bool) -> String {
    let family = if ipv6 { "IPv6" } else { "IPv4" };
    format!("parent subnet is an {family} block")
}

fn check_range(text: &str, pool: &mut PoolWish, faults: &mut Vec<String>) {
    let Some(subnet) = pool.subnet.filter(|_| !text.is_empty()) else {
        return;
    };
    pool.range = text.parse().ok();
    let Some(range) = pool.range else {
        faults.push(format!("invalid ip-range {text}: invalid CIDR block notation"));
        return;
    };
    let ipv6 = subnet.addr().is_ipv6();
    if range.addr().is_ipv6() != ipv6 {
        faults.push(format!("invalid ip-range {text}: {}", family_fault(ipv6)));
        return;
    }
    if range.prefix_len() < subnet.prefix_len() {
        faults.push(format!(
            "invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"
        ));
    }
    if range != range.trunc() {
        faults.push(format!("invalid ip-range {range}: it should be {}", range.trunc()));
    }
    if !(subnet.contains(&range.network()) || range.contains(&subnet.network())) {
        faults.push(format!(
            "invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"
        ));
    }
}

/// Parses an address in a subnet; an empty text is none.
fn address(text: &str, pool: &PoolWish) -> Result<Option<IpAddr>, String> {
    let Some(subnet) = pool.subnet.filter(|_| !text.is_empty()) else {
        return Ok(None);
    };
    let address: IpAddr = text.parse().map_err(|_| "invalid address".to_owned())?;
    let ipv6 = subnet.addr().is_ipv6();
    if address.is_ipv6() != ipv6 {
        return Err(family_fault(ipv6));
    }
    if !subnet.contains(&address) {
        return Err(format!("parent subnet {subnet} doesn't contain this address"));
    }
    Ok(Some(address))
}
