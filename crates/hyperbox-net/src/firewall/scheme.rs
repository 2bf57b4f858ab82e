// SPDX-License-Identifier: MIT
//! The table's sets and chains, as data. Their number is fixed: networks and ports are elements of the sets.

use super::packet::Ip;

/// Data types as the nft program numbers them; it only uses them to show elements.
const IPV4_ADDRESS: u32 = 7;
const IPV6_ADDRESS: u32 = 8;
const PROTOCOL: u32 = 12;
const SERVICE: u32 = 13;
const INTERFACE_NAME: u32 = 41;
/// How it numbers concatenations: six bits for each part.
const fn types(parts: &[u32]) -> u32 {
    let (mut number, mut index) = (0, 0);
    while index < parts.len() {
        number = (number << 6) | parts[index];
        index += 1;
    }
    number
}

/// A set, or a map when its elements have data.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: &'static str,
    /// Type of the keys, and their length in bytes; each part of a concatenation takes a multiple of four.
    pub(super) key: (u32, u32),
    /// The same of the data.
    pub(super) data: Option<(u32, u32)>,
}

const fn set(name: &'static str, parts: &[u32], length: u32) -> Set {
    Set {
        name,
        key: (types(parts), length),
        data: None,
    }
}

const fn map(name: &'static str, key: (&[u32], u32), data: (&[u32], u32)) -> Set {
    Set {
        name,
        key: (types(key.0), key.1),
        data: Some((types(data.0), data.1)),
    }
}

/// All bridges of the instance.
pub(super) const BRIDGES: &str = "bridges";
/// Each bridge with itself: packets that stay in a network.
pub(super) const WITHIN: &str = "within";
/// Each bridge with itself whose containers may not speak to each other.
pub(super) const APART: &str = "apart";
/// Bridges of networks without a way out or in.
pub(super) const INTERNAL: &str = "internal";
/// Outer interfaces, with the bridge whose published ports they reach without translation.
pub(super) const TRUSTED: &str = "trusted";
/// The address that a bridge's packets leave with, where it is not the outer interface's.
pub(super) const SOURCE4: &str = "source4";
pub(super) const SOURCE6: &str = "source6";

/// Published ports that the kernel leads to containers from `::1`, too.
pub(super) const LOOPBACK6: &str = "loopback6";

/// The sets of which there is one for each family.
#[derive(Debug, Clone, Copy)]
pub(super) struct FamilySets {
    /// Bridges whose packets leave with the outer interface's address.
    pub(super) masqueraded: &'static str,
    /// Bridges whose containers can be reached from everywhere without translation.
    pub(super) open: &'static str,
    /// Bridges whose containers' published ports can be reached from everywhere without translation, and by ping.
    pub(super) routed: &'static str,
    /// Published ports of containers that can be reached without translation.
    pub(super) direct: &'static str,
    /// Containers with the ports of all addresses of this machine that lead to themselves.
    pub(super) own: &'static str,
    /// Containers with the ports of one address of this machine that lead to themselves.
    pub(super) own_at: &'static str,
    /// Published ports of all addresses of this machine.
    pub(super) ports: &'static str,
    /// Published ports of one address of this machine.
    pub(super) ports_at: &'static str,
}

const FAMILY4: FamilySets = FamilySets {
    masqueraded: "masquerade4",
    open: "open4",
    routed: "routed4",
    direct: "direct4",
    own: "own4",
    own_at: "own4at",
    ports: "ports4",
    ports_at: "ports4at",
};
const FAMILY6: FamilySets = FamilySets {
    masqueraded: "masquerade6",
    open: "open6",
    routed: "routed6",
    direct: "direct6",
    own: "own6",
    own_at: "own6at",
    ports: "ports6",
    ports_at: "ports6at",
};

impl Ip {
    /// Returns the names of the family's sets.
    pub(super) fn sets(self) -> FamilySets {
        match self {
            Self::V4 => FAMILY4,
            Self::V6 => FAMILY6,
        }
    }
}

