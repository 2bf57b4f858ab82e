// SPDX-License-Identifier: MIT
//! Passes other firewalls: an exception in the chains that would drop our packets.
//!
//! An accept ends the evaluation of its own base chain only, so a drop in anybody's chain wins over our table. Docker sets the
//! policy of `FORWARD` in `ip filter` and `ip6 filter` to drop, for the whole machine; it jumps to `DOCKER-USER` first, never changes
//! what is in there, and its documentation sends administrators there. ufw and others drop in `FORWARD` and `INPUT` of the same tables; where
//! there is no `DOCKER-USER` our exceptions go to their heads. firewalld rejects in `filter_FORWARD` of `inet firewalld`; its newer versions
//! own their table, which the kernel lets nobody else change: then `zones` has to do. With the legacy interface of iptables, only a
//! warning is left.
//!
//! What may pass, our own chains decide, which come before theirs: they mark it ([`PASSED_MARK`]), and an exception is one rule for each instance,
//! however many networks there are. It has exactly the form that iptables gives to `-m mark --mark 0x1000/0x1000 -m comment --comment
//! TABLE -j ACCEPT`, so that its programs go on to work, and what they save and restore is recognised. Ours are first in their chain.

use std::collections::BTreeSet;
use std::io;

use rustix::io::Errno;

use crate::link_name;
use crate::netlink::{Attributes, Message, Socket, flag, text};

use super::message::{FAMILY_INET, FAMILY_IPV4, FAMILY_IPV6, STRUCTURE, Verb, commit, found, message};
use super::packet::{Verdict, count, iptables_match, mark_has, verdict};
use super::scheme::PASSED_MARK;

const POLICY_DROP: u32 = 0;
/// `NFT_REG_1`: what iptables uses.
const REGISTER: u32 = 1;
/// How often rules are listed again that others change meanwhile.
const ATTEMPTS: usize = 16;
/// Length of `struct xt_comment_info`.
const COMMENT: usize = 256;
/// The expressions of our rule.
const SHAPE: [&str; 6] = ["meta", "bitwise", "cmp", "match", "counter", "immediate"];

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

/// Chains that are there for exceptions, the base chains behind them, and those of packets to this machine.
const FILTERS: [[Place; 3]; 2] = [filters(FAMILY_IPV4), filters(FAMILY_IPV6)];

const fn filters(family: u8) -> [Place; 3] {
    [
        place(family, "filter", "DOCKER-USER"),
        place(family, "filter", "FORWARD"),
        place(family, "filter", "INPUT"),
    ]
}

/// How firewalld's table takes exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Firewalld {
    /// There is none.
    Absent,
    /// Ours is in it.
    Excepted,
    /// Only firewalld itself may change it.
    Owned,
}

/// One of our rules that is there.
#[derive(Debug, PartialEq, Eq)]
struct Present {
    /// Name of the instance's table.
    table: String,
    handle: Vec<u8>,
}

/// Returns whether a table is one in which exceptions may be needed.
pub(super) fn concerns(table: &str) -> bool {
    matches!(table, "filter" | "firewalld")
}

/// Warns of the legacy interface of iptables, whose rules are not nftables' and cannot be read by it, before they swallow the packets of a
/// bridge: it has a filter table only if somebody uses it. Docker says nothing then.
pub(super) fn warn_of_what_cannot_be_passed(bridge: &str) {
    for (names, program) in [
        ("/proc/thread-self/net/ip_tables_names", "iptables-legacy"),
        ("/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy"),
    ] {
        let tables = std::fs::read_to_string(names).unwrap_or_default();
        if tables.lines().any(|table| table == "filter") {
            tracing::warn!(
                bridge,
                "{program} has filter rules: if they drop in FORWARD, containers reach nothing and are not reached. {}",
                advice(program)
            );
        }
    }
}

/// The command that lets our packets pass.
fn advice(program: &str) -> String {
    format!("Then run: {program} -I FORWARD -m mark --mark {PASSED_MARK:#x}/{PASSED_MARK:#x} -j ACCEPT")
}

/// Adds what is missing for the instance with that table, wherever its packets would be dropped.
pub(super) fn accept(socket: &mut Socket, table: &str) -> io::Result<Firewalld> {
    for [exceptions, forward, input] in FILTERS {
        if policy(socket, exceptions)?.is_some() {
            accept_at(socket, exceptions, table)?;
        } else if drops(socket, forward)? {
            accept_at(socket, forward, table)?;
        }
        if drops(socket, input)? {
            accept_at(socket, input, table)?;
        }
    }
    if policy(socket, FIREWALLD)?.is_none() {
        return Ok(Firewalld::Absent);
    }
    match accept_at(socket, FIREWALLD, table) {
        Ok(()) => Ok(Firewalld::Excepted),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => Ok(Firewalld::Owned),
        Err(error) => Err(error),
    }
}

