// SPDX-License-Identifier: MIT
//! What networks and published ports are in the table: elements of its sets.

use std::net::{IpAddr, SocketAddr};

use hyperbox_types::Protocol;

use super::packet::Ip;
use super::scheme::LOOPBACK6;

/// Length of an interface name in a register.
const NAME_LENGTH: usize = 16;

/// An element of one of the table's sets; ordered by set, so that those of one set follow each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element {
    pub(super) set: &'static str,
    pub(super) key: Vec<u8>,
    /// Empty where the set is no map.
    pub(super) data: Vec<u8>,
}

impl Element {
    /// Returns set and key: what there can be one of.
    pub(super) fn place(&self) -> (&'static str, &[u8]) {
        (self.set, &self.key)
    }

    /// Names of interfaces, one or two as the set has them.
    pub(super) fn of_names(set: &'static str, names: &[&str]) -> Self {
        Self {
            set,
            key: names.iter().flat_map(|name| name_key(name)).collect(),
            data: Vec::new(),
        }
    }

    /// The address that an interface's packets leave with.
    pub(super) fn of_source(set: &'static str, name: &str, address: IpAddr) -> Self {
        Self {
            set,
            key: name_key(name).to_vec(),
            data: octets(address),
        }
    }

    /// A published port: packets to `port` of `host`, or of every address of the target's family if that is unspecified, go to `target`.
    pub(super) fn of_port(protocol: Protocol, host: SocketAddr, target: SocketAddr) -> Self {
        let sets = Ip::of(target.ip()).sets();
        let everywhere = host.ip().is_unspecified();
        let mut key = if everywhere { Vec::new() } else { octets(host.ip()) };
        key.extend(protocol_and_port(protocol, host.port()));
        let mut data = octets(target.ip());
        data.extend(port(target.port()));
        Self {
            set: if everywhere { sets.ports } else { sets.ports_at },
            key,
            data,
        }
    }

    /// A port of this machine that leads to the container that asks.
    pub(super) fn of_own(protocol: Protocol, host: SocketAddr, container: IpAddr) -> Self {
        let sets = Ip::of(container).sets();
        let mut key = octets(container);
        key.extend(protocol_and_port(protocol, host.port()));
        Self {
            set: if host.ip().is_unspecified() {
                sets.own
            } else {
                sets.own_at
            },
            key,
            data: Vec::new(),
        }
    }

    /// A published port that is reached from `::1` without the forwarder.
    pub(super) fn of_loopback(protocol: Protocol, host: SocketAddr) -> Self {
        Self {
            set: LOOPBACK6,
            key: protocol_and_port(protocol, host.port()).to_vec(),
            data: Vec::new(),
        }
    }

    /// A container's port that may be reached without translation.
    pub(super) fn of_direct(protocol: Protocol, target: SocketAddr) -> Self {
        let mut key = octets(target.ip());
        key.extend(protocol_and_port(protocol, target.port()));
        Self {
            set: Ip::of(target.ip()).sets().direct,
            key,
            data: Vec::new(),
        }
    }
}

impl Ip {
    /// Returns the family of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Each part of a concatenation fills whole registers.
fn port(number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [high, low, 0, 0]
}

fn protocol_and_port(protocol: Protocol, number: u16) -> [u8; 8] {
    let [high, low, ..] = port(number);
    [protocol.number(), 0, 0, 0, high, low, 0, 0]
}

/// An interface name as a key of a set.
fn name_key(name: &str) -> [u8; NAME_LENGTH] {
    let mut key = [0; NAME_LENGTH];
    for (to, from) in key.iter_mut().zip(name.bytes().take(NAME_LENGTH - 1)) {
        *to = from;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_keys_of_whole_registers() {
        let target: SocketAddr = "10.0.0.2:8080".parse().unwrap();
        let everywhere = Element::of_port(Protocol::Tcp, "0.0.0.0:80".parse().unwrap(), target);
        assert_eq!(
            (everywhere.set, everywhere.key, everywhere.data),
            (
                "ports4",
                vec![6, 0, 0, 0, 0, 80, 0, 0],
                vec![10, 0, 0, 2, 0x1f, 0x90, 0, 0]
            )
        );
        let one = Element::of_port(Protocol::Udp, "127.0.0.1:53".parse().unwrap(), target);
        assert_eq!(
            (one.set, one.key),
            ("ports4at", vec![127, 0, 0, 1, 17, 0, 0, 0, 0, 53, 0, 0])
        );
        let six = Element::of_port(
            Protocol::Sctp,
            "[::]:9".parse().unwrap(),
            "[fd00::2]:9".parse().unwrap(),
        );
        assert_eq!((six.set, six.data.len()), ("ports6", 20));
        let direct = Element::of_direct(Protocol::Tcp, target);
        assert_eq!((direct.set, direct.key.len()), ("direct4", 12));
    }

    #[test]
    fn names_are_padded() {
        let element = Element::of_names("within", &["br0", "br0"]);
        assert_eq!(element.key.len(), 32);
        assert_eq!(
            (&element.key[..4], &element.key[16..20]),
            (&b"br0\0"[..], &b"br0\0"[..])
        );
    }
}
