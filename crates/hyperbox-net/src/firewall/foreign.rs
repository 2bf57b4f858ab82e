// SPDX-License-Identifier: MIT
//! Passes other firewalls: exceptions in the chains that would drop our packets.
//!
//! An accept ends the evaluation of its own base chain only, so a drop in anybody's forward chain wins over our table. Docker sets the
//! policy of `FORWARD` in `ip filter` and `ip6 filter` to drop, for the whole machine; it jumps to `DOCKER-USER` first, never changes
//! what is in there, and its documentation sends administrators there. ufw and others drop in `FORWARD` of the same tables; where there
//! is no `DOCKER-USER` our exceptions go to its head. firewalld rejects in `filter_FORWARD` of `inet firewalld`; its newer versions own
//! their table, which the kernel lets nobody else change. Then, and with the legacy interface of iptables, only a warning is left.
//!
//! The rules have exactly the form that iptables gives to `-i BRIDGE -j ACCEPT`, `-o BRIDGE -m conntrack --ctstate RELATED,ESTABLISHED
//! -j ACCEPT` and the same with `--ctstate DNAT`, so that its programs go on to work. (In one rule the nft program would show
//! only a part of the states.) Their order: ours are first in their chain.

use std::io;

use crate::netlink::{Attributes, Message, Socket, flag, text};

use super::message::{FAMILY_INET, FAMILY_IPV4, FAMILY_IPV6, STRUCTURE, Verb, commit, found, message};
use super::packet::{DATA_VALUE, Meta, Verdict, count, iptables_match, is, meta, verdict};

const POLICY_DROP: u32 = 0;
/// `NFT_REG_1`: what iptables uses.
const REGISTER: u32 = 1;

/// A chain that others keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    family: u8,
    table: &'static str,
    chain: &'static str,
}

const fn place(family: u8, table: &'static str, chain: &'static str) -> Place {
    Place { family, table, chain }
}

const FIREWALLD: Place = place(FAMILY_INET, "firewalld", "filter_FORWARD");

/// Chains that are there for exceptions, and the base chains behind them.
const FILTERS: [(Place, Place); 2] = [
    (
        place(FAMILY_IPV4, "filter", "DOCKER-USER"),
        place(FAMILY_IPV4, "filter", "FORWARD"),
    ),
    (
        place(FAMILY_IPV6, "filter", "DOCKER-USER"),
        place(FAMILY_IPV6, "filter", "FORWARD"),
    ),
];

/// One of our rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exception {
    /// What comes from containers.
    From,
    /// What belongs to a connection that is known.
    Answers,
    /// What goes to a published port.
    Published,
}

impl Exception {
    const ALL: [Self; 3] = [Self::From, Self::Answers, Self::Published];

    fn side(self) -> Meta {
        match self {
            Self::From => Meta::InputName,
            Self::Answers | Self::Published => Meta::OutputName,
        }
    }

    /// The expressions of the rule.
    fn shape(self) -> &'static [&'static str] {
        match self {
            Self::From => &["meta", "cmp", "counter", "immediate"],
            Self::Answers | Self::Published => &["meta", "cmp", "match", "counter", "immediate"],
        }
    }

    /// `struct xt_conntrack_mtinfo3`, where the rule looks at the connection.
    fn connection(self) -> Option<[u8; 168]> {
        let states: u16 = match self {
            Self::From => return None,
            // XT_CONNTRACK_STATE_BIT of ESTABLISHED and RELATED.
            Self::Answers => 0x06,
            // XT_CONNTRACK_STATE_DNAT.
            Self::Published => 0x80,
        };
        let mut info = [0; 168];
        // match_flags = XT_CONNTRACK_STATE, then invert_flags and state_mask.
        info[146..148].copy_from_slice(&1_u16.to_ne_bytes());
        info[150..152].copy_from_slice(&states.to_ne_bytes());
        Some(info)
    }
}

/// One of our rules that is there.
#[derive(Debug, PartialEq, Eq)]
struct Present {
    exception: Exception,
    handle: Vec<u8>,
}

/// Returns whether a table is one in which exceptions may be needed.
pub(super) fn concerns(table: &str) -> bool {
    matches!(table, "filter" | "firewalld")
}

/// Warns of the legacy interface of iptables, whose rules are not nftables': it has a filter table only if somebody uses it.
pub(super) fn warn_of_what_cannot_be_passed() {
    for (names, program) in [
        ("/proc/net/ip_tables_names", "iptables-legacy"),
        ("/proc/net/ip6_tables_names", "ip6tables-legacy"),
    ] {
        let tables = std::fs::read_to_string(names).unwrap_or_default();
        if tables.lines().any(|table| table == "filter") {
            tracing::warn!("{program} has filter rules: if they drop in FORWARD, containers are not reachable");
        }
    }
}

