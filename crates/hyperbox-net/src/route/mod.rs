// SPDX-License-Identifier: MIT
//! rtnetlink: links, addresses and routes. See rtnetlink(7) and <https://docs.kernel.org/networking/netlink_spec/>.

mod address;
mod link;

pub(crate) use address::{
    Address, Route, add_address, address_message, addresses, default_route_message, remove_default_routes, routes,
};
pub(crate) use link::{
    Link, NewVeth, create_bridge, create_veth, find, isolate_port, list, remove, remove_all, remove_if, removed_link,
    set_alias, set_master, set_up, up_message, wait_until_operational,
};
