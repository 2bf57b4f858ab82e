// SPDX-License-Identifier: MIT
//! nftables by nfnetlink: one table for each instance, whose rules do not grow with networks, containers or ports.
//!
//! A packet passes the same number of rules however many networks and ports there are: what differs are the elements of sets and maps
//! (`scheme`), which the kernel finds by hash. What the rules do, in the order of a packet's way:
//! - `guard`, `answers`: a bridge reaches nothing of 127.0.0.0/8 and `::1`, whatever `route_localnet` and `loopback` have opened;
//! - `input`, `received`, and the ends of `forward` and `forwarded`: what others' filters are to let pass is marked before them;
//! - `prerouting`, `output`: packets to a published port of this machine are led to its container;
//! - `forward`: known connections and packets within a network pass; internal networks are closed; published ports are open to everybody,
//!   unpublished ones to nobody outside (unless the network says so); networks do not reach each other; containers reach the outside;
//! - `postrouting`: packets to the outside leave with the machine's address; so do those whose answer would take another way back.
//!
//! `packet` is the language of the kernel, `scheme` and `rules` are the table, `element`, `network` and `state` what is wanted in it,
//! `change` and `firewall` make it so; `watch` notices what others do, `foreign` and `zones` pass their tables, `loopback` opens the way back to `::1`, `conntrack` forgets connections.
//!
//! `iifname` in postrouting needs Linux 5.7, translation in an `inet` table 5.2. With `bridge-nf-call-iptables`, packets between two
//! containers of one bridge pass these chains too: they are "within a network".

mod change;
mod conntrack;
mod element;
#[expect(clippy::module_inception, reason = "the type is what the folder is about")]
mod firewall;
mod foreign;
mod look;
mod loopback;
mod message;
mod network;
mod packet;
mod rules;
mod scheme;
mod state;
mod watch;
mod zones;

pub(crate) use conntrack::{Wrong, forget};
pub use firewall::Firewall;
pub(crate) use network::NetworkRules;
pub(crate) use packet::Ip;
pub(crate) use state::PortRule;
