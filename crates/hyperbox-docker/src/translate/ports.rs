// SPDX-License-Identifier: MIT
//! Ports: bindings of a request → wishes, and what is declared and published → inspections, lists and filters. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hyperbox_core::container::{ContainerRecord, exposed_ports};
use hyperbox_core::seam::PortRequest;
use hyperbox_types::{ContainerPort, Protocol};
use serde_json::{Value, json};

use super::network::KnownNetworks;
use crate::error::{ApiError, ApiResult};
use crate::wire::host_config::PortBinding;

/// `PortBindings` of a host configuration.
pub(crate) type Bindings = BTreeMap<String, Option<Vec<PortBinding>>>;

/// Translates the bindings of a request.
///
/// A binding is published whether or not the port is exposed too. A port without a number means nothing, as with Docker.
///
/// # Errors
/// 400 `invalid port specification: …` and `invalid IP address: …`.
pub(crate) fn requests(bindings: &Bindings) -> ApiResult<Vec<PortRequest>> {
    let mut requests = Vec::new();
    for (key, bindings) in bindings {
        let Some(container) = container_port(key)? else {
            continue;
        };
        for binding in bindings.iter().flatten() {
            requests.push(PortRequest {
                container,
                host_address: host_address(&binding.host_ip)?,
                host_ports: host_ports(&binding.host_port)?,
            });
        }
    }
    Ok(requests)
}

fn invalid(text: &str) -> ApiError {
    ApiError::bad_request(format!("invalid port specification: {text:?}"))
}

/// Splits `80/tcp` into number and protocol as Docker does: TCP is meant when there is none, and a third part is ignored.
fn split(text: &str) -> (&str, &str) {
    let mut parts = text.split('/');
    let port = parts.next().unwrap_or_default();
    match parts.next() {
        None | Some("") => (port, "tcp"),
        Some(protocol) => (port, protocol),
    }
}

fn container_port(key: &str) -> ApiResult<Option<ContainerPort>> {
    let (port, protocol) = split(key);
    let number = match port {
        "" => 0,
        port => number(port).ok_or_else(|| invalid(port))?,
    };
    if number == 0 {
        return Ok(None);
    }
    let protocol = protocol.parse().map_err(|_| invalid(key))?;
    Ok(Some(ContainerPort { number, protocol }))
}

