// SPDX-License-Identifier: MIT
//! The messages that make, change and list the table.
//!
//! Messages go into one transaction: packets see the table before or after it, never between.

use std::collections::BTreeSet;
use std::io;

use crate::netlink::{Attributes, Message, Socket, flag, text};

use super::element::Element;
use super::message::{FAMILY_INET, STRUCTURE, Verb, found, message};
use super::packet::DATA_VALUE;
use super::rules::{RULES, Rule};
use super::scheme::{CHAINS, Chain, SETS, Set};

const POLICY_ACCEPT: u32 = 1;
const SET_IS_MAP: u32 = 8;
/// Key byte order "host" in the nft program's own attributes, as it writes it for interface names.
const HOST_BYTE_ORDER: [u8; 6] = [0, 4, 1, 0, 0, 0];
/// So many that a refusal, which contains the refused message, fits into the socket's buffer.
const ELEMENTS_IN_A_MESSAGE: usize = 250;

/// Returns the messages that replace whatever there is by a table with all sets, chains and rules, and these elements.
pub(super) fn made_anew<'a>(table: &str, elements: impl IntoIterator<Item = &'a Element>) -> Vec<Message> {
    // Deleting needs something to delete.
    let mut messages = vec![
        object(Verb::NewTable, flag::CREATE, table),
        object(Verb::DeleteTable, 0, table),
        object(Verb::NewTable, flag::CREATE | flag::EXCLUSIVE, table),
    ];
    messages.extend((1..).zip(&SETS).map(|(id, set)| new_set(table, set, id)));
    messages.extend(CHAINS.iter().map(|chain| new_chain(table, chain)));
    messages.extend(RULES.iter().map(|rule| new_rule(table, rule)));
    messages.extend(change_elements(table, Verb::NewElement, elements));
    messages
}

/// Returns the message that removes the table.
pub(super) fn removal(table: &str) -> Message {
    object(Verb::DeleteTable, 0, table)
}

/// Returns whether there is such a table.
pub(super) fn has_table(socket: &mut Socket, table: &str) -> io::Result<bool> {
    Ok(found(socket.query(object(Verb::GetTable, 0, table)))?.is_some())
}

/// Returns the messages that add or remove elements.
pub(super) fn change_elements<'a>(
    table: &str,
    verb: Verb,
    elements: impl IntoIterator<Item = &'a Element>,
) -> Vec<Message> {
    let mut elements: Vec<_> = elements.into_iter().collect();
    elements.sort();
    let of_a_set = elements.chunk_by(|one, other| one.set == other.set);
    let chunks = of_a_set.flat_map(|elements| elements.chunks(ELEMENTS_IN_A_MESSAGE));
    chunks.map(|chunk| element_message(table, verb, chunk)).collect()
}

fn element_message(table: &str, verb: Verb, elements: &[&Element]) -> Message {
    let mut request = message(verb, FAMILY_INET, flag::CREATE);
    let set = elements.first().map_or("", |element| element.set);
    request.text(1, table).text(2, set).nest(3, |list| {
        for element in elements {
            list.nest(1, |entry| {
                entry.nest(1, |key| {
                    key.bytes(DATA_VALUE, &element.key);
                });
                if !element.data.is_empty() && matches!(verb, Verb::NewElement) {
                    entry.nest(2, |data| {
                        data.bytes(DATA_VALUE, &element.data);
                    });
                }
            });
        }
    });
    request
}

fn object(verb: Verb, flags: u16, table: &str) -> Message {
    let mut request = message(verb, FAMILY_INET, flags);
    request.text(1, table);
    request
}

fn new_set(table: &str, set: &Set, id: u32) -> Message {
    let mut request = message(Verb::NewSet, FAMILY_INET, flag::CREATE | flag::EXCLUSIVE);
    request
        .text(1, table)
        .text(2, set.name)
        .network_number(3, if set.data.is_some() { SET_IS_MAP } else { 0 })
        .network_number(4, set.key.0)
        .network_number(5, set.key.1);
    if let Some((kind, length)) = set.data {
        request.network_number(6, kind).network_number(7, length);
    }
    request.network_number(10, id).bytes(13, &HOST_BYTE_ORDER);
    request
}

