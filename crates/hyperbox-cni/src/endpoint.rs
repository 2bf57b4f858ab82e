// SPDX-License-Identifier: MIT
//! What a result means to the engine, and what is remembered of an attachment. Pure.

use std::net::IpAddr;

use hyperbox_core::seam::{Endpoint, EndpointRequest};
use hyperbox_types::NetworkId;
use ipnet::IpNet;

use crate::invocation::Attachment;
use crate::result::{Address, Success};

/// Longest name of a link (`IFNAMSIZ` without its zero).
const LONGEST_LINK: usize = 15;

/// Makes the endpoint of an attachment whose result has been noted in it.
pub(crate) fn of(network: &NetworkId, attachment: &Attachment, result: &Success) -> Endpoint {
    let inner = result
        .interfaces
        .iter()
        .find(|link| link.name == attachment.link && !link.sandbox.is_empty());
    let host = result.interfaces.iter().rfind(|link| link.sandbox.is_empty());
    let host_link = host.map(|link| link.name.clone()).filter(|name| is_link_name(name));
    let mut endpoint = Endpoint {
        network: network.clone(),
        ipv4: None,
        ipv6: None,
        gateway_ipv4: None,
        gateway_ipv6: None,
        mac_address: inner.map(|link| link.mac.clone()).unwrap_or_default(),
        link: attachment.link.clone(),
        host_link: host_link.unwrap_or_default(),
        driver_state: remember(attachment),
    };
    for address in addresses(attachment, result) {
        match address.address {
            IpNet::V4(net) if endpoint.ipv4.is_none() => {
                endpoint.ipv4 = Some(net);
                if let Some(IpAddr::V4(gateway)) = address.gateway {
                    endpoint.gateway_ipv4 = Some(gateway);
                }
            }
            IpNet::V6(net) if endpoint.ipv6.is_none() => {
                endpoint.ipv6 = Some(net);
                if let Some(IpAddr::V6(gateway)) = address.gateway {
                    endpoint.gateway_ipv6 = Some(gateway);
                }
            }
            _ => {}
        }
    }
    add_route_gateways(&mut endpoint, result);
    endpoint
}

/// The addresses of the container's link: those that name it, and those that name none.
pub(crate) fn addresses<'a>(attachment: &'a Attachment, result: &'a Success) -> impl Iterator<Item = &'a Address> {
    result.addresses.iter().filter(|address| {
        let Some(index) = address.interface else { return true };
        let link = usize::try_from(index)
            .ok()
            .and_then(|index| result.interfaces.get(index));
        link.is_some_and(|link| link.name == attachment.link && !link.sandbox.is_empty())
    })
}

/// Plugins that give addresses without gateways may give them in the default routes.
fn add_route_gateways(endpoint: &mut Endpoint, result: &Success) {
    for route in result.routes.iter().filter(|route| route.destination.prefix_len() == 0) {
        match route.gateway {
            Some(IpAddr::V4(gateway)) => {
                endpoint.gateway_ipv4.get_or_insert(gateway);
            }
            Some(IpAddr::V6(gateway)) => {
                endpoint.gateway_ipv6.get_or_insert(gateway);
            }
            None => {}
        }
    }
}

/// Returns what of a request the plugins have not done; a wish is granted or refused, never replaced.
pub(crate) fn unmet_wish(request: &EndpointRequest, endpoint: &Endpoint) -> Option<String> {
    let given: Vec<IpAddr> = endpoint.addresses().collect();
    let wished = [request.ipv4.map(IpAddr::V4), request.ipv6.map(IpAddr::V6)];
    let unmet = wished.into_iter().flatten().find(|wish| !given.contains(wish));
    if let Some(address) = unmet {
        return Some(format!("the plugins did not give the wished address {address}"));
    }
    let mac = request.mac_address.as_deref()?;
    let differs = !endpoint.mac_address.eq_ignore_ascii_case(mac);
    differs.then(|| format!("the plugins did not set the wished MAC address {mac}"))
}

