// SPDX-License-Identifier: MIT
//! Passes Docker's firewall: exceptions in the chain that Docker leaves to others.
//!
//! Docker sets the policy of `ip filter FORWARD` to drop, for the whole machine. It jumps to `DOCKER-USER` first, never changes what is
//! in there, and its documentation sends administrators there. The rules have exactly the form that iptables gives to
//! `-i BRIDGE -j ACCEPT` and `-o BRIDGE -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`, so that its tools go on to work.

use std::io;

use crate::netlink::{Attributes, Message, Socket, flag, text};

use super::expression::{DATA_VALUE, Side, accept, count, known_connection_of_iptables, load_name, name_is};
use super::message::{STRUCTURE, Verb, commit, found, message};

const TABLE: &str = "filter";
const CHAIN: &str = "DOCKER-USER";

/// The expressions of our rules.
const SHAPES: [(Side, &[&str]); 2] = [
    (Side::Input, &["meta", "cmp", "counter", "immediate"]),
    (Side::Output, &["meta", "cmp", "match", "counter", "immediate"]),
];

/// One of our rules that is there.
#[derive(Debug, PartialEq, Eq)]
struct Present {
    side: Side,
    handle: Vec<u8>,
}

/// Adds what is missing for a bridge; does nothing where there is no such chain.
pub(crate) fn accept_in_docker_user(socket: &mut Socket, bridge: &str) -> io::Result<()> {
    if !has_chain(socket)? {
        return Ok(());
    }
    let present = present(socket, bridge)?;
    let missing = SHAPES
        .iter()
        .map(|(side, _)| *side)
        .filter(|side| !present.iter().any(|rule| rule.side == *side));
    // Without APPEND a rule becomes the first: older Dockers end the chain with a return.
    let messages: Vec<_> = missing.map(|side| rule(side, bridge)).collect();
    if messages.is_empty() {
        Ok(())
    } else {
        commit(socket, messages)
    }
}

/// Removes the rules of a bridge.
pub(crate) fn forget_in_docker_user(socket: &mut Socket, bridge: &str) -> io::Result<()> {
    let removals = present(socket, bridge)?.into_iter().map(|rule| {
        let mut removal = message(Verb::DeleteRule, 0);
        removal.text(1, TABLE).text(2, CHAIN).bytes(3, &rule.handle);
        removal
    });
    let messages: Vec<_> = removals.collect();
    if messages.is_empty() {
        Ok(())
    } else {
        commit(socket, messages)
    }
}

fn has_chain(socket: &mut Socket) -> io::Result<bool> {
    let mut request = message(Verb::GetChain, 0);
    request.text(1, TABLE).text(3, CHAIN);
    Ok(found(socket.query(request))?.is_some())
}

fn rule(side: Side, bridge: &str) -> Message {
    let mut rule = message(Verb::NewRule, flag::CREATE);
    rule.text(1, TABLE).text(2, CHAIN).nest(4, |list| {
        load_name(list, side);
        name_is(list, bridge);
        if side == Side::Output {
            known_connection_of_iptables(list);
        }
        count(list);
        accept(list);
    });
    rule
}

fn present(socket: &mut Socket, bridge: &str) -> io::Result<Vec<Present>> {
    let mut request = message(Verb::GetRule, flag::DUMP);
    request.text(1, TABLE).text(2, CHAIN);
    let rules = found(socket.dump(&request, |body| recognise(body, bridge)))?;
    Ok(rules.unwrap_or_default())
}

/// Recognises one of our rules by its form; anything an administrator added looks different in some expression.
fn recognise(body: &[u8], bridge: &str) -> Option<Present> {
    let attributes = Attributes::after(body, STRUCTURE);
    let is = |kind, name| attributes.find(kind).and_then(text) == Some(name);
    if !is(1, TABLE) || !is(2, CHAIN) {
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
    let (side, _) = SHAPES
        .iter()
        .find(|(side, shape)| key == (*side as u32).to_be_bytes() && names == *shape)?;
    let compared = expressions.get(1)?.nested(2).nested(3).find(DATA_VALUE).and_then(text);
    let verdict = expressions.last()?.nested(2).nested(2).nested(2).find(1);
    (compared == Some(bridge) && verdict == Some(&1_u32.to_be_bytes()[..])).then(|| Present {
        side: *side,
        handle: attributes.find(3).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_rule_is_read_without_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            proptest::prop_assert_eq!(recognise(&body, "hyperbox0"), None);
        }
    }
}
