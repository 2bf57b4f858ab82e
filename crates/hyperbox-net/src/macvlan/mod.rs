// SPDX-License-Identifier: MIT
//! Networks whose containers are on a link of the machine, beside the machine: macvlan and ipvlan.
//!
//! A container's link is made directly in its namespace, on top of a parent: a link of the machine, a VLAN of one, or a link that leads
//! nowhere. There is no bridge, no link on the host for each container, and no rule of a firewall. Addresses, wishes and namespaces are
//! those of the bridge driver; from pure to effectful:
//! - `mode`: the options that say how packets go between links of one parent;
//! - `parent`: which link it is, made when it is missing and removed with the last network that needs it;
//! - `network`: settings, chosen and read back;
//! - `link`: the messages; `endpoint`: a container's link, configured; `driver`: what the seam promises.
//!
//! Docker's macvlan and ipvlan drivers are the model, down to the texts (`daemon/libnetwork/drivers/{macvlan,ipvlan}` of moby).

mod driver;
mod endpoint;
mod link;
mod mode;
mod network;
mod parent;

pub use driver::ParentDriver;
