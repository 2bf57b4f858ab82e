// SPDX-License-Identifier: MIT
//! Which ports of the host the containers of a project want.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Ports;
use crate::model::ServicePort;

/// A published port of one container: what a number of the host is kept for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortKey {
    /// The service.
    pub service: String,
    /// The number of its container, from 1.
    pub number: u32,
    /// The container's port.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address, as it is written; empty for all.
    #[serde(default)]
    pub address: String,
    /// The host's port, as it is written; empty for any. A container's port may be published more than once. Records of earlier versions
    /// do not have it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub published: String,
}

impl PortKey {
    /// Makes the key of a port that a service publishes.
    pub fn new(service: &str, number: u32, port: &ServicePort) -> Self {
        let protocol = match port.protocol.as_str() {
            "" => "tcp",
            protocol => protocol,
        };
        Self {
            service: service.to_owned(),
            number,
            target: port.target,
            protocol: protocol.to_owned(),
            address: port.host_ip.clone().unwrap_or_default(),
            published: port.published.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for PortKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            number,
            target,
            protocol,
            ..
        } = self;
        write!(formatter, "{service}-{number}:{target}/{protocol}")
    }
}

/// What is wished for a published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortWish {
    /// Which port.
    pub key: PortKey,
    /// Which number of the host.
    pub wanted: Wanted,
}

impl PortWish {
    /// Makes the wish of one container for a port that its service publishes.
    pub fn new(service: &str, number: u32, port: &ServicePort) -> Self {
        Self {
            key: PortKey::new(service, number, port),
            wanted: wanted(port.published.as_deref()),
        }
    }
}

/// Which number of the host is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Any of the project's.
    Any,
    /// This one.
    One(u16),
    /// One of these; the engine takes the first that is free.
    Among(Ports),
}

/// Reads `8080`, `8000-8010`, or nothing. What is no number is left to the engine, which refuses it.
pub(crate) fn wanted(published: Option<&str>) -> Wanted {
    let text = published.unwrap_or_default();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first == last && first != 0 => Wanted::One(first),
        (Ok(first), Ok(last)) if first < last && first != 0 => Wanted::Among(Ports { first, last }),
        _ => Wanted::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_they_are_written() {
        let range = Wanted::Among(Ports { first: 80, last: 81 });
        for (text, expected) in [
            (None, Wanted::Any),
            (Some(""), Wanted::Any),
            (Some("0"), Wanted::Any),
            (Some("80"), Wanted::One(80)),
            (Some("80-81"), range),
            (Some("80-80"), Wanted::One(80)),
        ] {
            assert_eq!(wanted(text), expected, "{text:?}");
        }
    }
}