/// A number as Go reads it: digits only.
fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn range(text: &str) -> Option<(u16, u16)> {
    let Some((first, last)) = text.split_once('-') else {
        return number(text).map(|number| (number, number));
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Says in Docker's words why a text is no range.
fn range_fault(text: &str) -> String {
    if text.is_empty() {
        return "Empty string specified for ports.".to_owned();
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match [first, last].into_iter().find(|end| number(end).is_none()) {
        None => format!("Invalid range specified for the Port: {text}"),
        Some(end) => {
            let digits = !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
            let reason = if digits { "value out of range" } else { "invalid syntax" };
            format!("strconv.ParseUint: parsing {end:?}: {reason}")
        }
    }
}

fn host_ports(text: &str) -> ApiResult<Option<(u16, u16)>> {
    let (port, _) = split(text);
    match port {
        "" => Ok(None),
        port => match range(port).ok_or_else(|| invalid(text))? {
            (_, 0) => Ok(None),
            (first, last) => Ok(Some((first.max(1), last))),
        },
    }
}

/// An address that cannot be read is refused: Docker publishes on all addresses then, which is nobody's wish.
fn host_address(text: &str) -> ApiResult<Option<IpAddr>> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    match bare {
        "" => Ok(None),
        bare => {
            let address = bare.parse::<IpAddr>();
            let address = address.map_err(|_| ApiError::bad_request(format!("invalid IP address: {text}")))?;
            Ok(Some(address.to_canonical()))
        }
    }
}

/// The ports of a container that clients are shown, with the addresses of the host that lead to them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ShownPorts(BTreeMap<ContainerPort, Vec<(IpAddr, u16)>>);

/// Returns the ports of a container. It has some only while it runs in a network whose addresses the host translates.
pub(crate) fn shown(record: &ContainerRecord, known: &KnownNetworks) -> ShownPorts {
    let state = &record.state;
    let mut networks = state
        .endpoints
        .iter()
        .filter_map(|endpoint| known.by_id(&endpoint.network));
    let translated = networks.any(|network| {
        !matches!(network.spec.driver.as_str(), "host" | "null" | "macvlan" | "ipvlan") && !network.settings.internal
    });
    if !(state.phase.is_alive() && translated) {
        return ShownPorts::default();
    }
    let declared = record.spec.exposed_ports.iter().flat_map(|text| exposed_ports(text));
    let mut ports: BTreeMap<_, Vec<_>> = declared.map(|port| (port, Vec::new())).collect();
    for port in &state.ports {
        let published = ports.entry(port.container).or_default();
        published.push((port.host_address, port.host_port));
    }
    for published in ports.values_mut() {
        // One binding after the other, each with IPv4 before IPv6.
        published.sort_by_key(|(address, port)| (*port, address.is_ipv6(), *address));
    }
    ShownPorts(ports)
}

impl ShownPorts {
    /// `NetworkSettings.Ports` of an inspection.
    pub(crate) fn inspected(&self) -> BTreeMap<String, Value> {
        let ports = self.0.iter().map(|(port, published)| {
            let bindings: Vec<_> = published
                .iter()
                .map(|(address, port)| json!({ "HostIp": address.to_string(), "HostPort": port.to_string() }))
                .collect();
            let value = if bindings.is_empty() {
                Value::Null
            } else {
                json!(bindings)
            };
            (port.to_string(), value)
        });
        ports.collect()
    }

    /// `Ports` of a line in a list.
    pub(crate) fn listed(&self) -> Vec<Value> {
        let mut list = Vec::new();
        for (port, published) in &self.0 {
            let (number, protocol) = (port.number, port.protocol.as_str());
            if published.is_empty() {
                list.push(json!({ "PrivatePort": number, "Type": protocol }));
            }
            for (address, public) in published {
                let address = address.to_string();
                list.push(json!({ "IP": address, "PrivatePort": number, "PublicPort": public, "Type": protocol }));
            }
        }
        list
    }

    /// Tells whether a port of the host is published.
    pub(crate) fn publishes(&self, filter: &PortFilter) -> bool {
        let mut ports = self.0.iter();
        ports.any(|(port, published)| {
            let mut published = published.iter();
            published.any(|(_, public)| filter.accepts(*public, port.protocol))
        })
    }

    /// Tells whether a port is exposed.
    pub(crate) fn exposes(&self, filter: &PortFilter) -> bool {
        self.0.keys().any(|port| filter.accepts(port.number, port.protocol))
    }
}

/// A value of the filters `publish` and `expose`: `80`, `53/udp`, `8000-8010/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortFilter {
    first: u16,
    last: u16,
    /// None for a protocol that no port has.
    protocol: Option<Protocol>,
}

impl PortFilter {
    /// Parses a value of the filter `name`.
    ///
    /// # Errors
    /// 400 with Docker's texts.
    pub(crate) fn parse(name: &str, value: &str) -> ApiResult<Self> {
        if value.contains(':') {
            let message = format!("filter for '{name}' should not contain ':': {value}");
            return Err(ApiError::bad_request(message));
        }
        let (port, protocol) = split(value);
        let (first, last) = range(port).ok_or_else(|| {
            let reason = range_fault(port);
            ApiError::bad_request(format!("error while looking up for {name} {value}: {reason}"))
        })?;
        Ok(Self {
            first,
            last,
            protocol: protocol.parse().ok(),
        })
    }

    fn accepts(&self, number: u16, protocol: Protocol) -> bool {
        (self.first..=self.last).contains(&number) && self.protocol == Some(protocol)
    }
}
