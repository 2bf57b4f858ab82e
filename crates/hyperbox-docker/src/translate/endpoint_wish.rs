// SPDX-License-Identifier: MIT
//! `EndpointsConfig` → how a container wishes to join a network, with Docker's checks (`validateEndpointSettings`). Pure.

use std::net::IpAddr;

use hyperbox_core::container::EndpointWish;
use hyperbox_core::network::{NetworkRecord, is_predefined};

use super::faults::join;
use crate::wire::config::{EndpointAddresses, EndpointRequest};

/// Option of an endpoint that holds kernel parameters of its link.
pub(crate) const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Translates a wish for the network of a name, which need not exist yet.
///
/// # Errors
/// All faults in one text, in Docker's words.
pub(crate) fn wish(
    name: &str,
    network: Option<&NetworkRecord>,
    request: &EndpointRequest,
) -> Result<EndpointWish, String> {
    let none = EndpointAddresses::default();
    let addresses = request.ipam_config.as_ref().unwrap_or(&none);
    let mac_address = match request.mac_address.as_str() {
        "" => None,
        text => Some(mac_address(text).ok_or_else(|| format!("invalid MAC address {text}"))?),
    };
    let mut faults = predefined_faults(name, network, addresses, request);
    let ipv4 = parse(&addresses.ipv4_address).and_then(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    let ipv6 = parse(&addresses.ipv6_address).and_then(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    });
    if ipv4.is_none() && !addresses.ipv4_address.is_empty() {
        faults.push(format!("invalid IPv4 address: {}", addresses.ipv4_address));
    }
    if ipv6.is_none() && !addresses.ipv6_address.is_empty() {
        faults.push(format!("invalid IPv6 address: {}", addresses.ipv6_address));
    }
    let mut link_local = Vec::new();
    for text in &addresses.link_local_addresses {
        match parse(text) {
            Some(address) => link_local.push(address),
            None => faults.push(format!("invalid link-local IP address: {text}")),
        }
    }
    faults.extend(network.into_iter().flat_map(|network| range_faults(network, addresses)));
    faults.extend(sysctl_faults(request));
    let mut links = Vec::new();
    for text in &request.links {
        match link(text) {
            Ok(link) => links.push(link),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(format!("invalid endpoint settings:\n{}", join(&faults)));
    }
    Ok(EndpointWish {
        ipv4,
        ipv6,
        link_local,
        mac_address,
        aliases: request.aliases.clone(),
        links,
        options: request.driver_options.clone().unwrap_or_default(),
        options_sent: request.driver_options.is_some(),
        gateway_priority: request.gateway_priority,
    })
}

/// Parses an address that can be somebody's; IPv4 may be written as IPv6.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok()?.to_canonical();
    (!address.is_unspecified()).then_some(address)
}

fn predefined_faults(
    name: &str,
    network: Option<&NetworkRecord>,
    addresses: &EndpointAddresses,
    request: &EndpointRequest,
) -> Vec<String> {
    let name = network.map_or(name, |network| network.name.as_str());
    let mut faults = Vec::new();
    if !(is_predefined(name) || name == "default") {
        return faults;
    }
    if !(addresses.ipv4_address.is_empty() && addresses.ipv6_address.is_empty()) {
        faults.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    if !request.aliases.is_empty() {
        faults.push("network-scoped alias is supported only for containers in user defined networks".to_owned());
    }
    faults
}

/// Only subnets that the user chose can be counted on to stay the same, so only they have addresses to be wished for.
fn range_faults(network: &NetworkRecord, addresses: &EndpointAddresses) -> Vec<String> {
    // Drivers from elsewhere manage addresses that the engine knows nothing of.
    let managed = ["bridge", "macvlan", "ipvlan", "null", "host"];
    if !managed.contains(&network.spec.driver.as_str()) {
        return Vec::new();
    }
    let fault = |text: &str, ipv6: bool| {
        let mut chosen: Vec<_> = network.spec.pools.iter().filter_map(|pool| pool.subnet).collect();
        if network.is_default() {
            // Its subnet counts as chosen, whoever chose it.
            chosen.extend(network.settings.pools.iter().map(|pool| pool.subnet));
        }
        let mut subnets = chosen
            .into_iter()
            .filter(|subnet| subnet.addr().is_ipv6() == ipv6)
            .peekable();
        if text.is_empty() {
            return None;
        }
        if subnets.peek().is_none() {
            let fault =
                "user specified IP address is supported only when connecting to networks with user configured subnets";
            return Some(fault.to_owned());
        }
        let address = text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let inside = subnets.any(|subnet| address.is_some_and(|address| subnet.contains(&address)));
        (!inside).then(|| format!("no configured subnet or ip-range contain the IP address {text}"))
    };
    let faults = [
        fault(&addresses.ipv4_address, false),
        fault(&addresses.ipv6_address, true),
    ];
    faults.into_iter().flatten().collect()
}

fn sysctl_faults(request: &EndpointRequest) -> Vec<String> {
    let Some(list) = request.driver_options.as_ref().and_then(|options| options.get(SYSCTLS)) else {
        return Vec::new();
    };
    let known = |sysctl: &&str| {
        let parts: Vec<_> = sysctl.splitn(5, '.').collect();
        matches!(parts[..], [_, family, _, name, _]
            if matches!(family, "ipv4" | "ipv6" | "mpls") && matches!(name, "IFNAME" | "ifname"))
    };
    let unknown = list.split(',').filter(|sysctl| !known(sysctl));
    unknown
        .map(|sysctl| {
            format!(
                "unrecognised network interface sysctl '{sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', \
                 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
        })
        .collect()
}

/// Parses `container[:alias]`.
///
/// # Errors
/// Docker's texts.
pub(crate) fn link(text: &str) -> Result<(String, String), String> {
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    let bare = |name: &str| name.strip_prefix('/').unwrap_or(name).to_owned();
    let parts: Vec<_> = text.split(':').collect();
    match parts[..] {
        [name] | [name, ""] => Ok((bare(name), bare(name))),
        // Inspections show `/name:/own/alias`.
        [name, alias] => Ok((bare(name), alias.rsplit('/').next().unwrap_or(alias).to_owned())),
        _ => Err(format!("bad format for links: {text}")),
    }
}

/// Parses the MAC address of an Ethernet link in the forms `02:42:…`, `02-42-…` and `0242.ac11.0002`; returns the first one.
pub(crate) fn mac_address(text: &str) -> Option<String> {
    let hexadecimal = |group: &str, length| group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let separated = |separator: char, count, length| {
        let groups: Vec<_> = text.split(separator).collect();
        (groups.len() == count && groups.iter().all(|group| hexadecimal(group, length))).then(|| groups.concat())
    };
    let digits = separated(':', 6, 2)
        .or_else(|| separated('-', 6, 2))
        .or_else(|| separated('.', 3, 4))?
        .to_ascii_lowercase();
    let octets = (0..digits.len())
        .step_by(2)
        .filter_map(|start| digits.get(start..start + 2));
    Some(octets.collect::<Vec<_>>().join(":"))
}
