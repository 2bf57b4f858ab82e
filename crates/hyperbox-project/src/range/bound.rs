// SPDX-License-Identifier: MIT
//! What is bound on the host, and by whom.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// A port of the host that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address; the unspecified one means all of its family.
    pub address: IpAddr,
    /// The number.
    pub port: u16,
    /// Who has it.
    pub holder: Holder,
}

/// Who has a port of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A container of a project.
    Service {
        /// The project.
        project: String,
        /// The service.
        service: String,
        /// The container's name.
        container: String,
    },
    /// A container of no project.
    Container {
        /// Its name.
        name: String,
    },
    /// A project that is just being started with it.
    Project {
        /// Its name.
        name: String,
    },
    /// Another container of the same project, which wants it too.
    Twice {
        /// The service.
        service: String,
        /// The number of its container.
        number: u32,
    },
    /// A process of the host.
    Process {
        /// Its id and name, when they are known.
        process: Option<(u32, String)>,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { project, container, .. } => write!(formatter, "project {project} (container {container})"),
            Self::Container { name } => write!(formatter, "container {name}"),
            Self::Project { name } => write!(formatter, "project {name}, which is being started"),
            Self::Twice { service, number } => write!(formatter, "container {number} of service {service}"),
            Self::Process {
                process: Some((id, name)),
            } => write!(formatter, "process {id} ({name})"),
            Self::Process { process: None } => formatter.write_str("a process of this machine"),
        }
    }
}

impl Bound {
    /// Tells whether it keeps `port` of the address `address` from being bound; an address that cannot be read is every one.
    pub fn hides(&self, protocol: &str, address: &str, port: u16) -> bool {
        self.protocol == protocol && self.port == port && collide(self.address, address)
    }

    /// Tells whether one of these containers has it.
    pub(super) fn is_held_by(&self, containers: &BTreeSet<String>) -> bool {
        matches!(&self.holder, Holder::Service { container, .. } if containers.contains(container))
    }
}

/// Tells whether a bound address and a wished one hide each other. Without an address both families are published.
pub(super) fn collide(bound: IpAddr, wished: &str) -> bool {
    let Ok(wished) = wished.trim_matches(['[', ']']).parse::<IpAddr>() else {
        return true;
    };
    // A process's IPv6 socket for all addresses usually takes IPv4 too (ipv6(7), IPV6_V6ONLY).
    let takes_all = bound.is_ipv6() && bound.is_unspecified();
    bound == wished
        || takes_all
        || (bound.is_ipv4() == wished.is_ipv4() && (bound.is_unspecified() || wished.is_unspecified()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_hide_each_other() {
        for (bound, wished, expected) in [
            ("127.0.0.1", "", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.1", "0.0.0.0", true),
            ("127.0.0.1", "::", false),
            ("::1", "[::1]", true),
            ("::", "127.0.0.1", true),
        ] {
            assert_eq!(collide(bound.parse().unwrap(), wished), expected, "{bound} {wished}");
        }
    }
}
