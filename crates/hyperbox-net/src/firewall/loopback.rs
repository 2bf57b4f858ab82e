// SPDX-License-Identifier: MIT
//! The way back to `::1`: what lets answers of containers reach a client on this machine's IPv6 loopback.
//!
//! A packet to `::1` is led to a container by the table's rules, and leaves with the bridge's address. What comes back is translated to
//! `::1` again, and there IPv6 is stricter than IPv4, which has `route_localnet`:
//! - Where bridged packets are not filtered the translation happens after `ip6_rcv`. The lookup of a loopback address is bound to the
//!   interface a packet came in by (`rt6_need_strict`), so the bridge gets a local route of its own to `::1`, with a metric that leaves the
//!   loopback interface's own first.
//! - With `bridge-nf-call-ip6tables` it happens on the bridge, and `ip6_rcv` drops a packet to `::1` from anything but the loopback interface
//!   (RFC 4291, 2.5.3). A chain at the bridge's ingress, which is behind the bridge's filters, passes such packets to that interface.
//!
//! Both are there at any time, so that neither the position of that switch nor turning it matters. What a container itself sends to `::1` is
//! dropped: on a filtered bridge by the table's `guard`, otherwise, since the chain here passed it on with [`PASSED`] as its source, by
//! `answers`, which lets nothing through that belongs to no connection.
//!
//! The chains are in a table of the family `netdev` with the name of the other one, one for each bridge. A kernel that has no such chains
//! leaves `::1` to the forwarder.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::netlink::{Attributes, Family, Message, Socket, flag, text};
use crate::route;

use super::change::comment_bytes;
use super::message::{FAMILY_NETDEV, STRUCTURE, Verb, commit, found, message};
use super::packet::{link_to_loopback_ipv6, pass_to_loopback, set_link_addresses};

/// Source address, on the link, of what a bridge passed to the loopback interface: locally administered, and nobody's.
pub(super) const PASSED: [u8; 6] = [0x02, b'h', b'b', 0, 0, 1];
/// The loopback interface takes what is sent to its own address, which is zero.
const LOOPBACK_ADDRESS: [u8; 6] = [0; 6];

const PREFIX: &str = "from-";
const COMMENT: &str = "1: answers to IPv6 loopback";
/// `NF_NETDEV_INGRESS`.
const INGRESS: u32 = 0;
const POLICY_ACCEPT: u32 = 1;

/// What is needed to make ways.
#[derive(Debug)]
pub(super) struct Loopback {
    table: String,
    route: Socket,
    /// Said once; a kernel does not change.
    warned: bool,
}

impl Loopback {
    /// Works in the network namespace of the calling thread.
    pub(super) fn open(table: &str) -> io::Result<Self> {
        Ok(Self {
            table: table.to_owned(),
            route: Socket::open(Family::Route)?,
            warned: false,
        })
    }

    /// Makes what is missing of the ways behind these bridges, and returns the bridges whose way is whole.
    pub(super) fn ensure(&mut self, netfilter: &mut Socket, bridges: &BTreeSet<String>) -> BTreeSet<String> {
        if bridges.is_empty() {
            return BTreeSet::new();
        }
        // A kernel may make a chain for a link that is not there: the routes come first.
        let routed = self.make_routes(bridges);
        self.make_chains(netfilter, routed)
    }

