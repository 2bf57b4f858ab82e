// SPDX-License-Identifier: MIT
//! What is wished for an endpoint, checked; and what is made of it once its addresses are known. Pure.

use std::net::IpAddr;

use hyperbox_core::seam::{DefaultRoutes, Endpoint, EndpointRequest, NetworkError};
use hyperbox_types::ErrorKind;
use ipnet::IpNet;

use crate::bridge::BridgeNetwork;
use crate::endpoint::EndpointPlan;
use crate::error::refused;
use crate::link_name;
use crate::mac_address::MacAddress;
use crate::membership::Addresses;

/// Option with sysctls of the container's link: `net.ipv4.conf.IFNAME.log_martians=1,…`.
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
/// Option with the name of the container's link.
const LINK: &str = "com.docker.network.endpoint.ifname";
/// What the link of a container in one network is called.
const USUAL_LINK: &str = "eth0";

/// A checked wish.
#[derive(Debug, Clone)]
pub(crate) struct EndpointWish {
    link: String,
    mac: Option<MacAddress>,
    link_local: Vec<IpNet>,
    default_routes: DefaultRoutes,
    sysctls: Vec<(String, String)>,
}

impl EndpointWish {
    /// Checks a request.
    pub(crate) fn parse(network: &BridgeNetwork, request: &EndpointRequest) -> Result<Self, NetworkError> {
        let name = &network.settings.name;
        let invalid = |message: String| refused(name, ErrorKind::InvalidArgument, message);
        let mac = request.mac_address.as_deref().map(str::parse).transpose();
        let link = link_of(network, request);
        if !link_name::is_inner_link(&link) {
            let message = format!("error renaming interface to {link:?}: invalid argument");
            return Err(refused(name, ErrorKind::Internal, message));
        }
        if let Some(address) = request.link_local.iter().find(|address| !is_link_local(**address)) {
            let message = format!("invalid link local IP address: {address}");
            return Err(refused(name, ErrorKind::Internal, message));
        }
        let sysctls = request.options.get(SYSCTLS).map_or("", String::as_str);
        let sysctls = parse_sysctls(sysctls, &link);
        Ok(Self {
            mac: mac.map_err(|error| invalid(format!("{error}")))?,
            link_local: request.link_local.iter().copied().map(with_link_local_prefix).collect(),
            default_routes: request.default_routes,
            sysctls: sysctls.map_err(|fault| {
                let context = format!("invalid config for network {name}: invalid endpoint settings:");
                invalid(format!("{context}\n{fault}"))
            })?,
            link,
        })
    }

    /// Returns whether everything is as an endpoint that is made ahead has it.
    pub(crate) fn is_usual(&self, request: &EndpointRequest) -> bool {
        self.link == USUAL_LINK
            && self.mac.is_none()
            && self.link_local.is_empty()
            && self.sysctls.is_empty()
            && request.ipv4.is_none()
            && request.ipv6.is_none()
    }

    /// Returns which default routes are wished.
    pub(crate) fn default_routes(&self) -> DefaultRoutes {
        self.default_routes
    }

    /// Returns what most containers wish for.
    pub(crate) fn usual(default_routes: DefaultRoutes) -> Self {
        Self {
            link: USUAL_LINK.to_owned(),
            mac: None,
            link_local: Vec::new(),
            default_routes,
            sysctls: Vec::new(),
        }
    }

    /// Decides everything that was left open.
    pub(crate) fn plan(&self, network: &BridgeNetwork, given: Addresses) -> EndpointPlan {
        let first = given.iter().next().map(|net| net.addr());
        let mut addresses: Vec<IpNet> = given.iter().collect();
        addresses.extend(&self.link_local);
        let routes = [(false, self.default_routes.ipv4), (true, self.default_routes.ipv6)];
        let gateways = routes.into_iter().filter(|(_, wanted)| *wanted);
        EndpointPlan {
            link: self.link.clone(),
            mac: self
                .mac
                .unwrap_or_else(|| MacAddress::of(first.unwrap_or(IpAddr::from([0; 16])))),
            ipv6: addresses.iter().any(|net| net.addr().is_ipv6()),
            gateways: gateways.filter_map(|(ipv6, _)| network.gateway(ipv6)).collect(),
            addresses,
            sysctls: self.sysctls.clone(),
        }
    }
}

