// SPDX-License-Identifier: MIT
//! Networks: how they are made, and a container's part in them.

use serde_json::{Map, Value, json};

use super::{MissingContainer, Surroundings, resource_labels, shared};
use crate::model::{Model, Network, Service, ServiceNetwork};
use crate::plan::container_name;

/// The body that makes a network. `subnet` is what the project was given, for a network that says none itself.
///
/// `None` when the model has no such network.
pub fn network_body(model: &Model, key: &str, subnet: Option<&str>) -> Option<Value> {
    let network = model.networks.get(key)?;
    let mut labels = network.labels.clone();
    labels.extend(resource_labels(
        &model.name,
        "network",
        key,
        &crate::plan::network_hash(network),
    ));
    let mut body = json!({
        "Name": network.name,
        "Options": network.driver_opts,
        "Labels": labels,
        "Internal": network.internal,
        "Attachable": network.attachable,
        "IPAM": ipam(network, subnet),
    });
    if let Some(driver) = &network.driver {
        body["Driver"] = json!(driver);
    }
    for (key, value) in [("EnableIPv4", network.enable_ipv4), ("EnableIPv6", network.enable_ipv6)] {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    Some(body)
}

fn ipam(network: &Network, subnet: Option<&str>) -> Value {
    let mut pools: Vec<Value> = network
        .ipam
        .config
        .iter()
        .map(|pool| {
            let mut value = Map::new();
            for (key, text) in [
                ("Subnet", &pool.subnet),
                ("IPRange", &pool.ip_range),
                ("Gateway", &pool.gateway),
            ] {
                if let Some(text) = text {
                    value.insert(key.to_owned(), json!(text));
                }
            }
            if !pool.aux_addresses.is_empty() {
                value.insert("AuxiliaryAddresses".to_owned(), json!(pool.aux_addresses));
            }
            Value::Object(value)
        })
        .collect();
    let has_driver = network.ipam.driver.as_deref().is_some_and(|driver| driver != "default");
    if pools.is_empty() && !has_driver {
        pools.extend(subnet.map(|subnet| json!({ "Subnet": subnet })));
    }
    let mut value = json!({ "Config": pools, "Options": network.ipam.options });
    if let Some(driver) = &network.ipam.driver {
        value["Driver"] = json!(driver);
    }
    value
}

/// What `HostConfig.NetworkMode` says: the mode, or the first network's name.
pub(crate) fn mode(model: &Model, service: &Service, surroundings: &Surroundings) -> Result<String, MissingContainer> {
    match &service.network_mode {
        Some(mode) => shared::namespace("network namespace", mode, surroundings),
        None => Ok(ordered(service)
            .first()
            .map_or_else(|| "none".to_owned(), |(key, _)| engine_name(model, key))),
    }
}

/// A service's networks, those of higher priority first, then by name.
fn ordered(service: &Service) -> Vec<(&String, ServiceNetwork)> {
    let mut networks: Vec<_> = service
        .networks
        .iter()
        .map(|(key, said)| (key, said.clone().unwrap_or_default()))
        .collect();
    networks.sort_by_key(|(_, said)| std::cmp::Reverse(said.priority));
    networks
}

fn engine_name(model: &Model, key: &str) -> String {
    model
        .networks
        .get(key)
        .map_or_else(|| key.to_owned(), |network| network.name.clone())
}

/// `NetworkingConfig`: all of the service's networks, in each the container's name and the service's.
pub(crate) fn endpoints(
    model: &Model,
    name: &str,
    service: &Service,
    number: u32,
    surroundings: &Surroundings,
) -> Option<Value> {
    if service.network_mode.is_some() || service.networks.is_empty() {
        return None;
    }
    let links = links(service, surroundings);
    let container = container_name(&model.name, name, service, number);
    let endpoints: Map<String, Value> = ordered(service)
        .into_iter()
        .map(|(key, said)| {
            let names = [container.as_str(), name];
            (engine_name(model, key), endpoint(names, service, said, &links))
        })
        .collect();
    Some(json!({ "EndpointsConfig": endpoints }))
}

fn endpoint(names: [&str; 2], service: &Service, said: ServiceNetwork, links: &[String]) -> Value {
    let mut aliases: Vec<String> = names.map(str::to_owned).into();
    aliases.extend(
        said.aliases
            .into_iter()
            .filter(|alias| !names.contains(&alias.as_str())),
    );
    let mut value = json!({ "Aliases": aliases, "Links": links, "GwPriority": said.gw_priority });
    let mut options = said.driver_opts;
    if let Some(interface) = said.interface_name {
        options.insert("com.docker.network.endpoint.ifname".to_owned(), interface);
    }
    if !options.is_empty() {
        value["DriverOpts"] = json!(options);
    }
    if let Some(address) = said.mac_address.or_else(|| service.mac_address.clone()) {
        value["MacAddress"] = json!(address);
    }
    if said.ipv4_address.is_some() || said.ipv6_address.is_some() || !said.link_local_ips.is_empty() {
        let mut addresses = json!({ "LinkLocalIPs": said.link_local_ips });
        for (key, address) in [("IPv4Address", said.ipv4_address), ("IPv6Address", said.ipv6_address)] {
            if let Some(address) = address {
                addresses[key] = json!(address);
            }
        }
        value["IPAMConfig"] = addresses;
    }
    value
}

/// `container:alias` for each link: under the alias, or the service's and the container's own name.
fn links(service: &Service, surroundings: &Surroundings) -> Vec<String> {
    let mut links = Vec::new();
    for link in &service.links {
        let (target, alias) = link.split_once(':').unwrap_or((link, link));
        for container in surroundings.containers.get(target).into_iter().flatten() {
            links.push(format!("{container}:{alias}"));
        }
    }
    for link in &service.external_links {
        let (container, alias) = link.split_once(':').unwrap_or((link, link));
        links.push(format!("{container}:{alias}"));
    }
    links
}
