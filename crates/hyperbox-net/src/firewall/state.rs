// SPDX-License-Identifier: MIT
//! What the table is to contain: networks and published ports, in memory. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyperbox_types::{ContainerId, Protocol};

use super::element::Element;
use super::network::NetworkRules;
use super::packet::Ip;
use super::scheme::LOOPBACK6;

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
    /// Returns whether somebody can reach it by a loopback address of that family.
    pub(super) fn is_on_loopback(&self, ip: Ip) -> bool {
        self.host
            .is_some_and(|host| Ip::of(host.ip()) == ip && (host.ip().is_loopback() || host.ip().is_unspecified()))
    }

    /// `is_known` says whether the bridge is one of our networks', `is_open` whether it has a way back to `::1`.
    fn elements(&self, is_known: bool, is_open: bool) -> impl Iterator<Item = Element> {
        let Self { protocol, target, .. } = *self;
        let translated = self.host.map(|host| Element::of_port(protocol, host, target));
        let loopback = self.host.filter(|_| is_open && self.is_on_loopback(Ip::V6));
        let loopback = loopback.map(|host| Element::of_loopback(protocol, host));
        // What is not translated is served by the socket that holds the port; SCTP has none.
        let host = self.host.filter(|_| protocol != Protocol::Sctp);
        let own = host.map(|host| Element::of_own(protocol, host, target.ip()));
        // Behind links of others (CNI) nothing leads answers to 127.0.0.1 back: the socket serves whoever asks from there.
        let loopback4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let strange = host.filter(|_| !is_known && self.is_on_loopback(Ip::V4));
        let strange = strange.map(|host| Element::of_own(protocol, SocketAddr::new(loopback4, host.port()), loopback4));
        let direct = self.direct.then(|| Element::of_direct(protocol, target));
        [translated, loopback, own, strange, direct].into_iter().flatten()
    }
}

/// Networks and ports of an instance.
#[derive(Debug, Default)]
pub(super) struct State {
    networks: BTreeMap<String, NetworkRules>,
    ports: BTreeMap<ContainerId, Vec<PortRule>>,
    /// The bridges behind which the kernel reaches containers from `::1`.
    open: BTreeSet<String>,
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
        let elements = self.port_elements(&ports);
        self.ports.entry(container.clone()).or_default().extend(ports);
        elements
    }

    /// Removes the ports of a container and returns their elements.
    pub(super) fn remove_ports(&mut self, container: &ContainerId) -> Vec<Element> {
        let ports = self.ports.remove(container).unwrap_or_default();
        self.port_elements(&ports)
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

    /// Returns the bridges behind which a port is published on this machine's loopback of that family.
    pub(super) fn loopback_bridges(&self, ip: Ip) -> BTreeSet<&str> {
        let ports = self.ports.values().flatten();
        let reachable = ports.filter(|port| port.is_on_loopback(ip));
        reachable.map(|port| port.bridge.as_str()).collect()
    }

    /// Returns the bridges behind which the kernel reaches containers from `::1`.
    pub(super) fn open(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(String::as_str)
    }

    /// Returns the bridges of ports that are to be reached from `::1`, and that are not among [`State::open`].
    pub(super) fn closed_bridges(&self, ports: &[PortRule]) -> BTreeSet<String> {
        let reachable = ports.iter().filter(|port| port.is_on_loopback(Ip::V6));
        let closed = reachable.filter(|port| !self.open.contains(&port.bridge));
        closed.map(|port| port.bridge.clone()).collect()
    }

    /// Notes behind which bridges the kernel reaches containers from `::1`; returns the elements that come by it, and those that go.
    pub(super) fn set_open(&mut self, bridges: BTreeSet<String>) -> (Vec<Element>, Vec<Element>) {
        let before: BTreeSet<_> = self.loopback_elements().collect();
        self.open = bridges;
        let after: BTreeSet<_> = self.loopback_elements().collect();
        let only = |one: &BTreeSet<Element>, other| one.difference(other).cloned().collect();
        (only(&after, &before), only(&before, &after))
    }

    /// Returns everything that is to be in the sets.
    pub(super) fn elements(&self) -> BTreeSet<Element> {
        let networks = self.networks.values().flat_map(NetworkRules::elements);
        let ports = self.ports.values().flat_map(|ports| self.port_elements(ports));
        networks.chain(ports).collect()
    }

    fn loopback_elements(&self) -> impl Iterator<Item = Element> {
        let elements = self.ports.values().flat_map(|ports| self.port_elements(ports));
        elements.filter(|element| element.set == LOOPBACK6)
    }

    fn port_elements(&self, ports: &[PortRule]) -> Vec<Element> {
        let elements = ports.iter().flat_map(|port| {
            port.elements(
                self.networks.contains_key(&port.bridge),
                self.open.contains(&port.bridge),
            )
        });
        // One port of a container may be published under several of the host.
        elements.collect::<BTreeSet<_>>().into_iter().collect()
    }
}