/// Writes an attachment into an endpoint's record.
pub(crate) fn remember(attachment: &Attachment) -> String {
    // Keys are texts and all values come from JSON: there is nothing that cannot be written.
    serde_json::to_string(attachment).unwrap_or_default()
}

/// Reads an attachment from an endpoint's record; `None` when it is damaged.
pub(crate) fn recall(endpoint: &Endpoint) -> Option<Attachment> {
    serde_json::from_str(&endpoint.driver_state).ok()
}

/// Returns whether a link can have the name (`dev_valid_name` of the kernel), and a file of ours can have it in its name.
pub(crate) fn is_link_name(name: &str) -> bool {
    (1..=LONGEST_LINK).contains(&name.len())
        && !matches!(name, "." | "..")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use hyperbox_types::ContainerId;
    use serde_json::{Map, Value};

    use super::*;
    use crate::namespace::Namespace;

    fn attachment(result: &str) -> Attachment {
        let result: Map<String, Value> = serde_json::from_str(result).unwrap();
        Attachment {
            container: ContainerId::from_bytes([3; 32]),
            link: "eth0".to_owned(),
            serial: "1".to_owned(),
            namespace: "/proc/1/fd/3".to_owned(),
            identity: Namespace::of(File::open("/proc/self/ns/net").unwrap())
                .unwrap()
                .identity(),
            capabilities: Map::new(),
            arguments: String::new(),
            result: Some(result),
        }
    }

    fn endpoint(result: &str) -> Endpoint {
        let attachment = attachment(result);
        let result = Success::of(attachment.result.clone().unwrap()).unwrap();
        let endpoint = of(&NetworkId::from_bytes([1; 32]), &attachment, &result);
        assert_eq!(recall(&endpoint), Some(attachment));
        endpoint
    }

    #[test]
    fn a_bridge_with_both_families() {
        let endpoint = endpoint(
            r#"{"interfaces": [{"name": "cni0", "mac": "1"}, {"name": "veth1", "mac": "2"}, {"name": "eth0", "mac": "02:00:00:00:00:03", "sandbox": "/x"}],
                "ips": [{"address": "fd00::2/64", "gateway": "fd00::1", "interface": 2}, {"address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 2},
                        {"address": "10.0.9.2/24", "interface": 0}]}"#,
        );
        assert_eq!(endpoint.ipv4, Some("10.0.0.2/24".parse().unwrap()));
        assert_eq!(endpoint.gateway_ipv4, Some([10, 0, 0, 1].into()));
        assert_eq!(endpoint.ipv6, Some("fd00::2/64".parse().unwrap()));
        assert_eq!(endpoint.gateway_ipv6, Some("fd00::1".parse().unwrap()));
        assert_eq!(
            (endpoint.host_link.as_str(), endpoint.mac_address.as_str()),
            ("veth1", "02:00:00:00:00:03")
        );
    }

    #[test]
    fn gateways_of_default_routes_and_indices_that_lead_nowhere() {
        let endpoint = endpoint(
            r#"{"interfaces": [{"name": "../../x"}], "ips": [{"address": "10.0.0.9/24", "interface": 7}, {"address": "10.0.0.8/24", "interface": -1}, {"address": "10.0.0.2/24"}],
                "routes": [{"dst": "10.1.0.0/16", "gw": "10.0.0.3"}, {"dst": "0.0.0.0/0", "gw": "10.0.0.4"}]}"#,
        );
        assert_eq!(endpoint.ipv4, Some("10.0.0.2/24".parse().unwrap()));
        assert_eq!(endpoint.gateway_ipv4, Some([10, 0, 0, 4].into()));
        assert_eq!((endpoint.host_link.as_str(), endpoint.mac_address.as_str()), ("", ""));
    }

    #[test]
    fn link_names() {
        for good in ["eth0", "a.b", "fifteen-bytes-1"] {
            assert!(is_link_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "sixteen-bytes-16", "é"] {
            assert!(!is_link_name(bad), "{bad}");
        }
    }
}
