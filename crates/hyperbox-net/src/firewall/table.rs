// SPDX-License-Identifier: MIT
//! The instance's table: made, checked, extended, removed.
//!
//! The kernel's state is the only state. A rule carries a comment that says which rule and which version of it it is, so that a
//! table somebody flushed, or an older version made, is recognised and made anew in one transaction.

use std::collections::BTreeSet;
use std::io;

use crate::netlink::{Attributes, Message, Socket, flag, text};

use super::expression::{
    DATA_VALUE, Membership, NAME_LENGTH, Side, accept, known_connection, load_name, lookup, masquerade, name_key,
};
use super::message::{STRUCTURE, Verb, commit, found, message};

const BRIDGES: &str = "bridges";
const MASQUERADE: &str = "masquerade";
const POSTROUTING: &str = "postrouting";
const FORWARD: &str = "forward";

const HOOK_FORWARD: u32 = 2;
const HOOK_POSTROUTING: u32 = 4;
const PRIORITY_FILTER: u32 = 0;
const PRIORITY_SOURCE_NAT: u32 = 100;
const POLICY_ACCEPT: u32 = 1;
/// `TYPE_IFNAME` of the nft program: how it shows the keys.
const KEY_TYPE_IFNAME: u32 = 41;
/// Key byte order "host" in the nft program's own attributes.
const KEY_BYTE_ORDER: [u8; 6] = [0, 4, 1, 0, 0, 0];

/// One of our rules.
struct Rule {
    chain: &'static str,
    /// Which rule it is, in which version.
    comment: &'static str,
    content: fn(&mut Message),
}

/// All rules, in order.
const RULES: [Rule; 3] = [
    Rule {
        chain: POSTROUTING,
        comment: "1: containers to the outside",
        content: |list| {
            load_name(list, Side::Input);
            lookup(list, MASQUERADE, Membership::In);
            load_name(list, Side::Output);
            lookup(list, BRIDGES, Membership::NotIn);
            masquerade(list);
        },
    },
    Rule {
        chain: FORWARD,
        comment: "1: from containers",
        content: |list| {
            load_name(list, Side::Input);
            lookup(list, BRIDGES, Membership::In);
            accept(list);
        },
    },
    Rule {
        chain: FORWARD,
        comment: "1: answers to containers",
        content: |list| {
            load_name(list, Side::Output);
            lookup(list, BRIDGES, Membership::In);
            known_connection(list);
            accept(list);
        },
    },
];

/// A bridge and how its packets leave.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bridge {
    pub(crate) name: String,
    pub(crate) masquerade: bool,
}

/// The table of one instance.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    name: String,
}

