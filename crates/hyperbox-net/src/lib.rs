// SPDX-License-Identifier: MIT
//! Container networks: bridges, veth pairs, address management and nftables, by netlink alone.
//!
//! [`Mechanisms`] is what a daemon wires. Below it lie, from pure to effectful:
//! - `allocation`, `choice`, `pool_check`, `options`, `request`, `link_name`, `mac_address`, `resolver`: decisions, tested as tables and
//!   properties; `membership`: who has which address;
//! - `netlink`: the message format and the socket; `route` (rtnetlink) and `firewall` (nfnetlink) speak it;
//! - `namespace`, `worker`, `teardown`, `watch`: the threads that may block in the kernel;
//! - `bridge`, `endpoint`, `open_sandbox`, `spares` and `driver`: bridge networks; `unconnected`: the networks that are none;
//!   `sandboxes`: namespaces without regard to a network, `name_rules` their sockets for the name service;
//! - `publish`: ports of the host that lead to containers; `host_view`: what is bound and routed there already.
//!
//! No program is executed: starting `ip` or `nft` costs more than everything that is done here for a container.
#![forbid(unsafe_code)]

mod allocation;
mod bridge;
mod choice;
mod config;
mod driver;
mod endpoint;
mod error;
mod firewall;
mod host_view;
mod link_name;
mod mac_address;
mod macvlan;
mod mechanisms;
mod membership;
mod name_rules;
mod namespace;
mod netlink;
mod open_sandbox;
mod options;
mod packet_size;
mod pool_check;
mod publish;
mod request;
mod reservation;
mod resolver;
mod route;
mod sandboxes;
mod selection;
mod spares;
mod sysctl;
mod teardown;
mod unconnected;
mod watch;
mod worker;

pub use config::{Config, Pool};
pub use driver::BridgeDriver;
pub use firewall::Firewall;
pub use host_view::HostView;
pub use macvlan::ParentDriver;
pub use mechanisms::Mechanisms;
pub use publish::Publisher;
pub use sandboxes::KernelSandboxes;
pub use unconnected::UnconnectedDriver;
