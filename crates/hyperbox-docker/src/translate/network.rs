// SPDX-License-Identifier: MIT
//! Networks as clients see them.

use std::sync::Arc;

use hyperbox_core::container::ContainerRecord;
use hyperbox_core::network::NetworkRecord;
use hyperbox_core::seam::{AddressPool, PoolWish};
use hyperbox_types::NetworkId;

use super::endpoint::endpoint_id;
use crate::wire::network::{ConfigReference, Ipam, IpamConfig, Network, NetworkContainer};

/// The networks of the engine, to name what records refer to by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownNetworks(pub Vec<Arc<NetworkRecord>>);

impl KnownNetworks {
    /// Returns the network of an id.
    pub(crate) fn by_id(&self, id: &NetworkId) -> Option<&NetworkRecord> {
        self.0.iter().find(|record| record.id == *id).map(AsRef::as_ref)
    }

    /// Returns the network of a name or an id.
    pub(crate) fn named(&self, name: &str) -> Option<&NetworkRecord> {
        let mut records = self.0.iter();
        let found = records.find(|record| record.name.as_str() == name || record.id.as_str() == name);
        found.map(AsRef::as_ref)
    }
}

/// Shows a network; `containers` are those whose presence is told (a list tells none).
pub(crate) fn network(record: &NetworkRecord, containers: &[Arc<ContainerRecord>]) -> Network {
    let spec = &record.spec;
    let mut options = spec.options.clone();
    if record.is_default() {
        // Docker chooses these for its own bridge as if a user had.
        for (option, value) in [
            ("com.docker.network.bridge.name", record.settings.link.clone()),
            ("com.docker.network.driver.mtu", record.settings.mtu.to_string()),
        ] {
            options.entry(option.to_owned()).or_insert(value);
        }
    }
    let members = containers.iter().filter_map(|container| member(record, container));
    Network {
        name: record.name.to_string(),
        id: record.id.to_string(),
        created: record.created_at.to_string(),
        scope: "local",
        driver: spec.driver.clone(),
        enable_ipv4: spec.ipv4,
        enable_ipv6: spec.ipv6,
        ipam: ipam(record),
        internal: spec.internal,
        attachable: spec.attachable,
        ingress: false,
        config_from: ConfigReference {
            network: spec.config_from.clone(),
        },
        config_only: spec.config_only,
        containers: members.collect(),
        options,
        labels: spec.labels.clone(),
    }
}

fn member(record: &NetworkRecord, container: &ContainerRecord) -> Option<(String, NetworkContainer)> {
    let mut endpoints = container.state.endpoints.iter();
    let endpoint = endpoints.find(|endpoint| endpoint.network == record.id)?;
    let member = NetworkContainer {
        name: container.name.to_string(),
        endpoint_id: endpoint_id(&container.id, &record.id),
        mac_address: endpoint.mac_address.clone(),
        ipv4_address: text(endpoint.ipv4),
        ipv6_address: text(endpoint.ipv6),
    };
    Some((container.id.to_string(), member))
}

/// Returns a value as text; empty for none.
pub(super) fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Shows the wished subnets as they were wished; a family without one shows what was chosen for it.
fn ipam(record: &NetworkRecord) -> Ipam {
    let spec = &record.spec;
    let mut config = Vec::new();
    let mut chosen = Vec::new();
    for ipv6 in [false, true] {
        let wishes = spec.pools.iter().filter(|pool| {
            let subnet = pool.subnet.filter(|subnet| subnet.addr().is_ipv6() == ipv6);
            subnet.is_some() && !record.is_default()
        });
        let shown = config.len();
        config.extend(wishes.map(wished));
        if config.len() == shown {
            let pools = record.settings.pools.iter();
            chosen.extend(pools.filter(|pool| pool.subnet.addr().is_ipv6() == ipv6).map(given));
        }
    }
    config.append(&mut chosen);
    Ipam {
        driver: match spec.address_driver.as_str() {
            "" => "default".to_owned(),
            driver => driver.to_owned(),
        },
        options: spec.address_options_sent.then(|| spec.address_options.clone()),
        config: (!config.is_empty()).then_some(config),
    }
}

fn wished(pool: &PoolWish) -> IpamConfig {
    let reserved = pool.reserved.iter();
    IpamConfig {
        subnet: text(pool.subnet),
        range: text(pool.range),
        gateway: text(pool.gateway),
        auxiliary: reserved
            .map(|(name, address)| (name.clone(), address.to_string()))
            .collect(),
    }
}

fn given(pool: &AddressPool) -> IpamConfig {
    IpamConfig {
        subnet: pool.subnet.to_string(),
        gateway: text(pool.gateway),
        ..IpamConfig::default()
    }
}