impl Table {
    /// Names the table.
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }

    /// Makes the table if it is missing or damaged, and puts all of `bridges` into it. Bridges that are in an intact table stay.
    pub(crate) fn ensure(&self, socket: &mut Socket, bridges: &BTreeSet<Bridge>) -> io::Result<()> {
        let mut messages = if self.is_intact(socket)? {
            Vec::new()
        } else {
            self.made_anew()
        };
        for bridge in bridges {
            messages.push(self.element(Verb::NewElement, BRIDGES, &bridge.name));
            if bridge.masquerade {
                messages.push(self.element(Verb::NewElement, MASQUERADE, &bridge.name));
            }
        }
        if messages.is_empty() {
            return Ok(());
        }
        commit(socket, messages)
    }

    /// Takes a bridge out, and removes the table with the last one.
    pub(crate) fn forget(&self, socket: &mut Socket, bridge: &str) -> io::Result<()> {
        let bridges = self.elements(socket, BRIDGES)?;
        let mut messages = Vec::new();
        if !bridges.iter().any(|name| name != bridge) {
            found(commit(socket, vec![self.object(Verb::DeleteTable, 0)]))?;
            return Ok(());
        }
        for set in [BRIDGES, MASQUERADE] {
            if self.elements(socket, set)?.iter().any(|name| name == bridge) {
                messages.push(self.element(Verb::DeleteElement, set, bridge));
            }
        }
        if messages.is_empty() {
            return Ok(());
        }
        commit(socket, messages)
    }

    /// Returns whether the table has exactly our rules and both sets.
    fn is_intact(&self, socket: &mut Socket) -> io::Result<bool> {
        if found(socket.query(self.object(Verb::GetTable, 0)))?.is_none() {
            return Ok(false);
        }
        let mut request = message(Verb::GetRule, flag::DUMP);
        request.text(1, &self.name);
        let rules = found(socket.dump(&request, rule))?.unwrap_or_default();
        let ours = rules.into_iter().filter(|rule| rule.table == self.name);
        // A dump lists the chains of a table in no promised order.
        let present: BTreeSet<_> = ours.map(|rule| (rule.chain, rule.comment)).collect();
        let expected = RULES
            .iter()
            .map(|rule| (rule.chain.to_owned(), rule.comment.to_owned()));
        Ok(present == expected.collect())
    }

    /// The messages that replace whatever there is by an empty table with all rules.
    fn made_anew(&self) -> Vec<Message> {
        // Deleting needs something to delete.
        let mut messages = vec![
            self.object(Verb::NewTable, flag::CREATE),
            self.object(Verb::DeleteTable, 0),
            self.object(Verb::NewTable, flag::CREATE | flag::EXCLUSIVE),
            self.set(BRIDGES, 1),
            self.set(MASQUERADE, 2),
            self.chain(POSTROUTING, "nat", HOOK_POSTROUTING, PRIORITY_SOURCE_NAT),
            self.chain(FORWARD, "filter", HOOK_FORWARD, PRIORITY_FILTER),
        ];
        messages.extend(RULES.iter().map(
            |Rule {
                 chain,
                 comment,
                 content,
             }| {
                let mut rule = message(Verb::NewRule, flag::CREATE | flag::APPEND);
                rule.text(1, &self.name).text(2, chain).nest(4, *content);
                rule.bytes(7, &comment_bytes(comment));
                rule
            },
        ));
        messages
    }

    fn object(&self, verb: Verb, flags: u16) -> Message {
        let mut table = message(verb, flags);
        table.text(1, &self.name);
        table
    }

    fn set(&self, name: &str, id: u32) -> Message {
        let mut set = message(Verb::NewSet, flag::CREATE | flag::EXCLUSIVE);
        set.text(1, &self.name)
            .text(2, name)
            .network_number(3, 0)
            .network_number(4, KEY_TYPE_IFNAME)
            .network_number(5, u32::try_from(NAME_LENGTH).unwrap_or_default())
            .network_number(10, id)
            .bytes(13, &KEY_BYTE_ORDER);
        set
    }

    fn chain(&self, name: &str, kind: &str, hook: u32, priority: u32) -> Message {
        let mut chain = message(Verb::NewChain, flag::CREATE | flag::EXCLUSIVE);
        chain
            .text(1, &self.name)
            .text(3, name)
            .nest(4, |place| {
                place.network_number(1, hook).network_number(2, priority);
            })
            .network_number(5, POLICY_ACCEPT)
            .text(7, kind);
        chain
    }

    fn element(&self, verb: Verb, set: &str, bridge: &str) -> Message {
        let mut element = message(verb, flag::CREATE);
        element.text(1, &self.name).text(2, set).nest(3, |list| {
            list.nest(1, |element| {
                element.nest(1, |key| {
                    key.bytes(DATA_VALUE, &name_key(bridge));
                });
            });
        });
        element
    }

    fn elements(&self, socket: &mut Socket, set: &str) -> io::Result<Vec<String>> {
        let mut request = message(Verb::GetElement, flag::DUMP);
        request.text(1, &self.name).text(2, set);
        let lists = found(socket.dump(&request, |body| {
            let elements = Attributes::after(body, STRUCTURE).nested(3);
            let names = elements.filter_map(|element| {
                let key = Attributes::new(element.value).nested(1).find(DATA_VALUE)?;
                text(key).map(str::to_owned)
            });
            Some(names.collect::<Vec<_>>())
        }))?;
        Ok(lists.unwrap_or_default().concat())
    }
}

struct ListedRule {
    table: String,
    chain: String,
    comment: String,
}

fn rule(body: &[u8]) -> Option<ListedRule> {
    let attributes = Attributes::after(body, STRUCTURE);
    let name = |kind| attributes.find(kind).and_then(text).map(str::to_owned);
    let user_data = attributes.find(7).unwrap_or_default();
    Some(ListedRule {
        table: name(1)?,
        chain: name(2)?,
        comment: user_data.get(2..).and_then(text).unwrap_or_default().to_owned(),
    })
}

/// A comment as the nft program writes it: type 0, length, text with its NUL.
fn comment_bytes(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).expect("comments are short constants");
    let mut bytes = vec![0, length];
    bytes.extend_from_slice(comment.as_bytes());
    bytes.push(0);
    bytes
}