/// Removes the rules of an instance. That somebody else removes some of them at the same time is success: another instance, or whoever
/// the chain belongs to.
pub(super) fn forget(socket: &mut Socket, table: &str) -> io::Result<()> {
    places().try_for_each(|place| forget_at(socket, place, table))
}

/// Rules are removed by their handles, all or none. When one has gone since they were listed, the list is made again: whoever
/// removed it has finished, so that there is less of it each time.
fn forget_at(socket: &mut Socket, place: Place, table: &str) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        let ours = present(socket, place)?.into_iter().filter(|rule| rule.table == table);
        let removals = ours.map(|rule| {
            let mut removal = message(Verb::DeleteRule, place.family, 0);
            removal.text(1, place.table).text(2, place.chain).bytes(3, &rule.handle);
            removal
        });
        let messages: Vec<_> = removals.collect();
        if messages.is_empty() || found(commit(socket, messages))?.is_some() {
            return Ok(());
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "the rules kept changing while they were removed",
    ))
}

/// Returns every chain that may hold rules of ours.
fn places() -> impl Iterator<Item = Place> {
    FILTERS.into_iter().flatten().chain([FIREWALLD])
}

/// Returns the tables of the instances that have rules somewhere.
pub(super) fn tables(socket: &mut Socket) -> io::Result<BTreeSet<String>> {
    let mut tables = BTreeSet::new();
    for place in places() {
        tables.extend(present(socket, place)?.into_iter().map(|rule| rule.table));
    }
    Ok(tables)
}

fn accept_at(socket: &mut Socket, place: Place, table: &str) -> io::Result<()> {
    if present(socket, place)?.iter().any(|rule| rule.table == table) {
        return Ok(());
    }
    commit(socket, vec![rule(place, table)])
}

fn drops(socket: &mut Socket, place: Place) -> io::Result<bool> {
    Ok(policy(socket, place)? == Some(Some(POLICY_DROP)))
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

fn rule(place: Place, table: &str) -> Message {
    // Without APPEND a rule becomes the first.
    let mut rule = message(Verb::NewRule, place.family, flag::CREATE);
    let mut comment = table.as_bytes().to_vec();
    comment.resize(COMMENT, 0);
    rule.text(1, place.table).text(2, place.chain).nest(4, |list| {
        mark_has(list, PASSED_MARK, REGISTER);
        iptables_match(list, "comment", 0, &comment);
        count(list);
        verdict(list, Verdict::Accept);
    });
    rule
}

fn present(socket: &mut Socket, place: Place) -> io::Result<Vec<Present>> {
    let mut request = message(Verb::GetRule, place.family, flag::DUMP);
    request.text(1, place.table).text(2, place.chain);
    let rules = found(socket.dump(&request, |body| recognise(body, place)))?;
    Ok(rules.unwrap_or_default())
}

/// Recognises one of our rules by its form and its comment; anything an administrator added looks different in some expression.
fn recognise(body: &[u8], place: Place) -> Option<Present> {
    let attributes = Attributes::after(body, STRUCTURE);
    let is = |kind, name| attributes.find(kind).and_then(text) == Some(name);
    if !is(1, place.table) || !is(2, place.chain) {
        return None;
    }
    let expressions: Vec<_> = attributes
        .nested(4)
        .map(|element| Attributes::new(element.value))
        .collect();
    let names = expressions
        .iter()
        .filter_map(|expression| expression.find(1).and_then(text));
    if !names.eq(SHAPE) {
        return None;
    }
    let comment = expressions.get(3)?.nested(2);
    if comment.find(1).and_then(text) != Some("comment") {
        return None;
    }
    let table = comment
        .find(3)
        .and_then(text)
        .filter(|name| link_name::is_table(name))?;
    let verdict = expressions.last()?.nested(2).nested(2).nested(2).find(1);
    (verdict == Some(&1_u32.to_be_bytes()[..])).then(|| Present {
        table: table.to_owned(),
        handle: attributes.find(3).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_rule_is_read_without_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            proptest::prop_assert_eq!(recognise(&body, FIREWALLD), None);
        }
    }
}
