// SPDX-License-Identifier: MIT
//! What a wish for a port means: at which addresses of the host, and on which way to the container. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyperbox_core::seam::{NetworkError, PortRequest, PublishRequest};
use hyperbox_types::{ContainerPort, ErrorKind, Protocol};

use crate::error::refused;
use crate::firewall::{Ip, NetworkRules};
use crate::options::{BridgeOptions, GatewayMode};

/// How packets get to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The kernel translates them.
    Translated,
    /// Only the forwarder can carry them: the container has no address of the family.
    Forwarded,
    /// By the container's own address; nothing of the host is used.
    Routed,
}

/// A place of the host where a port is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) address: IpAddr,
    pub(super) way: Way,
    /// Address and port of the container.
    pub(super) target: SocketAddr,
    /// Whether the container's own address leads there too.
    pub(super) direct: bool,
}

/// A port of a container, its bindings, and the numbers that all of them may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) container: ContainerPort,
    pub(super) bindings: Vec<Binding>,
    /// First and last; any free one when unset.
    pub(super) numbers: Option<(u16, u16)>,
}

/// Decides for all wishes of a request. `has_ipv6` says whether the host has IPv6 at all.
///
/// # Errors
/// `InvalidArgument` for a network whose options make no sense, `Unsupported` for SCTP at an address of another family.
pub(super) fn plans(request: &PublishRequest, has_ipv6: bool) -> Result<Vec<Plan>, NetworkError> {
    let rules = NetworkRules::of(&request.network)?;
    if rules.internal {
        return Ok(Vec::new());
    }
    let options = BridgeOptions::parse(&request.network.name, &request.network.options)?;
    let planner = Planner {
        network: &request.network.name,
        rules,
        ipv4: request.endpoint.ipv4.map(|net| net.addr()),
        ipv6: request.endpoint.ipv6.map(|net| net.addr()),
        defaults: defaults(options.binding_ipv4, options.binding_ipv6, has_ipv6),
    };
    let plans = request.ports.iter().map(|wish| planner.plan(wish));
    let mut plans = plans.collect::<Result<Vec<_>, _>>()?;
    plans.retain(|plan| !plan.bindings.is_empty());
    Ok(plans)
}

/// The addresses of a wish without one. As in Docker, a chosen IPv4 address alone means no IPv6.
fn defaults(ipv4: Option<IpAddr>, ipv6: Option<IpAddr>, has_ipv6: bool) -> Vec<IpAddr> {
    let everywhere4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let everywhere6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let first = ipv4.unwrap_or(everywhere4);
    let second = ipv6.or((first == everywhere4).then_some(everywhere6));
    std::iter::once(first).chain(second.filter(|_| has_ipv6)).collect()
}

struct Planner<'a> {
    network: &'a str,
    rules: NetworkRules,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    defaults: Vec<IpAddr>,
}