impl EndpointPlan {
    /// Describes the endpoint that was made.
    pub(crate) fn endpoint(&self, network: &BridgeNetwork, given: Addresses, host_link: String) -> Endpoint {
        let gateway_ipv4 = network.gateway(false).filter(|_| given.ipv4.is_some());
        let gateway_ipv6 = network.gateway(true).filter(|_| given.ipv6.is_some());
        Endpoint {
            network: network.settings.id.clone(),
            ipv4: given.ipv4,
            ipv6: given.ipv6,
            gateway_ipv4: gateway_ipv4.and_then(|address| match address {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            }),
            gateway_ipv6: gateway_ipv6.and_then(|address| match address {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            }),
            mac_address: self.mac.to_string(),
            link: self.link.clone(),
            host_link,
            driver_state: String::new(),
        }
    }
}

/// The whole of 169.254.0.0/16 and of fe80::/64 is on the link.
fn with_link_local_prefix(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { 16 } else { 64 };
    IpNet::new(address, length).unwrap_or_else(|_| IpNet::from(address))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// An option of the endpoint comes first, then the network's prefix instead of `eth`.
fn link_of(network: &BridgeNetwork, request: &EndpointRequest) -> String {
    if let Some(name) = request.options.get(LINK).filter(|name| !name.is_empty()) {
        return name.clone();
    }
    match (&network.options.link_prefix, request.link.strip_prefix("eth")) {
        (Some(prefix), Some(number)) if !prefix.is_empty() => format!("{prefix}{number}"),
        _ => request.link.clone(),
    }
}

/// Reads `net.X.Y.IFNAME.Z=V,…`; returns files below `/proc/sys` and values. Docker's command line makes all of it small letters where the
/// option is a part of `--network`.
fn parse_sysctls(text: &str, link: &str) -> Result<Vec<(String, String)>, String> {
    let each = text.split(',').filter(|setting| !setting.is_empty()).map(|setting| {
        let (name, value) = match setting.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (setting, None),
        };
        let words: Vec<_> = name.split('.').collect();
        let plain =
            |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let [net, family, group, place, rest @ ..] = words.as_slice() else {
            return Err(unrecognised(setting));
        };
        let is_link = matches!(*place, "IFNAME" | "ifname");
        if !is_link || !matches!(*family, "ipv4" | "ipv6" | "mpls") || rest.is_empty() {
            return Err(unrecognised(setting));
        }
        let value = value.ok_or_else(|| format!("expected sysctl '{setting}' to have format name=value"))?;
        match rest {
            [file] if *net == "net" && plain(group) && plain(file) => {
                Ok((format!("net/{family}/{group}/{link}/{file}"), value.to_owned()))
            }
            _ => Err(format!("expected sysctl '{setting}' to have format net.X.Y.IFNAME.Z")),
        }
    });
    each.collect()
}

fn unrecognised(setting: &str) -> String {
    format!(
        "unrecognised network interface sysctl '{setting}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctls_of_a_link() {
        let parsed = parse_sysctls(
            "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.ifname.gc_stale_time=9",
            "eth1",
        );
        let expected = [
            ("net/ipv4/conf/eth1/log_martians", "1"),
            ("net/ipv6/neigh/eth1/gc_stale_time", "9"),
        ];
        assert_eq!(
            parsed.unwrap(),
            expected.map(|(file, value)| (file.to_owned(), value.to_owned()))
        );
        for wrong in [
            "net.ipv4.conf.eth0.log_martians=1",
            "nonsense",
            "net.ipv4.ip_forward=1",
            "net.ipv4.conf.IFNAME=1",
            "net.core.conf.IFNAME.x=1",
            "net.ipv4.conf.IfName.x=1",
        ] {
            assert_eq!(parse_sysctls(wrong, "eth0").unwrap_err(), unrecognised(wrong));
        }
        for (wrong, form) in [
            ("net.ipv4.conf.IFNAME.log_martians", "name=value"),
            ("net.ipv4.conf.IFNAME.a.b=1", "net.X.Y.IFNAME.Z"),
            ("net.ipv4.conf.IFNAME.../x=1", "net.X.Y.IFNAME.Z"),
            ("net.ipv4./.IFNAME.x=1", "net.X.Y.IFNAME.Z"),
            ("kernel.ipv4.conf.IFNAME.x=1", "net.X.Y.IFNAME.Z"),
        ] {
            let expected = format!("expected sysctl '{wrong}' to have format {form}");
            assert_eq!(parse_sysctls(wrong, "eth0").unwrap_err(), expected);
        }
        assert!(parse_sysctls("", "eth0").unwrap().is_empty());
    }
}
