// SPDX-License-Identifier: MIT
//! Transport protocols and ports of containers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transport protocol whose ports can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 9293.
    #[default]
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

impl Protocol {
    /// Returns the lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// Returns the number in an IP header (`IPPROTO_…`).
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(UnknownProtocol(text.chars().take(40).collect())),
        }
    }
}

/// The text names no protocol whose ports can be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid proto: {0}")]
pub struct UnknownProtocol(String);

/// A port of a container, such as `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerPort {
    /// The number; never 0.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ContainerPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.protocol)
    }
}

impl FromStr for ContainerPort {
    type Err = InvalidPort;

    /// Parses `80`, `80/tcp`, `53/udp`; TCP when no protocol is given.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPort(text.chars().take(40).collect());
        let (number, protocol) = match text.split_once('/') {
            Some((number, protocol)) => (number, protocol.parse().map_err(|_| invalid())?),
            None => (text, Protocol::Tcp),
        };
        let number = number.parse().ok().filter(|number| *number != 0).ok_or_else(invalid)?;
        Ok(Self { number, protocol })
    }
}

impl TryFrom<String> for ContainerPort {
    type Error = InvalidPort;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ContainerPort> for String {
    fn from(port: ContainerPort) -> Self {
        port.to_string()
    }
}

/// The text is no port of a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid port '{0}'")]
pub struct InvalidPort(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_with_a_protocol() {
        for (text, expected) in [
            ("80", Some("80/tcp")),
            ("53/UDP", Some("53/udp")),
            ("9/sctp", Some("9/sctp")),
            ("0", None),
            ("65536/tcp", None),
            ("80/icmp", None),
            ("", None),
            ("/tcp", None),
        ] {
            let port = text.parse::<ContainerPort>().ok().map(|port| port.to_string());
            assert_eq!(port.as_deref(), expected, "{text}");
        }
    }
}
