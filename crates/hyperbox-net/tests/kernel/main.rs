// SPDX-License-Identifier: MIT
//! The bridge driver against the kernel, each test on a machine of its own. Oracles: iproute2, nft, TCP.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports, in its helpers too")]

mod bridge;
mod families;
mod firewall;
mod loopback;
mod machine;
mod macvlan;
mod membership;
mod names;
mod neighbours;
mod other_firewalls;
mod packet_size;
mod publish;
mod publish_world;
mod raw_packet;
mod spares;
mod strange_links;
mod traffic;