    /// Removes the ways behind these bridges; that there is none is success.
    pub(super) fn remove(&mut self, netfilter: &mut Socket, bridges: &BTreeSet<String>) -> io::Result<()> {
        for bridge in bridges {
            self.remove_route(bridge)?;
        }
        let present = self.chains(netfilter)?;
        let names = bridges.iter().map(|bridge| chain_name(bridge));
        let names: BTreeSet<_> = names.filter(|name| present.contains_key(name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let messages = if names.len() == present.len() {
            vec![self.object(Verb::DeleteTable, 0)]
        } else {
            names.iter().flat_map(|name| self.chain_removal(name)).collect()
        };
        found(commit(netfilter, messages)).map(drop)
    }

    /// Removes all ways but those behind these bridges.
    pub(super) fn retain(&mut self, netfilter: &mut Socket, bridges: &BTreeSet<String>) -> io::Result<()> {
        let present = self.chains(netfilter)?;
        let present = present.keys().filter_map(|name| name.strip_prefix(PREFIX));
        let strange = present.filter(|bridge| !bridges.contains(*bridge)).map(str::to_owned);
        self.remove(netfilter, &strange.collect())
    }

    /// Returns the bridges whose chains are there then: what is missing is one transaction, and one for each only if that is refused.
    fn make_chains(&mut self, netfilter: &mut Socket, mut bridges: BTreeSet<String>) -> BTreeSet<String> {
        let present = match self.chains(netfilter) {
            Ok(present) => present,
            Err(error) => {
                bridges.iter().for_each(|bridge| self.tell(bridge, &error));
                return BTreeSet::new();
            }
        };
        let is_whole = |bridge: &String| {
            let comments = present.get(&chain_name(bridge)).map(Vec::as_slice);
            matches!(comments, Some([comment]) if comment == COMMENT)
        };
        let lacking: Vec<_> = bridges.iter().filter(|bridge| !is_whole(bridge)).cloned().collect();
        if lacking.is_empty() || self.new_chains(netfilter, &lacking, &present).is_ok() {
            return bridges;
        }
        for bridge in lacking {
            if let Err(error) = self.new_chains(netfilter, std::slice::from_ref(&bridge), &present) {
                self.tell(&bridge, &error);
                bridges.remove(&bridge);
            }
        }
        bridges
    }

    fn new_chains(
        &self,
        netfilter: &mut Socket,
        bridges: &[String],
        present: &BTreeMap<String, Vec<String>>,
    ) -> io::Result<()> {
        let mut messages = vec![self.object(Verb::NewTable, flag::CREATE)];
        for bridge in bridges {
            let name = chain_name(bridge);
            if present.contains_key(&name) {
                messages.extend(self.chain_removal(&name));
            }
            messages.extend([self.new_chain(&name, bridge), self.new_rule(&name)]);
        }
        commit(netfilter, messages)
    }

    /// Returns the bridges whose routes are there then.
    fn make_routes(&mut self, bridges: &BTreeSet<String>) -> BTreeSet<String> {
        let mut found = Vec::new();
        for bridge in bridges {
            match self.route.link_index(bridge) {
                Ok(Some(index)) => found.push((bridge, index)),
                Ok(None) => self.tell(bridge, &io::ErrorKind::NotFound.into()),
                Err(error) => self.tell(bridge, &error),
            }
        }
        let indices: Vec<_> = found.iter().map(|(_, index)| *index).collect();
        let added = route::add_loopback_routes(&mut self.route, &indices);
        let added = added.unwrap_or_else(|error| {
            bridges.iter().for_each(|bridge| self.tell(bridge, &error));
            Vec::new()
        });
        let mut routed = BTreeSet::new();
        for ((bridge, _), result) in found.into_iter().zip(added) {
            match result {
                Ok(()) => drop(routed.insert(bridge.clone())),
                Err(error) => self.tell(bridge, &error),
            }
        }
        routed
    }

    fn remove_route(&mut self, bridge: &str) -> io::Result<()> {
        match route::find(&mut self.route, bridge)? {
            Some(link) => route::remove_loopback_route(&mut self.route, link.index),
            None => Ok(()),
        }
    }

    fn tell(&mut self, bridge: &str, error: &io::Error) {
        if std::mem::replace(&mut self.warned, true) {
            tracing::debug!(bridge, %error, "the forwarder serves [::1]");
        } else {
            tracing::warn!(bridge, %error, "the kernel cannot lead [::1] to containers: the forwarder serves it");
        }
    }

    /// Returns our chains with the comments of their rules.
    fn chains(&self, netfilter: &mut Socket) -> io::Result<BTreeMap<String, Vec<String>>> {
        let named = |body: &[u8], kind| {
            let attributes = Attributes::after(body, STRUCTURE);
            let ours = attributes.find(1).and_then(text) == Some(&self.table);
            let name = attributes.find(kind).and_then(text).filter(|_| ours);
            name.map(str::to_owned)
        };
        let request = message(Verb::GetChain, FAMILY_NETDEV, flag::DUMP);
        let chains = found(netfilter.dump(&request, |body| named(body, 3)))?.unwrap_or_default();
        let mut chains: BTreeMap<_, _> = chains.into_iter().map(|name| (name, Vec::new())).collect();
        if chains.is_empty() {
            return Ok(chains);
        }
        let mut request = message(Verb::GetRule, FAMILY_NETDEV, flag::DUMP);
        request.text(1, &self.table);
        let rules = netfilter.dump(&request, |body| {
            let user_data = Attributes::after(body, STRUCTURE).find(7).unwrap_or_default();
            let comment = user_data.get(2..).and_then(text).unwrap_or_default();
            Some((named(body, 2)?, comment.to_owned()))
        });
        for (chain, comment) in found(rules)?.unwrap_or_default() {
            chains.entry(chain).or_default().push(comment);
        }
        Ok(chains)
    }

    fn object(&self, verb: Verb, flags: u16) -> Message {
        let mut request = message(verb, FAMILY_NETDEV, flags);
        request.text(1, &self.table);
        request
    }

    fn new_chain(&self, name: &str, bridge: &str) -> Message {
        let mut request = self.object(Verb::NewChain, flag::CREATE | flag::EXCLUSIVE);
        request
            .text(3, name)
            .nest(4, |hook| {
                hook.network_number(1, INGRESS).network_number(2, 0).text(3, bridge);
            })
            .network_number(5, POLICY_ACCEPT)
            .text(7, "filter");
        request
    }

    fn new_rule(&self, chain: &str) -> Message {
        let mut request = self.object(Verb::NewRule, flag::CREATE | flag::APPEND);
        request.text(2, chain).nest(4, |list| {
            link_to_loopback_ipv6(list);
            set_link_addresses(list, LOOPBACK_ADDRESS, PASSED);
            pass_to_loopback(list);
        });
        request.bytes(7, &comment_bytes(COMMENT));
        request
    }

    /// A chain can only be removed without its rules.
    fn chain_removal(&self, name: &str) -> [Message; 2] {
        let mut rules = self.object(Verb::DeleteRule, 0);
        rules.text(2, name);
        let mut chain = self.object(Verb::DeleteChain, 0);
        chain.text(3, name);
        [rules, chain]
    }
}

fn chain_name(bridge: &str) -> String {
    format!("{PREFIX}{bridge}")
}
