// SPDX-License-Identifier: MIT
//! A network as the firewall sees it: which packets may pass its bridge, and under which address they leave.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hyperbox_core::seam::{NetworkError, NetworkSettings};

use crate::options::{BridgeOptions, GatewayMode};

use super::element::Element;
use super::packet::Ip;
use super::scheme::{APART, BRIDGES, INTERNAL, SOURCE4, SOURCE6, TRUSTED, WITHIN};

/// A network's place in the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkRules {
    /// Name of the bridge.
    pub(crate) bridge: String,
    /// How containers are reached by IPv4.
    pub(crate) mode_ipv4: GatewayMode,
    /// How containers are reached by IPv6.
    pub(crate) mode_ipv6: GatewayMode,
    /// Whether packets leave with the machine's address where the mode says so.
    pub(crate) masquerade: bool,
    /// The IPv4 address they leave with; the outer interface's when unset.
    pub(crate) source_ipv4: Option<IpAddr>,
    /// The IPv6 address they leave with; the outer interface's when unset.
    pub(crate) source_ipv6: Option<IpAddr>,
    /// No way out of the network and none into it.
    pub(crate) internal: bool,
    /// Containers do not speak to each other.
    pub(crate) apart: bool,
    /// Interfaces from which published ports are reached by the container's own address.
    pub(crate) trusted: BTreeSet<String>,
}

impl NetworkRules {
    /// Reads a network's settings.
    ///
    /// # Errors
    /// `InvalidArgument` for an option with a value that is none of its values.
    pub(crate) fn of(settings: &NetworkSettings) -> Result<Self, NetworkError> {
        let options = BridgeOptions::parse(&settings.name, &settings.options)?;
        Ok(Self {
            bridge: settings.link.clone(),
            mode_ipv4: options.mode_ipv4,
            mode_ipv6: options.mode_ipv6,
            masquerade: options.masquerade,
            source_ipv4: options.host_ipv4,
            source_ipv6: options.host_ipv6,
            internal: settings.internal,
            apart: !options.icc,
            trusted: options.trusted.into_iter().collect(),
        })
    }

    /// Returns how containers are reached by a family.
    pub(crate) fn mode(&self, ip: Ip) -> GatewayMode {
        match ip {
            Ip::V4 => self.mode_ipv4,
            Ip::V6 => self.mode_ipv6,
        }
    }

    /// Returns whether published ports are also reached without translation.
    pub(crate) fn is_direct(&self, ip: Ip) -> bool {
        self.mode(ip) == GatewayMode::Routed || !self.trusted.is_empty()
    }

    /// Returns the network's elements.
    pub(super) fn elements(&self) -> Vec<Element> {
        let bridge = self.bridge.as_str();
        let mut elements = vec![
            Element::of_names(BRIDGES, &[bridge]),
            Element::of_names(WITHIN, &[bridge, bridge]),
        ];
        if self.apart {
            elements.push(Element::of_names(APART, &[bridge, bridge]));
        }
        if self.internal {
            elements.push(Element::of_names(INTERNAL, &[bridge]));
            return elements;
        }
        let trusted = self.trusted.iter();
        elements.extend(trusted.map(|name| Element::of_names(TRUSTED, &[name, bridge])));
        for (ip, source_set, source) in [(Ip::V4, SOURCE4, self.source_ipv4), (Ip::V6, SOURCE6, self.source_ipv6)] {
            let (mode, sets) = (self.mode(ip), ip.sets());
            match mode {
                GatewayMode::NatUnprotected => elements.push(Element::of_names(sets.open, &[bridge])),
                GatewayMode::Routed => elements.push(Element::of_names(sets.routed, &[bridge])),
                GatewayMode::Nat | GatewayMode::Isolated => {}
            }
            if self.masquerade && matches!(mode, GatewayMode::Nat | GatewayMode::NatUnprotected) {
                elements.push(Element::of_names(sets.masqueraded, &[bridge]));
                elements.extend(source.map(|address| Element::of_source(source_set, bridge, address)));
            }
        }
        elements
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_testkit::network_id;

    use super::*;

    fn settings(options: &[(&str, &str)], internal: bool) -> NetworkSettings {
        let options = options.iter();
        NetworkSettings {
            id: network_id(),
            name: "front".to_owned(),
            link: "br0".to_owned(),
            pools: Vec::new(),
            mtu: 1500,
            internal,
            options: options
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn sets(options: &[(&str, &str)], internal: bool) -> Vec<&'static str> {
        let elements = NetworkRules::of(&settings(options, internal)).unwrap().elements();
        elements.into_iter().map(|element| element.set).collect()
    }

    #[test]
    fn options_decide_the_elements() {
        assert_eq!(sets(&[], false), ["bridges", "within", "masquerade4", "masquerade6"]);
        assert_eq!(sets(&[], true), ["bridges", "within", "internal"]);
        assert_eq!(
            sets(&[("com.docker.network.bridge.enable_icc", "false")], true),
            ["bridges", "within", "apart", "internal"]
        );
        assert_eq!(
            sets(&[("com.docker.network.bridge.enable_ip_masquerade", "0")], false),
            ["bridges", "within"]
        );
        assert_eq!(
            sets(
                &[
                    ("com.docker.network.bridge.gateway_mode_ipv4", "routed"),
                    ("com.docker.network.bridge.gateway_mode_ipv6", "nat-unprotected")
                ],
                false
            ),
            ["bridges", "within", "routed4", "open6", "masquerade6"]
        );
        assert_eq!(
            sets(
                &[
                    ("com.docker.network.bridge.trusted_host_interfaces", "eth0:eth1"),
                    ("com.docker.network.host_ipv4", "192.0.2.1")
                ],
                false
            ),
            [
                "bridges",
                "within",
                "trusted",
                "trusted",
                "masquerade4",
                "source4",
                "masquerade6"
            ]
        );
    }
}
