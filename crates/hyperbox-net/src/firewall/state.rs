// SPDX-License-Identifier: MIT
//! What the table is to contain: networks and published ports, in memory. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use hyperbox_types::{ContainerId, Protocol};

use super::element::Element;
use super::network::NetworkRules;

/// A published port that the kernel is to translate, or one that is reached by the container's own address only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortRule {
    /// Name of the bridge behind which the container is.
    pub(crate) bridge: String,
    pub(crate) protocol: Protocol,
    /// Address and port of the host, of the target's family; unset where nothing is translated.
    pub(crate) host: Option<SocketAddr>,
    /// Address and port of the container.
    pub(crate) target: SocketAddr,
    /// Whether the container's own address may be used too, as far as the network lets it.
    pub(crate) direct: bool,
}

impl PortRule {
    /// Returns whether somebody can reach it by an IPv4 loopback address.
    fn is_on_loopback(&self) -> bool {
        self.host
            .is_some_and(|host| host.is_ipv4() && (host.ip().is_loopback() || host.ip().is_unspecified()))
    }
}

/// Networks and ports of an instance.
#[derive(Debug, Default)]
pub(super) struct State {
    networks: BTreeMap<String, NetworkRules>,
    ports: BTreeMap<ContainerId, Vec<PortRule>>,
}

impl State {
    pub(super) fn insert_network(&mut self, network: NetworkRules) {
        self.networks.insert(network.bridge.clone(), network);
    }

    pub(super) fn remove_network(&mut self, bridge: &str) {
        self.networks.remove(bridge);
    }

    pub(super) fn replace_networks(&mut self, networks: Vec<NetworkRules>) {
        self.networks.clear();
        networks.into_iter().for_each(|network| self.insert_network(network));
    }

    /// Adds ports of a container and returns their elements.
    pub(super) fn insert_ports(&mut self, container: &ContainerId, ports: Vec<PortRule>) -> Vec<Element> {
        let elements = port_elements(&ports);
        self.ports.entry(container.clone()).or_default().extend(ports);
        elements
    }

    /// Removes the ports of a container and returns their elements.
    pub(super) fn remove_ports(&mut self, container: &ContainerId) -> Vec<Element> {
        let ports = self.ports.remove(container).unwrap_or_default();
        port_elements(&ports)
    }

    pub(super) fn replace_ports(&mut self, ports: BTreeMap<ContainerId, Vec<PortRule>>) {
        self.ports = ports;
    }

    /// Returns whether nothing needs the table.
    pub(super) fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.ports.is_empty()
    }

    pub(super) fn bridges(&self) -> impl Iterator<Item = &str> {
        self.networks.keys().map(String::as_str)
    }

    /// Returns the bridges behind which a port is published on this machine's loopback.
    pub(super) fn loopback_bridges(&self) -> BTreeSet<&str> {
        let ports = self.ports.values().flatten();
        let reachable = ports.filter(|port| port.is_on_loopback());
        reachable.map(|port| port.bridge.as_str()).collect()
    }

    /// Returns everything that is to be in the sets.
    pub(super) fn elements(&self) -> BTreeSet<Element> {
        let networks = self.networks.values().flat_map(NetworkRules::elements);
        let ports = self.ports.values().flat_map(|ports| port_elements(ports));
        networks.chain(ports).collect()
    }
}

fn port_elements(ports: &[PortRule]) -> Vec<Element> {
    let elements = ports.iter().flat_map(|port| {
        let PortRule { protocol, target, .. } = *port;
        let translated = port.host.map(|host| Element::of_port(protocol, host, target));
        // What is not translated is served by the socket that holds the port; SCTP has none.
        let host = port.host.filter(|_| protocol != Protocol::Sctp);
        let own = host.map(|host| Element::of_own(protocol, host, target.ip()));
        let direct = port.direct.then(|| Element::of_direct(protocol, target));
        [translated, own, direct].into_iter().flatten()
    });
    // One port of a container may be published under several of the host.
    elements.collect::<BTreeSet<_>>().into_iter().collect()
}