fn new_chain(table: &str, chain: &Chain) -> Message {
    let mut request = message(Verb::NewChain, FAMILY_INET, flag::CREATE | flag::EXCLUSIVE);
    request.text(1, table).text(3, chain.name);
    if let Some(place) = &chain.place {
        request
            .nest(4, |hook| {
                hook.network_number(1, place.hook)
                    .network_number(2, place.priority.cast_unsigned());
            })
            .network_number(5, POLICY_ACCEPT)
            .text(7, place.kind);
    }
    request
}

fn new_rule(table: &str, rule: &Rule) -> Message {
    let mut request = message(Verb::NewRule, FAMILY_INET, flag::CREATE | flag::APPEND);
    request.text(1, table).text(2, rule.chain).nest(4, rule.content);
    request.bytes(7, &comment_bytes(rule.comment));
    request
}

/// A comment as the nft program writes it: type 0, length, text with its NUL.
pub(super) fn comment_bytes(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).expect("comments are short constants");
    let mut bytes = vec![0, length];
    bytes.extend_from_slice(comment.as_bytes());
    bytes.push(0);
    bytes
}

/// Returns whether the table is there with exactly our rules, in order; not what is in its sets.
pub(super) fn has_our_rules(socket: &mut Socket, table: &str) -> io::Result<bool> {
    let mut request = message(Verb::GetRule, FAMILY_INET, flag::DUMP);
    request.text(1, table);
    let listed = found(socket.dump(&request, listed_rule))?.unwrap_or_default();
    let ours: Vec<_> = listed.iter().filter(|rule| rule.table == table).collect();
    // A dump lists the chains of a table in no promised order, but the rules of a chain as they stand.
    let same = |chain: &Chain| {
        let present = ours.iter().filter(|rule| rule.chain == chain.name);
        let expected = RULES.iter().filter(|rule| rule.chain == chain.name);
        present
            .map(|rule| rule.comment.as_str())
            .eq(expected.map(|rule| rule.comment))
    };
    Ok(ours.len() == RULES.len() && CHAINS.iter().all(same))
}

/// Lists the elements of all sets; none if a set is missing.
pub(super) fn elements(socket: &mut Socket, table: &str) -> io::Result<Option<BTreeSet<Element>>> {
    let mut all = BTreeSet::new();
    for set in &SETS {
        let mut request = message(Verb::GetElement, FAMILY_INET, flag::DUMP);
        request.text(1, table).text(2, set.name);
        let Some(lists) = found(socket.dump(&request, |body| Some(listed_elements(set.name, body))))? else {
            return Ok(None);
        };
        all.extend(lists.into_iter().flatten());
    }
    Ok(Some(all))
}

struct ListedRule {
    table: String,
    chain: String,
    comment: String,
}

fn listed_rule(body: &[u8]) -> Option<ListedRule> {
    let attributes = Attributes::after(body, STRUCTURE);
    let name = |kind| attributes.find(kind).and_then(text).map(str::to_owned);
    let user_data = attributes.find(7).unwrap_or_default();
    Some(ListedRule {
        table: name(1)?,
        chain: name(2)?,
        comment: user_data.get(2..).and_then(text).unwrap_or_default().to_owned(),
    })
}

fn listed_elements(set: &'static str, body: &[u8]) -> Vec<Element> {
    let elements = Attributes::after(body, STRUCTURE).nested(3);
    let element = |value| {
        let attributes = Attributes::new(value);
        let data = attributes.nested(2).find(DATA_VALUE).unwrap_or_default();
        Some(Element {
            set,
            key: attributes.nested(1).find(DATA_VALUE)?.to_vec(),
            data: data.to_vec(),
        })
    };
    elements.filter_map(|attribute| element(attribute.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_listing_is_read_without_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            drop(listed_rule(&body));
            drop(listed_elements("bridges", &body));
        }
    }

    #[test]
    fn every_rule_has_a_chain_and_a_comment_of_its_own() {
        let mut seen = BTreeSet::new();
        for rule in &RULES {
            assert!(CHAINS.iter().any(|chain| chain.name == rule.chain), "{}", rule.comment);
            assert!(seen.insert((rule.chain, rule.comment)), "{}", rule.comment);
        }
    }
}
