// SPDX-License-Identifier: MIT
//! The messages that make such links and their parents. See `linux/if_link.h`.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use crate::mac_address::MacAddress;
use crate::macvlan::mode::Mode;
use crate::netlink::{Attributes, Message, Socket, flag, number, text};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ROUTE: u16 = 24;
/// Length of `struct ifinfomsg`.
const STRUCTURE: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const RTA_OIF: u16 = 4;

const IPV4: u8 = 2;
const IPV6: u8 = 10;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_LINK: u8 = 253;
const TYPE_UNICAST: u8 = 1;

/// A container's link.
#[derive(Debug)]
pub(crate) struct NewLink<'a> {
    /// Index of the parent.
    pub(crate) parent: u32,
    pub(crate) namespace: BorrowedFd<'a>,
    /// Name in the namespace.
    pub(crate) name: &'a str,
    /// The parent's where the kind has none of its own.
    pub(crate) mac: Option<MacAddress>,
    /// The parent's when unset.
    pub(crate) mtu: Option<u32>,
    pub(crate) mode: Mode,
}

/// Makes a link on a parent, in a namespace; the kernel does it as a whole or not at all.
pub(crate) fn create(socket: &mut Socket, link: &NewLink<'_>) -> io::Result<()> {
    let mut message = new_link();
    message
        .text(IFLA_IFNAME, link.name)
        .number(IFLA_LINK, link.parent)
        .number(IFLA_NET_NS_FD, link.namespace.as_raw_fd().cast_unsigned());
    if let Some(mac) = link.mac {
        message.bytes(IFLA_ADDRESS, &mac.0);
    }
    if let Some(mtu) = link.mtu {
        message.number(IFLA_MTU, mtu);
    }
    message.nest(IFLA_LINKINFO, |info| match link.mode {
        Mode::Macvlan { mode } => {
            info.text(IFLA_INFO_KIND, "macvlan").nest(IFLA_INFO_DATA, |data| {
                data.number(IFLA_MACVLAN_MODE, mode);
            });
        }
        Mode::Ipvlan { mode, flags } => {
            info.text(IFLA_INFO_KIND, "ipvlan").nest(IFLA_INFO_DATA, |data| {
                data.bytes(IFLA_IPVLAN_MODE, &mode.to_ne_bytes())
                    .bytes(IFLA_IPVLAN_FLAGS, &flags.to_ne_bytes());
            });
        }
    });
    socket.request(message)
}

/// Makes a link that leads nowhere.
pub(crate) fn create_dummy(socket: &mut Socket, name: &str) -> io::Result<()> {
    let mut message = new_link();
    message.text(IFLA_IFNAME, name).nest(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_KIND, "dummy");
    });
    socket.request(message)
}

/// Makes a VLAN of a link.
pub(crate) fn create_vlan(socket: &mut Socket, name: &str, parent: u32, vlan: u16) -> io::Result<()> {
    let mut message = new_link();
    message
        .text(IFLA_IFNAME, name)
        .number(IFLA_LINK, parent)
        .nest(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "vlan").nest(IFLA_INFO_DATA, |data| {
                data.bytes(IFLA_VLAN_ID, &vlan.to_ne_bytes());
            });
        });
    socket.request(message)
}

/// Lists the names and indices of the links that have an alias.
pub(crate) fn with_alias(socket: &mut Socket, alias: &str) -> io::Result<Vec<(String, u32)>> {
    let request = Message::new(GET_LINK, flag::REQUEST | flag::DUMP, &[0; STRUCTURE]);
    socket.dump(&request, |body| {
        let attributes = Attributes::after(body, STRUCTURE);
        let found = attributes.find(IFLA_IFALIAS).and_then(text)?;
        let name = text(attributes.find(IFLA_IFNAME)?)?.to_owned();
        let index = number(body.get(4..8)?)?;
        (found == alias).then_some((name, index))
    })
}

/// The request that adds or replaces a default route to everything the link reaches, without a gateway; as `gateway` would be, of either family.
pub(crate) fn device_route_message(family_of: IpAddr, link: u32) -> Message {
    let family = if family_of.is_ipv6() { IPV6 } else { IPV4 };
    let scope = if family == IPV4 { SCOPE_LINK } else { 0 };
    let structure = [
        family,
        0,
        0,
        0,
        TABLE_MAIN,
        PROTOCOL_BOOT,
        scope,
        TYPE_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let flags = flag::REQUEST | flag::CREATE | flag::REPLACE;
    let mut message = Message::new(NEW_ROUTE, flags, &structure);
    message.number(RTA_OIF, link);
    message
}

fn new_link() -> Message {
    Message::new(
        NEW_LINK,
        flag::REQUEST | flag::CREATE | flag::EXCLUSIVE,
        &[0; STRUCTURE],
    )
}
