// SPDX-License-Identifier: MIT
//! Addresses and routes of both families.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rustix::io::Errno;

use crate::netlink::{Attributes, Message, Socket, flag, number};

const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;

const ANY: u8 = 0;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// Length of `struct ifaddrmsg`.
const ADDRESS_STRUCTURE: usize = 8;
/// Length of `struct rtmsg`.
const ROUTE_STRUCTURE: usize = 12;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;

/// `IFA_F_NODAD`: the address is usable at once, nobody is asked whether it is taken (address management knows).
const WITHOUT_DUPLICATE_DETECTION: u32 = 0x02;
const SCOPE_LINK: u8 = 253;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
/// `RTPROT_KERNEL`: programs that keep the routes of their links leave those alone.
const PROTOCOL_KERNEL: u8 = 2;
/// Behind the loopback interface's own route, whose metric is 0, and whatever else somebody prefers.
const LOOPBACK_METRIC: u32 = 2048;
const PROTOCOL_BOOT: u8 = 3;
/// The answers to so many requests fit into a socket's buffer, also where each is a refusal.
const ROUTES_AT_ONCE: usize = 64;
const TYPE_UNICAST: u8 = 1;
const TYPE_LOCAL: u8 = 2;
/// More default routes than a container has.
const MOST_ROUTES: usize = 64;

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) link: u32,
    /// The address with its subnet's prefix length.
    pub(crate) address: IpNet,
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) link: Option<u32>,
    pub(crate) destination: IpNet,
}

/// Lists all addresses.
pub(crate) fn addresses(socket: &mut Socket) -> io::Result<Vec<Address>> {
    let request = Message::new(GET_ADDRESS, flag::REQUEST | flag::DUMP, &[ANY, 0, 0, 0, 0, 0, 0, 0]);
    socket.dump(&request, parse)
}

/// Reads the announcement that a link has an address no more.
pub(crate) fn lost_address(kind: u16, body: &[u8]) -> Option<IpNet> {
    (kind == DELETE_ADDRESS)
        .then(|| parse(body))
        .flatten()
        .map(|lost| lost.address)
}

fn parse(body: &[u8]) -> Option<Address> {
    let attributes = Attributes::after(body, ADDRESS_STRUCTURE);
    let address = attributes.find(IFA_LOCAL).or_else(|| attributes.find(IFA_ADDRESS))?;
    Some(Address {
        link: number(body.get(4..8)?)?,
        address: IpNet::new(ip(address)?, *body.get(1)?).ok()?,
    })
}

/// Lists the routes of all tables that lead to or stand for a subnet, broadcast and multicast left out.
pub(crate) fn routes(socket: &mut Socket) -> io::Result<Vec<Route>> {
    let mut found = routes_of(socket, IPV4)?;
    // A kernel without IPv6 has none.
    found.extend(routes_of(socket, IPV6).unwrap_or_default());
    Ok(found)
}