/// Adds what is missing for a bridge, wherever its packets would be dropped.
pub(super) fn accept(socket: &mut Socket, bridge: &str) -> io::Result<()> {
    for (exceptions, base) in FILTERS {
        match policy(socket, exceptions)? {
            Some(_) => accept_at(socket, exceptions, bridge)?,
            None if policy(socket, base)? == Some(Some(POLICY_DROP)) => accept_at(socket, base, bridge)?,
            None => {}
        }
    }
    if policy(socket, FIREWALLD)?.is_some() {
        accept_at(socket, FIREWALLD, bridge)?;
    }
    Ok(())
}

/// Removes the rules of a bridge.
pub(super) fn forget(socket: &mut Socket, bridge: &str) -> io::Result<()> {
    let places = FILTERS.into_iter().flat_map(|(exceptions, base)| [exceptions, base]);
    for place in places.chain([FIREWALLD]) {
        let removals = present(socket, place, bridge)?.into_iter().map(|rule| {
            let mut removal = message(Verb::DeleteRule, place.family, 0);
            removal.text(1, place.table).text(2, place.chain).bytes(3, &rule.handle);
            removal
        });
        let messages: Vec<_> = removals.collect();
        if !messages.is_empty() {
            commit(socket, messages)?;
        }
    }
    Ok(())
}

fn accept_at(socket: &mut Socket, place: Place, bridge: &str) -> io::Result<()> {
    let present = present(socket, place, bridge)?;
    let missing = Exception::ALL
        .into_iter()
        .filter(|exception| !present.iter().any(|rule| rule.exception == *exception));
    // Without APPEND a rule becomes the first.
    let messages: Vec<_> = missing.map(|exception| rule(place, exception, bridge)).collect();
    if messages.is_empty() {
        Ok(())
    } else {
        commit(socket, messages)
    }
}

/// Returns nothing if there is no such chain, and its policy if it is a base chain.
fn policy(socket: &mut Socket, place: Place) -> io::Result<Option<Option<u32>>> {
    let mut request = message(Verb::GetChain, place.family, 0);
    request.text(1, place.table).text(3, place.chain);
    let chain = found(socket.query(request))?;
    Ok(chain.map(|body| {
        let policy = Attributes::after(&body, STRUCTURE).find(5)?;
        policy.try_into().ok().map(u32::from_be_bytes)
    }))
}

fn rule(place: Place, exception: Exception, bridge: &str) -> Message {
    let mut rule = message(Verb::NewRule, place.family, flag::CREATE);
    rule.text(1, place.table).text(2, place.chain).nest(4, |list| {
        meta(list, exception.side(), REGISTER);
        // Only the name and its NUL are compared, as iptables does.
        is(list, REGISTER, &[bridge.as_bytes(), b"\0"].concat());
        if let Some(info) = exception.connection() {
            iptables_match(list, "conntrack", 3, &info);
        }
        count(list);
        verdict(list, Verdict::Accept);
    });
    rule
}

fn present(socket: &mut Socket, place: Place, bridge: &str) -> io::Result<Vec<Present>> {
    let mut request = message(Verb::GetRule, place.family, flag::DUMP);
    request.text(1, place.table).text(2, place.chain);
    let rules = found(socket.dump(&request, |body| recognise(body, place, bridge)))?;
    Ok(rules.unwrap_or_default())
}

/// Recognises one of our rules by its form; anything an administrator added looks different in some expression.
fn recognise(body: &[u8], place: Place, bridge: &str) -> Option<Present> {
    let attributes = Attributes::after(body, STRUCTURE);
    let is = |kind, name| attributes.find(kind).and_then(text) == Some(name);
    if !is(1, place.table) || !is(2, place.chain) {
        return None;
    }
    let expressions: Vec<_> = attributes
        .nested(4)
        .map(|element| Attributes::new(element.value))
        .collect();
    let names: Vec<_> = expressions
        .iter()
        .filter_map(|expression| expression.find(1).and_then(text))
        .collect();
    let key = expressions.first()?.nested(2).find(2)?;
    let info = expressions.get(2)?.nested(2).find(3);
    let exception = Exception::ALL.into_iter().find(|exception| {
        let states = exception.connection();
        key == (exception.side() as u32).to_be_bytes()
            && names == exception.shape()
            // The kernel pads what it lists.
            && states.is_none_or(|states| info.is_some_and(|info| info.starts_with(&states)))
    })?;
    let compared = expressions.get(1)?.nested(2).nested(3).find(DATA_VALUE).and_then(text);
    let verdict = expressions.last()?.nested(2).nested(2).nested(2).find(1);
    (compared == Some(bridge) && verdict == Some(&1_u32.to_be_bytes()[..])).then(|| Present {
        exception,
        handle: attributes.find(3).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_rule_is_read_without_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            proptest::prop_assert_eq!(recognise(&body, FIREWALLD, "hyperbox0"), None);
        }
    }
}
