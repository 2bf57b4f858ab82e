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

/// A checked wish.
#[derive(Debug, Clone)]
pub(crate) struct EndpointWish {
    link: String,
    mac: Option<MacAddress>,
    link_local: Vec<IpNet>,
    default_routes: DefaultRoutes,
}

impl EndpointWish {
    /// Checks a request.
    pub(crate) fn parse(network: &BridgeNetwork, request: &EndpointRequest) -> Result<Self, NetworkError> {
        let name = &network.settings.name;
        let invalid = |message: String| refused(name, ErrorKind::InvalidArgument, message);
        let mac = request.mac_address.as_deref().map(str::parse).transpose();
        if !link_name::is_inner_link(&request.link) {
            return Err(invalid(format!("invalid interface name {:?}", request.link)));
        }
        Ok(Self {
            link: request.link.clone(),
            mac: mac.map_err(|error| invalid(format!("{error}")))?,
            link_local: request.link_local.iter().copied().map(with_link_local_prefix).collect(),
            default_routes: request.default_routes,
        })
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
            mac: self.mac.unwrap_or_else(|| MacAddress::of(first.unwrap_or(IpAddr::from([0; 16])))),
            ipv6: addresses.iter().any(|net| net.addr().is_ipv6()),
            gateways: gateways.filter_map(|(ipv6, _)| network.gateway(ipv6)).collect(),
            addresses,
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
