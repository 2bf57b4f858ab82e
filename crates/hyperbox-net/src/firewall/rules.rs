// SPDX-License-Identifier: MIT
//! The table's rules, as data. The whole table in nft's own words is in the tests.
//!
//! A rule carries a comment that says which rule and which version of it it is. A change of a rule's content changes its comment, so that a
//! table that another version of this program made is recognised.

use crate::netlink::Message;

use super::loopback::PASSED;
use super::packet::{
    Address, Ip, Membership, Meta, REGISTER, Translation, Verdict, address, clear_mark, family_is, from_loopback,
    is_link_local_ipv6, is_loopback_ipv4, is_loopback_ipv6, known_connection, link_source_is, lookup, mapped,
    masquerade, meta, name_in, names_in, protocol_and_port, protocol_is, redirect, set_mark, to_this_machine,
    translate, translated, unknown_connection, verdict,
};
use super::scheme::{
    ANSWERS, APART, BRIDGES, FORWARD, FORWARDED, GUARD, INPUT, INTERNAL, LOOPBACK, LOOPBACK6, OUTPUT, PASSED_MARK,
    PORTS, POSTROUTING, PREROUTING, RECEIVED, SOURCE4, SOURCE6, TRUSTED, WITHIN,
};

/// ICMP and ICMPv6.
const PING4: u8 = 1;
const PING6: u8 = 58;

/// One of our rules.
pub(super) struct Rule {
    pub(super) chain: &'static str,
    /// Which rule it is, in which version.
    pub(super) comment: &'static str,
    pub(super) content: fn(&mut Message),
}

const fn rule(chain: &'static str, comment: &'static str, content: fn(&mut Message)) -> Rule {
    Rule {
        chain,
        comment,
        content,
    }
}

