// SPDX-License-Identifier: MIT
//! Which endpoints a container gets, what their links are called and which of them lead out: decided purely.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use hyperbox_types::NetworkId;

use super::NetworkRecord;
use crate::container::{ContainerSpec, EndpointWish, NetworkMode};
use crate::seam::{DefaultRoutes, Endpoint, Routes};

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub network: Arc<NetworkRecord>,
    pub wish: EndpointWish,
    pub link: String,
    pub default_routes: DefaultRoutes,
}

/// Facts about a network a container is in that decide the default route.
#[derive(Debug, Clone, Copy)]
struct Way<'a> {
    network: &'a NetworkRecord,
    priority: i64,
    ipv4: bool,
    ipv6: bool,
}

/// Returns the networks by which a container's IPv4 and IPv6 packets leave, as Docker chooses them: ways are ordered by the highest
/// priority, then by name; the first of both families takes both, whatever stands before it; without one each family has its first.
fn best<'a>(ways: impl Iterator<Item = Way<'a>>) -> (Option<&'a NetworkId>, Option<&'a NetworkId>) {
    let mut ways: Vec<_> = ways.collect();
    ways.sort_by_key(|way| (Reverse(way.priority), way.network.name.to_string()));
    let id = |way: &Way<'a>| &way.network.id;
    if let Some(both) = ways.iter().find(|way| way.ipv4 && way.ipv6) {
        return (Some(id(both)), Some(id(both)));
    }
    let ipv4 = ways.iter().find(|way| way.ipv4);
    let ipv6 = ways.iter().find(|way| way.ipv6);
    (ipv4.map(id), ipv6.map(id))
}

fn leads_out(network: &NetworkRecord, ipv6: bool) -> bool {
    let pool = network.settings.pool(ipv6);
    !network.settings.internal && pool.is_some_and(|pool| pool.gateway.is_some())
}

/// Plans the endpoints of a start: the network of the mode first, then the others by name.
pub(super) fn endpoints(spec: &ContainerSpec, networks: &BTreeMap<String, Arc<NetworkRecord>>) -> Vec<Planned> {
    let primary = match &spec.network {
        NetworkMode::Default => Some(super::record::DEFAULT_NETWORK),
        NetworkMode::Named(name) => Some(name.as_str()),
        NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => None,
    };
    let mut wishes: Vec<(&String, &EndpointWish)> = spec.networks.iter().collect();
    wishes.sort_by_key(|(name, _)| (Some(name.as_str()) != primary, name.as_str()));
    let known: Vec<_> = wishes
        .into_iter()
        .filter_map(|(name, wish)| Some((Arc::clone(networks.get(name)?), wish)))
        .collect();
    let ways = known.iter().map(|(network, wish)| Way {
        network,
        priority: wish.gateway_priority,
        ipv4: leads_out(network, false),
        ipv6: leads_out(network, true),
    });
    let (ipv4, ipv6) = best(ways);
    let mut taken = Vec::new();
    let mut planned = Vec::with_capacity(known.len());
    for (network, wish) in &known {
        let link = free_link(&network.settings.options, &wish.options, &taken);
        taken.push(link.clone());
        planned.push(Planned {
            default_routes: DefaultRoutes {
                ipv4: ipv4 == Some(&network.id),
                ipv6: ipv6 == Some(&network.id),
            },
            network: Arc::clone(network),
            wish: (*wish).clone(),
            link,
        });
    }
    planned
}

/// Returns the name for a link in the container: the wished one, else the first free number after the network's prefix.
pub(super) fn free_link(
    network: &BTreeMap<String, String>,
    endpoint: &BTreeMap<String, String>,
    taken: &[String],
) -> String {
    let wished = endpoint
        .get("com.docker.network.endpoint.ifname")
        .filter(|name| !name.is_empty());
    if let Some(name) = wished {
        return name.clone();
    }
    let prefix = network
        .get("com.docker.network.container_iface_prefix")
        .or_else(|| network.get("com.docker.network.container_interface_prefix"));
    let prefix = prefix.map_or("eth", String::as_str);
    let mut number = 0;
    loop {
        let name = format!("{prefix}{number}");
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}

/// An endpoint that exists, with what decides whether it leads out.
#[derive(Debug)]
pub(super) struct Existing<'a> {
    pub endpoint: &'a Endpoint,
    pub network: Arc<NetworkRecord>,
    pub priority: i64,
}

