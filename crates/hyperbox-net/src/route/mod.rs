// SPDX-License-Identifier: MIT
//! rtnetlink: links, addresses and routes. See rtnetlink(7) and <https://docs.kernel.org/networking/netlink_spec/>.

mod address;
mod departure;
mod link;
mod packet_size;

pub(crate) use address::{
    Address, Route, add_address, add_loopback_routes, address_message, addresses, default_route_message,
    is_lost_loopback_route, lost_address, remove_default_routes, remove_loopback_route, routes,
};
pub(crate) use departure::remove_and_see;
pub(crate) use link::{
    Link, NewVeth, create_bridge, create_veth, find, isolate_port, link_that_is_up, list, remove, remove_all,
    remove_if, removed_link, set_alias, set_master, set_up, up_message, wait_until_operational,
};
pub(crate) use packet_size::raise_packet_size;