impl Planner<'_> {
    fn plan(&self, wish: &PortRequest) -> Result<Plan, NetworkError> {
        let port = wish.container;
        let bindings = match wish.host_address {
            Some(address) => {
                let binding = self.binding(address, port);
                if port.protocol == Protocol::Sctp && binding.is_some_and(|binding| binding.way == Way::Forwarded) {
                    let message =
                        format!("cannot publish port {port} at {address}: sctp cannot be forwarded between families");
                    return Err(refused(self.network, ErrorKind::Unsupported, message));
                }
                binding.into_iter().collect()
            }
            None => {
                let possible = self.defaults.iter().filter_map(|address| self.binding(*address, port));
                possible
                    .filter(|binding| binding.way != Way::Forwarded || self.is_wanted_without_address(binding, port))
                    .collect()
            }
        };
        Ok(Plan {
            container: port,
            bindings,
            numbers: wish.host_ports,
        })
    }

    /// Where nobody asked for an address, IPv4 is not carried to a container that has only IPv6, as in Docker.
    fn is_wanted_without_address(&self, binding: &Binding, port: ContainerPort) -> bool {
        let crosses_down = binding.address.is_ipv4() && binding.target.is_ipv6();
        port.protocol != Protocol::Sctp && !crosses_down
    }

    fn binding(&self, address: IpAddr, port: ContainerPort) -> Option<Binding> {
        let ip = Ip::of(address);
        let (same, other) = match ip {
            Ip::V4 => (self.ipv4.map(IpAddr::V4), self.ipv6.map(IpAddr::V6)),
            Ip::V6 => (self.ipv6.map(IpAddr::V6), self.ipv4.map(IpAddr::V4)),
        };
        let target = SocketAddr::new(same.or(other)?, port.number);
        let mode = self.rules.mode(ip);
        let way = match mode {
            _ if same.is_none() => Way::Forwarded,
            GatewayMode::Routed => Way::Routed,
            GatewayMode::Isolated => return None,
            GatewayMode::Nat | GatewayMode::NatUnprotected => Way::Translated,
        };
        let everywhere = match ip {
            Ip::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Ip::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Some(Binding {
            address: if way == Way::Routed { everywhere } else { address },
            way,
            target,
            direct: self.rules.is_direct(Ip::of(target.ip())),
        })
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_core::seam::{Endpoint, NetworkSettings};
    use hyperbox_testkit::{container_id, network_id};

    use super::*;

    fn request(addresses: &[&str], options: &[(&str, &str)], port: &str, host: Option<&str>) -> PublishRequest {
        let network = NetworkSettings {
            id: network_id(),
            name: "front".to_owned(),
            link: "br0".to_owned(),
            pools: Vec::new(),
            mtu: 1500,
            internal: options.contains(&("internal", "")),
            options: options
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let endpoint = Endpoint {
            network: network.id.clone(),
            ipv4: addresses.iter().find_map(|text| text.parse().ok()),
            ipv6: addresses.iter().find_map(|text| text.parse().ok()),
            gateway_ipv4: None,
            gateway_ipv6: None,
            mac_address: String::new(),
            link: "eth0".to_owned(),
            host_link: String::new(),
            driver_state: String::new(),
        };
        PublishRequest {
            container: container_id(),
            name: "web".to_owned(),
            network,
            endpoint,
            ports: vec![PortRequest {
                container: port.parse().unwrap(),
                host_address: host.map(|text| text.parse().unwrap()),
                host_ports: Some((80, 80)),
            }],
        }
    }

    #[test]
    fn addresses_and_modes_decide_the_way() {
        const FOUR: &str = "10.0.0.2/24";
        const SIX: &str = "fd00::2/64";
        const MODE4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
        const BINDING4: &str = "com.docker.network.bridge.host_binding_ipv4";
        type Case<'a> = (
            &'a [&'a str],
            &'a [(&'a str, &'a str)],
            &'a str,
            Option<&'a str>,
            &'a str,
        );
        let cases: [Case<'_>; 14] = [
            (
                &[FOUR],
                &[],
                "80",
                None,
                "0.0.0.0 Translated 10.0.0.2:80, :: Forwarded 10.0.0.2:80",
            ),
            (
                &[FOUR, SIX],
                &[],
                "80",
                None,
                "0.0.0.0 Translated 10.0.0.2:80, :: Translated [fd00::2]:80",
            ),
            (&[SIX], &[], "80", None, ":: Translated [fd00::2]:80"),
            (&[SIX], &[], "80", Some("127.0.0.1"), "127.0.0.1 Forwarded [fd00::2]:80"),
            (&[FOUR, SIX], &[], "80", Some("::1"), "::1 Translated [fd00::2]:80"),
            (&[FOUR], &[], "80", Some("::1"), "::1 Forwarded 10.0.0.2:80"),
            (&[FOUR], &[], "9/sctp", None, "0.0.0.0 Translated 10.0.0.2:9"),
            (
                &[FOUR],
                &[],
                "9/sctp",
                Some("::"),
                "cannot publish port 9/sctp at ::: sctp cannot be forwarded between families",
            ),
            (
                &[FOUR],
                &[(BINDING4, "127.0.0.1")],
                "80",
                None,
                "127.0.0.1 Translated 10.0.0.2:80",
            ),
            (
                &[FOUR],
                &[(BINDING4, "127.0.0.1")],
                "80",
                Some("192.0.2.1"),
                "192.0.2.1 Translated 10.0.0.2:80",
            ),
            (
                &[FOUR],
                &[(MODE4, "routed")],
                "80",
                Some("127.0.0.1"),
                "0.0.0.0 Routed 10.0.0.2:80",
            ),
            (
                &[FOUR],
                &[(MODE4, "nat-unprotected")],
                "80",
                Some("0.0.0.0"),
                "0.0.0.0 Translated 10.0.0.2:80",
            ),
            (&[FOUR], &[("internal", "")], "80", None, ""),
            (&[], &[], "80", None, ""),
        ];
        for (addresses, options, port, host, expected) in cases {
            let decided = match plans(&request(addresses, options, port, host), true) {
                Ok(plans) => {
                    let bindings = plans.iter().flat_map(|plan| &plan.bindings);
                    let texts = bindings.map(|one| format!("{} {:?} {}", one.address, one.way, one.target));
                    texts.collect::<Vec<_>>().join(", ")
                }
                Err(error) => error.message,
            };
            assert_eq!(decided, expected, "{addresses:?} {options:?} {port} {host:?}");
        }
    }

    #[test]
    fn a_host_without_ipv6_has_no_default_there() {
        let plans = plans(&request(&["10.0.0.2/24"], &[], "80", None), false).unwrap();
        assert_eq!(plans[0].bindings.len(), 1);
    }
}