/// All rules, in order.
pub(super) const RULES: [Rule; 52] = [
    // `route_localnet` on a bridge opens 127.0.0.0/8 of this machine to it, and what `loopback` sets up opens ::1. Translation back
    // happens after these.
    rule(GUARD, "2: from containers", |list| {
        name_in(list, Meta::InputName, BRIDGES, Membership::In);
        verdict(list, Verdict::Jump(LOOPBACK));
    }),
    rule(LOOPBACK, "1: to IPv4 loopback", |list| {
        is_loopback_ipv4(list, Address::Destination);
        verdict(list, Verdict::Drop);
    }),
    rule(LOOPBACK, "1: from IPv4 loopback", |list| {
        is_loopback_ipv4(list, Address::Source);
        verdict(list, Verdict::Drop);
    }),
    rule(LOOPBACK, "1: to IPv6 loopback", |list| {
        is_loopback_ipv6(list, Address::Destination);
        verdict(list, Verdict::Drop);
    }),
    rule(LOOPBACK, "1: from IPv6 loopback", |list| {
        is_loopback_ipv6(list, Address::Source);
        verdict(list, Verdict::Drop);
    }),
    // Of what a bridge passed to the loopback interface only answers go on.
    rule(ANSWERS, "1: from a bridge", |list| {
        from_loopback(list);
        link_source_is(list, PASSED);
        unknown_connection(list);
        verdict(list, Verdict::Drop);
    }),
    // The kernel drops such packets from outside, but only if they are not translated first.
    rule(PREROUTING, "1: loopback from outside", |list| {
        is_loopback_ipv4(list, Address::Destination);
        verdict(list, Verdict::Accept);
    }),
    rule(PREROUTING, "1: ports", jump_to_ports),
    rule(OUTPUT, "1: ports", jump_to_ports),
    // Where the kernel has no way for its answers the listening sockets serve the port.
    rule(PORTS, "2: IPv6 loopback", |list| {
        is_loopback_ipv6(list, Address::Destination);
        protocol_and_port(list, REGISTER);
        lookup(list, LOOPBACK6, Membership::NotIn);
        verdict(list, Verdict::Accept);
    }),
    // Packets with these IPv6 addresses must not leave their link: the listening sockets serve them.
    rule(PORTS, "1: to a link-local address", |list| {
        is_link_local_ipv6(list, Address::Destination);
        verdict(list, Verdict::Accept);
    }),
    rule(PORTS, "1: from a link-local address", |list| {
        is_link_local_ipv6(list, Address::Source);
        verdict(list, Verdict::Accept);
    }),
    // A container that asks for its own port is served by the socket that holds it. The kernel could not: where bridged packets are
    // filtered too, the bridge would have to send such a packet back where it came from. A socket for all addresses answers datagrams from
    // an address of its choice: the redirection puts that right.
    rule(PORTS, "1: IPv4, own port of one address", |list| {
        own_port_at(list, Ip::V4);
    }),
    rule(PORTS, "1: IPv6, own port of one address", |list| {
        own_port_at(list, Ip::V6);
    }),
    rule(PORTS, "1: IPv4, own port", |list| own_port(list, Ip::V4)),
    rule(PORTS, "1: IPv6, own port", |list| own_port(list, Ip::V6)),
    rule(PORTS, "1: IPv4, one address", |list| port_at(list, Ip::V4)),
    rule(PORTS, "1: IPv4, all addresses", |list| port(list, Ip::V4)),
    rule(PORTS, "1: IPv6, one address", |list| port_at(list, Ip::V6)),
    rule(PORTS, "1: IPv6, all addresses", |list| port(list, Ip::V6)),
    rule(POSTROUTING, "1: from this machine's loopback", |list| {
        is_loopback_ipv4(list, Address::Source);
        name_in(list, Meta::OutputName, BRIDGES, Membership::In);
        masquerade(list);
    }),
    rule(POSTROUTING, "1: from this machine's IPv6 loopback", |list| {
        is_loopback_ipv6(list, Address::Source);
        name_in(list, Meta::OutputName, BRIDGES, Membership::In);
        masquerade(list);
    }),
    // Otherwise the answer would go straight to the asking container, from an address that it did not ask.
    rule(POSTROUTING, "1: to a port published by the same network", |list| {
        names_in(list, WITHIN);
        translated(list);
        masquerade(list);
    }),
    rule(POSTROUTING, "1: IPv4 with a chosen address", |list| {
        chosen_source(list, Ip::V4, SOURCE4);
    }),
    rule(POSTROUTING, "1: IPv6 with a chosen address", |list| {
        chosen_source(list, Ip::V6, SOURCE6);
    }),
    rule(POSTROUTING, "1: IPv4 to the outside", |list| outwards(list, Ip::V4)),
    rule(POSTROUTING, "1: IPv6 to the outside", |list| outwards(list, Ip::V6)),
    // Others' filters let pass what these chains have marked and not dropped (`foreign`).
    rule(FORWARD, "1: mark what comes from containers", |list| {
        name_in(list, Meta::InputName, BRIDGES, Membership::In);
        set_mark(list, PASSED_MARK);
    }),
    rule(FORWARD, "1: mark what goes to containers", |list| {
        name_in(list, Meta::OutputName, BRIDGES, Membership::In);
        set_mark(list, PASSED_MARK);
    }),
    rule(FORWARD, "1: answers", |list| {
        known_connection(list);
        verdict(list, Verdict::Accept);
    }),
    // The bridge keeps such containers apart, but they could ask this machine to pass their packets on.
    rule(FORWARD, "1: ports published within a network", |list| {
        names_in(list, APART);
        translated(list);
        verdict(list, Verdict::Accept);
    }),
    rule(FORWARD, "1: containers kept apart", |list| {
        names_in(list, APART);
        verdict(list, Verdict::Drop);
    }),
    rule(FORWARD, "1: within a network", |list| {
        names_in(list, WITHIN);
        verdict(list, Verdict::Accept);
    }),
    rule(FORWARD, "1: out of an internal network", |list| {
        name_in(list, Meta::InputName, INTERNAL, Membership::In);
        verdict(list, Verdict::Drop);
    }),
    rule(FORWARD, "1: into an internal network", |list| {
        name_in(list, Meta::OutputName, INTERNAL, Membership::In);
        verdict(list, Verdict::Drop);
    }),
    rule(FORWARD, "1: published ports", |list| {
        name_in(list, Meta::OutputName, BRIDGES, Membership::In);
        translated(list);
        verdict(list, Verdict::Accept);
    }),
    rule(FORWARD, "1: IPv4, routed ports", |list| routed_ports(list, Ip::V4)),
    rule(FORWARD, "1: IPv6, routed ports", |list| routed_ports(list, Ip::V6)),
    rule(FORWARD, "1: IPv4, routed ping", |list| routed_ping(list, Ip::V4, PING4)),
    rule(FORWARD, "1: IPv6, routed ping", |list| routed_ping(list, Ip::V6, PING6)),
    rule(FORWARD, "1: isolation", |list| {
        name_in(list, Meta::InputName, BRIDGES, Membership::In);
        name_in(list, Meta::OutputName, BRIDGES, Membership::In);
        verdict(list, Verdict::Drop);
    }),
    rule(FORWARD, "1: IPv4, unprotected", |list| unprotected(list, Ip::V4)),
    rule(FORWARD, "1: IPv6, unprotected", |list| unprotected(list, Ip::V6)),
    rule(FORWARD, "1: IPv4, trusted interfaces", |list| trusted(list, Ip::V4)),
    rule(FORWARD, "1: IPv6, trusted interfaces", |list| trusted(list, Ip::V6)),
    rule(FORWARD, "1: the rest from outside", |list| {
        name_in(list, Meta::OutputName, BRIDGES, Membership::In);
        verdict(list, Verdict::Drop);
    }),
    rule(FORWARDED, "1: unmark what comes from containers", |list| {
        name_in(list, Meta::InputName, BRIDGES, Membership::In);
        clear_mark(list, PASSED_MARK);
    }),
    rule(FORWARDED, "1: unmark what goes to containers", |list| {
        name_in(list, Meta::OutputName, BRIDGES, Membership::In);
        clear_mark(list, PASSED_MARK);
    }),
    // A container that asks for its own port, which a socket of this machine serves.
    rule(INPUT, "1: mark own ports", |list| {
        name_in(list, Meta::InputName, BRIDGES, Membership::In);
        translated(list);
        set_mark(list, PASSED_MARK);
    }),
    rule(INPUT, "1: IPv4, mark own ports of one address", |list| {
        mark_own_port_at(list, Ip::V4);
    }),
    rule(INPUT, "1: IPv6, mark own ports of one address", |list| {
        mark_own_port_at(list, Ip::V6);
    }),
    rule(RECEIVED, "1: unmark own ports", |list| {
        name_in(list, Meta::InputName, BRIDGES, Membership::In);
        clear_mark(list, PASSED_MARK);
    }),
];

