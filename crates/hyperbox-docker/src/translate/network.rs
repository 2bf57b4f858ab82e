// SPDX-License-Identifier: MIT
//! Networks and endpoints as clients see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyperbox_core::container::{ContainerRecord, NetworkMode};
use hyperbox_core::network::NetworkRecord;
use hyperbox_core::seam::Endpoint;
use hyperbox_types::ContainerId;
use serde_json::json;

use super::document::DoorDocument;
use crate::wire::network::{EndpointSettings, Ipam, IpamConfig, Network, NetworkContainer};

/// The networks of the engine, to name what records refer to by id.
#[derive(Debug)]
pub(crate) struct KnownNetworks(pub Vec<Arc<NetworkRecord>>);

impl KnownNetworks {
    fn name_of(&self, endpoint: &Endpoint) -> Option<&NetworkRecord> {
        self.0
            .iter()
            .find(|record| record.id == endpoint.network)
            .map(AsRef::as_ref)
    }

    fn named(&self, name: &str) -> Option<&NetworkRecord> {
        self.0
            .iter()
            .find(|record| record.name.as_str() == name || record.id.as_str() == name)
            .map(AsRef::as_ref)
    }
}

/// An endpoint has no id of its own in the engine; clients get one that is stable and unique: that of its container in its network.
fn endpoint_id(container: &ContainerId, endpoint: &Endpoint) -> String {
    let pairs = container.as_str().bytes().zip(endpoint.network.as_str().bytes());
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
    pairs
        .filter_map(|(one, other)| char::from_digit(digit(one) ^ digit(other), 16))
        .collect()
}

/// Shows the networks of a container; one that does not run shows its wish.
pub(crate) fn endpoints(
    record: &ContainerRecord,
    document: &DoorDocument,
    known: &KnownNetworks,
) -> BTreeMap<String, EndpointSettings> {
    let mut networks = BTreeMap::new();
    for endpoint in &record.state.endpoints {
        let name = known.name_of(endpoint).map_or("bridge", |record| record.name.as_str());
        networks.insert(name.to_owned(), running(record, endpoint));
    }
    if networks.is_empty() {
        let name = match &record.spec.network {
            NetworkMode::Default => "bridge",
            NetworkMode::Host => "host",
            NetworkMode::None => "none",
            NetworkMode::Named(name) => name,
            NetworkMode::Container(_) => return networks,
        };
        // Host and none are joined for good at creation; a bridge only while the container runs.
        let joined = known
            .named(name)
            .filter(|network| network.settings.pools.is_empty() && record.state.started_at.is_some());
        let network_id = joined.map(|network| network.id.to_string()).unwrap_or_default();
        networks.insert(
            name.to_owned(),
            EndpointSettings {
                network_id,
                ..EndpointSettings::default()
            },
        );
    }
    for (name, settings) in &mut networks {
        let wish = document
            .endpoints
            .get(name)
            .or_else(|| document.endpoints.get("default"));
        if let Some(wish) = wish {
            let list = |texts: &Vec<String>| (!texts.is_empty()).then(|| texts.clone());
            settings.ipam_config.clone_from(&wish.addresses);
            settings.aliases = list(&wish.aliases);
            settings.links = list(&wish.links);
        }
    }
    networks
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn running(record: &ContainerRecord, endpoint: &Endpoint) -> EndpointSettings {
    EndpointSettings {
        mac_address: endpoint.mac_address.clone(),
        network_id: endpoint.network.to_string(),
        endpoint_id: endpoint_id(&record.id, endpoint),
        gateway: text(endpoint.gateway_ipv4),
        ip_address: text(endpoint.ipv4.map(|net| net.addr())),
        ip_prefix_len: endpoint.ipv4.map_or(0, |net| net.prefix_len()),
        ..EndpointSettings::default()
    }
}

/// Shows a network; `containers` are those whose presence is told (a list tells none).
pub(crate) fn network(record: &NetworkRecord, containers: &[Arc<ContainerRecord>]) -> Network {
    let config = record
        .settings
        .pools
        .iter()
        .map(|pool| IpamConfig {
            subnet: pool.subnet.to_string(),
            gateway: text(pool.gateway),
        })
        .collect();
    let members = containers.iter().filter_map(|container| {
        let endpoint = container
            .state
            .endpoints
            .iter()
            .find(|endpoint| endpoint.network == record.id)?;
        let member = NetworkContainer {
            name: container.name.to_string(),
            endpoint_id: endpoint_id(&container.id, endpoint),
            mac_address: endpoint.mac_address.clone(),
            ipv4_address: text(endpoint.ipv4),
            ipv6_address: String::new(),
        };
        Some((container.id.to_string(), member))
    });
    Network {
        name: record.name.to_string(),
        id: record.id.to_string(),
        created: record.created_at.to_string(),
        scope: "local",
        driver: record.spec.driver.clone(),
        enable_ipv4: true,
        enable_ipv6: false,
        ipam: Ipam {
            driver: "default",
            options: None,
            config: Some(config),
        },
        internal: false,
        attachable: false,
        ingress: false,
        config_from: json!({ "Network": "" }),
        config_only: false,
        containers: members.collect(),
        options: record.spec.options.clone(),
        labels: record.spec.labels.clone(),
    }
}