/// All sets.
pub(super) const SETS: [Set; 24] = [
    set(BRIDGES, &[INTERFACE_NAME], 16),
    set(WITHIN, &[INTERFACE_NAME, INTERFACE_NAME], 32),
    set(APART, &[INTERFACE_NAME, INTERFACE_NAME], 32),
    set(INTERNAL, &[INTERFACE_NAME], 16),
    set(TRUSTED, &[INTERFACE_NAME, INTERFACE_NAME], 32),
    map(SOURCE4, (&[INTERFACE_NAME], 16), (&[IPV4_ADDRESS], 4)),
    map(SOURCE6, (&[INTERFACE_NAME], 16), (&[IPV6_ADDRESS], 16)),
    set(FAMILY4.masqueraded, &[INTERFACE_NAME], 16),
    set(FAMILY6.masqueraded, &[INTERFACE_NAME], 16),
    set(FAMILY4.open, &[INTERFACE_NAME], 16),
    set(FAMILY6.open, &[INTERFACE_NAME], 16),
    set(FAMILY4.routed, &[INTERFACE_NAME], 16),
    set(FAMILY6.routed, &[INTERFACE_NAME], 16),
    set(FAMILY4.direct, &[IPV4_ADDRESS, PROTOCOL, SERVICE], 12),
    set(FAMILY6.direct, &[IPV6_ADDRESS, PROTOCOL, SERVICE], 24),
    set(FAMILY4.own, &[IPV4_ADDRESS, PROTOCOL, SERVICE], 12),
    set(FAMILY6.own, &[IPV6_ADDRESS, PROTOCOL, SERVICE], 24),
    set(FAMILY4.own_at, &[IPV4_ADDRESS, PROTOCOL, SERVICE], 12),
    set(FAMILY6.own_at, &[IPV6_ADDRESS, PROTOCOL, SERVICE], 24),
    set(LOOPBACK6, &[PROTOCOL, SERVICE], 8),
    map(FAMILY4.ports, (&[PROTOCOL, SERVICE], 8), (&[IPV4_ADDRESS, SERVICE], 8)),
    map(FAMILY6.ports, (&[PROTOCOL, SERVICE], 8), (&[IPV6_ADDRESS, SERVICE], 20)),
    map(
        FAMILY4.ports_at,
        (&[IPV4_ADDRESS, PROTOCOL, SERVICE], 12),
        (&[IPV4_ADDRESS, SERVICE], 8),
    ),
    map(
        FAMILY6.ports_at,
        (&[IPV6_ADDRESS, PROTOCOL, SERVICE], 24),
        (&[IPV6_ADDRESS, SERVICE], 20),
    ),
];

/// A chain, and where packets enter it from the kernel; others jump to one that has no such place.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) place: Option<Place>,
}

/// Type of a base chain, hook (`NF_INET_…`) and priority.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) hook: u32,
    pub(super) priority: i32,
}

const fn base(name: &'static str, kind: &'static str, hook: u32, priority: i32) -> Chain {
    Chain {
        name,
        place: Some(Place { kind, hook, priority }),
    }
}

pub(super) const GUARD: &str = "guard";
pub(super) const LOOPBACK: &str = "loopback";
pub(super) const ANSWERS: &str = "answers";
pub(super) const PORTS: &str = "ports";
pub(super) const PREROUTING: &str = "prerouting";
pub(super) const OUTPUT: &str = "output";
pub(super) const POSTROUTING: &str = "postrouting";
pub(super) const FORWARD: &str = "forward";
pub(super) const FORWARDED: &str = "forwarded";
pub(super) const INPUT: &str = "input";
pub(super) const RECEIVED: &str = "received";

/// The bit of a packet's mark by which others' chains know what ours let pass. It is set before theirs and cleared behind them,
/// so that nothing beside the filters of this machine sees it. Kubernetes, Podman, Tailscale and WireGuard's tools use other bits.
pub(super) const PASSED_MARK: u32 = 0x1000;

/// All chains; one that others jump to stands before them.
pub(super) const CHAINS: [Chain; 11] = [
    Chain {
        name: LOOPBACK,
        place: None,
    },
    Chain {
        name: PORTS,
        place: None,
    },
    base(GUARD, "filter", 0, -300),
    // Connections are known from -200 on, and translated at -100.
    base(ANSWERS, "filter", 0, -150),
    base(PREROUTING, "nat", 0, -100),
    base(OUTPUT, "nat", 3, -100),
    base(POSTROUTING, "nat", 4, 100),
    // Others' filters are at 0, firewalld's at 10.
    base(FORWARD, "filter", 2, -1),
    base(FORWARDED, "filter", 2, 1000),
    base(INPUT, "filter", 1, -1),
    base(RECEIVED, "filter", 1, 1000),
];
