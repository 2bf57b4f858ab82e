// SPDX-License-Identifier: MIT
//! IPv4 addresses and routes.

use std::io;
use std::net::Ipv4Addr;

use crate::netlink::{Attributes, Message, Socket, flag, number};
use crate::subnet::Subnet;

const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;

const IPV4: u8 = 2;
/// Length of `struct ifaddrmsg`.
const ADDRESS_STRUCTURE: usize = 8;
/// Length of `struct rtmsg`.
const ROUTE_STRUCTURE: usize = 12;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;

const TABLE_MAIN: u8 = 254;
const PROTOCOL_BOOT: u8 = 3;
const TYPE_UNICAST: u8 = 1;
const TYPE_LOCAL: u8 = 2;

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) link: u32,
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_length: u8,
}

impl Address {
    /// Returns the subnet the address lies in.
    pub(crate) fn subnet(&self) -> Subnet {
        Subnet::containing(self.address, self.prefix_length)
    }
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) link: Option<u32>,
    pub(crate) destination: Subnet,
}

/// Lists all IPv4 addresses.
pub(crate) fn addresses(socket: &mut Socket) -> io::Result<Vec<Address>> {
    let request = Message::new(GET_ADDRESS, flag::REQUEST | flag::DUMP, &[IPV4, 0, 0, 0, 0, 0, 0, 0]);
    socket.dump(&request, |body| {
        let attributes = Attributes::after(body, ADDRESS_STRUCTURE);
        let address = attributes.find(IFA_LOCAL).or_else(|| attributes.find(IFA_ADDRESS))?;
        Some(Address {
            link: number(body.get(4..8)?)?,
            address: ipv4(address)?,
            prefix_length: *body.get(1)?,
        })
    })
}

/// Lists the IPv4 routes of all tables that lead to or stand for a subnet, broadcast and multicast left out.
pub(crate) fn routes(socket: &mut Socket) -> io::Result<Vec<Route>> {
    let mut structure = [0; ROUTE_STRUCTURE];
    structure[0] = IPV4;
    let request = Message::new(GET_ROUTE, flag::REQUEST | flag::DUMP, &structure);
    socket.dump(&request, |body| {
        let (length, kind) = (*body.get(1)?, *body.get(7)?);
        if !matches!(kind, TYPE_UNICAST | TYPE_LOCAL) {
            return None;
        }
        let attributes = Attributes::after(body, ROUTE_STRUCTURE);
        let destination = attributes.find(RTA_DST).and_then(ipv4).unwrap_or(Ipv4Addr::UNSPECIFIED);
        Some(Route {
            link: attributes.find(RTA_OIF).and_then(number),
            destination: Subnet::containing(destination, length),
        })
    })
}

/// Adds an address; that it is there already is success.
pub(crate) fn add_address(socket: &mut Socket, address: Address) -> io::Result<()> {
    match socket.request(address_message(address)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// The request that adds an address.
pub(crate) fn address_message(address: Address) -> Message {
    let flags = flag::REQUEST | flag::CREATE | flag::EXCLUSIVE;
    let [a, b, c, d] = address.link.to_ne_bytes();
    let mut message = Message::new(NEW_ADDRESS, flags, &[IPV4, address.prefix_length, 0, 0, a, b, c, d]);
    message
        .bytes(IFA_LOCAL, &address.address.octets())
        .bytes(IFA_ADDRESS, &address.address.octets())
        .bytes(IFA_BROADCAST, &address.subnet().broadcast().octets());
    message
}

/// The request that adds the default route.
pub(crate) fn default_route_message(gateway: Ipv4Addr) -> Message {
    let flags = flag::REQUEST | flag::CREATE | flag::EXCLUSIVE;
    let structure = [IPV4, 0, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, 0, TYPE_UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(NEW_ROUTE, flags, &structure);
    message.bytes(RTA_GATEWAY, &gateway.octets());
    message
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}
