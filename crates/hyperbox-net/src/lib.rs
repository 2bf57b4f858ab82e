// SPDX-License-Identifier: MIT
//! Container networks: bridges, veth pairs, address management and nftables, by netlink alone.
//!
//! [`BridgeDriver`] implements core's `NetworkDriver`. Below it lie, from pure to effectful:
//! - `allocation`, `choice`, `options`, `request`, `link_name`, `mac_address`, `resolver`: decisions, tested as tables and properties;
//! - `netlink`: the message format and the socket; `route` (rtnetlink) and `firewall` (nfnetlink) speak it;
//! - `namespace`, `worker`, `teardown`: the three threads that may block in the kernel;
//! - `bridge`, `endpoint` and `driver`: what the seam promises.
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
mod link_name;
mod mac_address;
mod mechanisms;
mod membership;
mod name_rules;
mod namespace;
mod netlink;
mod open_sandbox;
mod options;
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
pub use mechanisms::Mechanisms;
pub use publish::Publisher;
pub use sandboxes::KernelSandboxes;
pub use unconnected::UnconnectedDriver;