fn jump_to_ports(list: &mut Message) {
    to_this_machine(list);
    verdict(list, Verdict::Jump(PORTS));
}

fn port(list: &mut Message, ip: Ip) {
    family_is(list, ip);
    protocol_and_port(list, REGISTER);
    mapped(list, ip.sets().ports);
    translate(list, Translation::Destination, ip);
}

fn port_at(list: &mut Message, ip: Ip) {
    destination_and_port(list, ip);
    mapped(list, ip.sets().ports_at);
    translate(list, Translation::Destination, ip);
}

fn own_port_at(list: &mut Message, ip: Ip) {
    source_and_port(list, ip);
    lookup(list, ip.sets().own_at, Membership::In);
    verdict(list, Verdict::Accept);
}

fn mark_own_port_at(list: &mut Message, ip: Ip) {
    source_and_port(list, ip);
    lookup(list, ip.sets().own_at, Membership::In);
    set_mark(list, PASSED_MARK);
}

fn own_port(list: &mut Message, ip: Ip) {
    source_and_port(list, ip);
    lookup(list, ip.sets().own, Membership::In);
    redirect(list);
}

fn source_and_port(list: &mut Message, ip: Ip) {
    family_is(list, ip);
    address(list, Address::Source, ip, REGISTER);
    protocol_and_port(list, REGISTER + ip.length() / 4);
}

fn destination_and_port(list: &mut Message, ip: Ip) {
    family_is(list, ip);
    address(list, Address::Destination, ip, REGISTER);
    protocol_and_port(list, REGISTER + ip.length() / 4);
}

fn outwards(list: &mut Message, ip: Ip) {
    family_is(list, ip);
    name_in(list, Meta::InputName, ip.sets().masqueraded, Membership::In);
    name_in(list, Meta::OutputName, BRIDGES, Membership::NotIn);
    masquerade(list);
}

fn chosen_source(list: &mut Message, ip: Ip, map: &str) {
    family_is(list, ip);
    name_in(list, Meta::OutputName, BRIDGES, Membership::NotIn);
    meta(list, Meta::InputName, REGISTER);
    mapped(list, map);
    translate(list, Translation::Source, ip);
}

fn unprotected(list: &mut Message, ip: Ip) {
    family_is(list, ip);
    name_in(list, Meta::OutputName, ip.sets().open, Membership::In);
    verdict(list, Verdict::Accept);
}

fn routed_ports(list: &mut Message, ip: Ip) {
    name_in(list, Meta::OutputName, ip.sets().routed, Membership::In);
    destination_and_port(list, ip);
    lookup(list, ip.sets().direct, Membership::In);
    verdict(list, Verdict::Accept);
}

fn routed_ping(list: &mut Message, ip: Ip, protocol: u8) {
    name_in(list, Meta::OutputName, ip.sets().routed, Membership::In);
    protocol_is(list, protocol);
    verdict(list, Verdict::Accept);
}

fn trusted(list: &mut Message, ip: Ip) {
    names_in(list, TRUSTED);
    destination_and_port(list, ip);
    lookup(list, ip.sets().direct, Membership::In);
    verdict(list, Verdict::Accept);
}