/// Returns the default routes of a container with these endpoints.
pub(super) fn routes(endpoints: &[Existing<'_>]) -> Routes {
    let ways = endpoints.iter().map(|existing| Way {
        network: &existing.network,
        priority: existing.priority,
        ipv4: existing.endpoint.gateway_ipv4.is_some(),
        ipv6: existing.endpoint.gateway_ipv6.is_some(),
    });
    let (ipv4, ipv6) = best(ways);
    let endpoint = |id: Option<&NetworkId>| {
        let found = endpoints.iter().find(|existing| Some(&existing.network.id) == id)?;
        Some(found.endpoint)
    };
    Routes {
        ipv4: endpoint(ipv4).and_then(|endpoint| Some((endpoint.gateway_ipv4?, endpoint.link.clone()))),
        ipv6: endpoint(ipv6).and_then(|endpoint| Some((endpoint.gateway_ipv6?, endpoint.link.clone()))),
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::NetworkName;

    use super::super::NetworkSpec;
    use super::*;
    use crate::seam::{AddressPool, NetworkSettings};
    use crate::time::Timestamp;

    fn network(name: &str, number: u8, internal: bool) -> (String, Arc<NetworkRecord>) {
        let id = NetworkId::from_bytes([number; 32]);
        let pool = AddressPool {
            subnet: format!("10.{number}.0.0/16").parse().expect("subnet"),
            range: None,
            gateway: Some([10, number, 0, 1].into()),
            reserved: BTreeMap::new(),
        };
        let record = NetworkRecord {
            id: id.clone(),
            name: NetworkName::parse(name).expect(name),
            created_at: Timestamp(0),
            spec: NetworkSpec::default(),
            settings: NetworkSettings {
                id,
                name: name.to_owned(),
                link: format!("br{number}"),
                pools: vec![pool],
                mtu: 1500,
                internal,
                options: BTreeMap::new(),
            },
        };
        (name.to_owned(), Arc::new(record))
    }

    fn plan(mode: NetworkMode, wishes: &[(&str, i64)]) -> Vec<(String, String, bool)> {
        let networks = [
            network("bridge", 1, false),
            network("front", 2, false),
            network("inside", 3, true),
        ];
        let wish = |priority| EndpointWish {
            gateway_priority: priority,
            ..EndpointWish::default()
        };
        let spec = ContainerSpec {
            network: mode,
            networks: wishes
                .iter()
                .map(|(name, priority)| ((*name).to_owned(), wish(*priority)))
                .collect(),
            ..ContainerSpec::default()
        };
        endpoints(&spec, &networks.into_iter().collect())
            .into_iter()
            .map(|planned| {
                (
                    planned.network.name.to_string(),
                    planned.link,
                    planned.default_routes.ipv4,
                )
            })
            .collect()
    }

    #[test]
    fn the_network_of_the_mode_is_first_and_one_leads_out() {
        let named = |name: &str| NetworkMode::Named(name.to_owned());
        let entry = |name: &str, link: &str, out| (name.to_owned(), link.to_owned(), out);
        for (mode, wishes, expected) in [
            (
                NetworkMode::Default,
                vec![("bridge", 0)],
                vec![entry("bridge", "eth0", true)],
            ),
            (
                named("front"),
                vec![("bridge", 0), ("front", 0)],
                vec![entry("front", "eth0", false), entry("bridge", "eth1", true)],
            ),
            (
                named("front"),
                vec![("bridge", 0), ("front", 5)],
                vec![entry("front", "eth0", true), entry("bridge", "eth1", false)],
            ),
            (
                named("inside"),
                vec![("inside", 9), ("front", 0)],
                vec![entry("inside", "eth0", false), entry("front", "eth1", true)],
            ),
            (named("front"), vec![], vec![]),
        ] {
            assert_eq!(plan(mode.clone(), &wishes), expected, "{mode:?} {wishes:?}");
        }
    }

    #[test]
    fn the_first_way_of_both_families_takes_both() {
        let networks = [("four", 1), ("six", 2), ("both", 3), ("late", 4)];
        let networks = networks.map(|(name, number)| network(name, number, false).1);
        let [four, six, both, late] = &networks;
        let way = |network, priority, ipv4, ipv6| Way {
            network,
            priority,
            ipv4,
            ipv6,
        };
        let (of_four, of_six) = (way(four, 0, true, false), way(six, 7, false, true));
        for (ways, expected) in [
            (vec![], (None, None)),
            (vec![of_four], (Some("four"), None)),
            (vec![of_four, of_six], (Some("four"), Some("six"))),
            (
                vec![of_four, of_six, way(both, -3, true, true)],
                (Some("both"), Some("both")),
            ),
            (
                vec![way(both, 0, true, true), way(late, 7, true, true)],
                (Some("late"), Some("late")),
            ),
            (
                vec![way(late, 0, true, true), way(both, 0, true, true)],
                (Some("both"), Some("both")),
            ),
        ] {
            let name = |id: Option<&NetworkId>| {
                let found = networks.iter().find(|network| Some(&network.id) == id);
                found.map(|network| network.name.as_str())
            };
            let (ipv4, ipv6) = best(ways.clone().into_iter());
            assert_eq!((name(ipv4), name(ipv6)), expected, "{ways:?}");
        }
    }

    #[test]
    fn links_are_numbered_without_gaps() {
        let none = BTreeMap::new();
        let taken = ["eth0".to_owned(), "eth2".to_owned()];
        assert_eq!(free_link(&none, &none, &taken), "eth1");
        let prefix = BTreeMap::from([("com.docker.network.container_iface_prefix".to_owned(), "net".to_owned())]);
        assert_eq!(free_link(&prefix, &none, &taken), "net0");
        let name = BTreeMap::from([("com.docker.network.endpoint.ifname".to_owned(), "lan".to_owned())]);
        assert_eq!(free_link(&prefix, &name, &taken), "lan");
    }
}