fn routes_of(socket: &mut Socket, family: u8) -> io::Result<Vec<Route>> {
    let mut structure = [0; ROUTE_STRUCTURE];
    structure[0] = family;
    let request = Message::new(GET_ROUTE, flag::REQUEST | flag::DUMP, &structure);
    let unspecified = if family == IPV4 {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    socket.dump(&request, |body| {
        let (length, kind) = (*body.get(1)?, *body.get(7)?);
        if !matches!(kind, TYPE_UNICAST | TYPE_LOCAL) {
            return None;
        }
        let attributes = Attributes::after(body, ROUTE_STRUCTURE);
        let destination = attributes.find(RTA_DST).and_then(ip).unwrap_or(unspecified);
        Some(Route {
            link: attributes.find(RTA_OIF).and_then(number),
            destination: IpNet::new(destination, length).ok()?.trunc(),
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

/// The request that adds an address; one of link-local scope gets that scope.
pub(crate) fn address_message(address: Address) -> Message {
    let flags = flag::REQUEST | flag::CREATE | flag::EXCLUSIVE;
    let [a, b, c, d] = address.link.to_ne_bytes();
    let (family, scope) = match address.address.addr() {
        IpAddr::V4(ip) => (IPV4, if ip.is_link_local() { SCOPE_LINK } else { 0 }),
        IpAddr::V6(_) => (IPV6, 0),
    };
    let prefix_length = address.address.prefix_len();
    let mut message = Message::new(NEW_ADDRESS, flags, &[family, prefix_length, 0, scope, a, b, c, d]);
    match address.address {
        IpNet::V4(net) => {
            message
                .bytes(IFA_LOCAL, &net.addr().octets())
                .bytes(IFA_ADDRESS, &net.addr().octets());
            // RFC 3021: there is no broadcast address on a point-to-point subnet.
            if prefix_length < 31 {
                message.bytes(IFA_BROADCAST, &net.broadcast().octets());
            }
        }
        IpNet::V6(net) => {
            message
                .bytes(IFA_LOCAL, &net.addr().octets())
                .bytes(IFA_ADDRESS, &net.addr().octets());
            message.number(IFA_FLAGS, WITHOUT_DUPLICATE_DETECTION);
        }
    }
    message
}

/// The request that adds or replaces the default route of the gateway's family; by the link where one is given.
pub(crate) fn default_route_message(gateway: IpAddr, link: Option<u32>) -> Message {
    let mut message = default_route(NEW_ROUTE, flag::CREATE | flag::REPLACE, gateway.is_ipv6());
    match gateway {
        IpAddr::V4(gateway) => message.bytes(RTA_GATEWAY, &gateway.octets()),
        IpAddr::V6(gateway) => message.bytes(RTA_GATEWAY, &gateway.octets()),
    };
    if let Some(link) = link {
        message.number(RTA_OIF, link);
    }
    message
}

/// Removes all default routes of a family.
pub(crate) fn remove_default_routes(socket: &mut Socket, ipv6: bool) -> io::Result<()> {
    // The kernel removes the first one that matches; there may be one for each metric.
    for _ in 0..MOST_ROUTES {
        if let Err(error) = socket.request(default_route(DELETE_ROUTE, 0, ipv6)) {
            return match Errno::from_io_error(&error) {
                Some(Errno::SRCH | Errno::NOENT | Errno::NODEV | Errno::AFNOSUPPORT | Errno::OPNOTSUPP) => Ok(()),
                _ => Err(error),
            };
        }
    }
    Ok(())
}

/// Adds local routes to `::1` by links, and returns the result of each; that it is there already is success.
pub(crate) fn add_loopback_routes(socket: &mut Socket, links: &[u32]) -> io::Result<Vec<io::Result<()>>> {
    let mut results = Vec::new();
    for links in links.chunks(ROUTES_AT_ONCE) {
        let flags = flag::CREATE | flag::EXCLUSIVE;
        let messages = links.iter().map(|link| loopback_route(NEW_ROUTE, flags, *link));
        results.extend(socket.results(messages.collect())?);
    }
    let tolerate = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    };
    Ok(results.into_iter().map(tolerate).collect())
}

/// Removes what [`add_loopback_route`] added; that it is gone already is success.
pub(crate) fn remove_loopback_route(socket: &mut Socket, link: u32) -> io::Result<()> {
    match socket.request(loopback_route(DELETE_ROUTE, 0, link)) {
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::SRCH | Errno::NOENT | Errno::NODEV) => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

fn loopback_route(kind: u16, flags: u16, link: u32) -> Message {
    let structure = [IPV6, 128, 0, 0, TABLE_LOCAL, PROTOCOL_KERNEL, 0, TYPE_LOCAL, 0, 0, 0, 0];
    let mut message = Message::new(kind, flag::REQUEST | flags, &structure);
    message
        .bytes(RTA_DST, &Ipv6Addr::LOCALHOST.octets())
        .number(RTA_OIF, link)
        .number(RTA_PRIORITY, LOOPBACK_METRIC);
    message
}

/// Reads the announcement that a route to `::1` is no more.
pub(crate) fn is_lost_loopback_route(kind: u16, body: &[u8]) -> bool {
    let is_host = kind == DELETE_ROUTE && body.get(..2) == Some(&[IPV6, 128]);
    let destination = Attributes::after(body, ROUTE_STRUCTURE).find(RTA_DST);
    is_host && destination == Some(&Ipv6Addr::LOCALHOST.octets())
}

fn default_route(kind: u16, flags: u16, ipv6: bool) -> Message {
    let family = if ipv6 { IPV6 } else { IPV4 };
    // Deleting, the protocol and the scope are patterns, and these two match any.
    let (protocol, scope) = if kind == NEW_ROUTE {
        (PROTOCOL_BOOT, 0)
    } else {
        (0, 255)
    };
    let structure = [family, 0, 0, 0, TABLE_MAIN, protocol, scope, TYPE_UNICAST, 0, 0, 0, 0];
    Message::new(kind, flag::REQUEST | flags, &structure)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let ipv4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    ipv4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}
