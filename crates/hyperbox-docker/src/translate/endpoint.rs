// SPDX-License-Identifier: MIT
//! A container's presence in its networks as clients see it: where it runs what it has, otherwise what it wishes.

use std::collections::BTreeMap;

use hyperbox_core::container::{ContainerRecord, EndpointWish};
use hyperbox_core::network::is_predefined;
use hyperbox_core::seam::Endpoint;
use hyperbox_types::{ContainerId, NetworkId};

use super::document::DoorDocument;
use super::network::{KnownNetworks, text};
use crate::wire::config::EndpointAddresses;
use crate::wire::network::EndpointSettings;

/// An endpoint has no id of its own in the engine; clients get one that is stable and unique: that of its container in its network.
pub(super) fn endpoint_id(container: &ContainerId, network: &NetworkId) -> String {
    let pairs = container.as_str().bytes().zip(network.as_str().bytes());
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
    pairs
        .filter_map(|(one, other)| char::from_digit(digit(one) ^ digit(other), 16))
        .collect()
}

/// Shows the networks of a container, by name.
pub(crate) fn endpoints(
    record: &ContainerRecord,
    document: &DoorDocument,
    known: &KnownNetworks,
) -> BTreeMap<String, EndpointSettings> {
    let wishes = record.spec.networks.iter().filter(|_| !document.network_disabled);
    wishes
        .map(|(name, wish)| (name.clone(), settings(record, name, wish, known)))
        .collect()
}

/// Shows the networks of a container as a list does, which tells less of the wishes.
pub(crate) fn listed_endpoints(
    record: &ContainerRecord,
    document: &DoorDocument,
    known: &KnownNetworks,
) -> BTreeMap<String, EndpointSettings> {
    let mut networks = endpoints(record, document, known);
    for settings in networks.values_mut() {
        settings.links = None;
        settings.aliases = None;
        settings.driver_options = None;
        settings.dns_names = None;
        if let Some(addresses) = &mut settings.ipam_config {
            addresses.link_local_addresses.clear();
        }
    }
    networks
}

/// Adds the names that a container has in networks that users made to its aliases, where old clients look for them.
pub(crate) fn add_automatic_aliases(networks: &mut BTreeMap<String, EndpointSettings>, record: &ContainerRecord) {
    let short = record.id.short().to_owned();
    let hostname = match record.spec.hostname.as_str() {
        "" => short.clone(),
        hostname => hostname.to_owned(),
    };
    for (_, settings) in networks.iter_mut().filter(|(name, _)| !is_predefined(name)) {
        let aliases = settings.aliases.get_or_insert_default();
        for name in [&short, &hostname] {
            if !aliases.contains(name) {
                aliases.push(name.clone());
            }
        }
    }
}

fn settings(record: &ContainerRecord, name: &str, wish: &EndpointWish, known: &KnownNetworks) -> EndpointSettings {
    let started = record.state.started_at.is_some();
    let network = known.named(name);
    let endpoint = network.and_then(|network| {
        let mut endpoints = record.state.endpoints.iter();
        endpoints.find(|endpoint| endpoint.network == network.id)
    });
    let mut settings = EndpointSettings {
        ipam_config: addresses(wish),
        links: list(wish.links.iter().map(|(target, alias)| format!("{target}:{alias}"))),
        aliases: list(wish.aliases.iter().cloned()),
        driver_options: (wish.options_sent || !wish.options.is_empty()).then(|| wish.options.clone()),
        gateway_priority: wish.gateway_priority,
        // Docker learns the id of a network when it first joins it, and keeps it from then on.
        network_id: text(network.map(|network| &network.id).filter(|_| started)),
        dns_names: (started && !is_predefined(name)).then(|| dns_names(record, wish)),
        ..EndpointSettings::default()
    };
    match endpoint {
        Some(endpoint) => fill(&mut settings, record, endpoint),
        None if started => {}
        None => settings.mac_address = wish.mac_address.clone().unwrap_or_default(),
    }
    settings
}

fn fill(settings: &mut EndpointSettings, record: &ContainerRecord, endpoint: &Endpoint) {
    settings.mac_address.clone_from(&endpoint.mac_address);
    settings.endpoint_id = endpoint_id(&record.id, &endpoint.network);
    settings.gateway = text(endpoint.gateway_ipv4);
    settings.ip_address = text(endpoint.ipv4.map(|net| net.addr()));
    settings.ip_prefix_len = endpoint.ipv4.map_or(0, |net| net.prefix_len());
    settings.ipv6_gateway = text(endpoint.gateway_ipv6);
    settings.global_ipv6_address = text(endpoint.ipv6.map(|net| net.addr()));
    settings.global_ipv6_prefix_len = endpoint.ipv6.map_or(0, |net| net.prefix_len());
}

fn addresses(wish: &EndpointWish) -> Option<EndpointAddresses> {
    let addresses = EndpointAddresses {
        ipv4_address: text(wish.ipv4),
        ipv6_address: text(wish.ipv6),
        link_local_addresses: wish.link_local.iter().map(ToString::to_string).collect(),
    };
    (addresses != EndpointAddresses::default()).then_some(addresses)
}

/// Shows the links of the default bridge, with the names that their targets have now.
pub(crate) fn links(record: &ContainerRecord, name_of: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let own = &record.name;
    let links = record.spec.links.iter();
    links
        .filter_map(|(target, alias)| Some(format!("/{}:/{own}/{alias}", name_of(target)?)))
        .collect()
}

fn list(texts: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let texts: Vec<_> = texts.collect();
    (!texts.is_empty()).then_some(texts)
}

/// The names of a container in a network that users made, each once.
fn dns_names(record: &ContainerRecord, wish: &EndpointWish) -> Vec<String> {
    let mut names = vec![record.name.to_string()];
    let short = record.id.short().to_owned();
    for name in wish.aliases.iter().chain([&short, &record.spec.hostname]) {
        if !name.is_empty() && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
