// SPDX-License-Identifier: MIT
//! Links: bridges and veth pairs.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;

use crate::mac_address::MacAddress;
use crate::netlink::{Attributes, Message, Socket, flag, number, text};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
pub(super) const GET_LINK: u16 = 18;
pub(super) const SET_LINK: u16 = 19;

/// Length of `struct ifinfomsg`.
pub(super) const STRUCTURE: usize = 16;
const UP: u32 = 1;

const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const VETH_INFO_PEER: u16 = 1;

/// `IF_OPER_UP` (RFC 2863).
const OPERATIONAL: u8 = 6;
/// How long [`wait_until_operational`] looks before it gives up: 50 times a fifth of a millisecond.
const LOOKS: usize = 50;
const PAUSE: Duration = Duration::from_micros(200);

/// The group of links that are about to go (`hbdl`).
const DOOMED: u32 = 0x6862_646c;

/// A link as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// Kind, such as `bridge`; none for hardware.
    pub(crate) kind: Option<String>,
    /// Text that somebody gave the link.
    pub(crate) alias: Option<String>,
    /// Index of the bridge the link is a port of.
    pub(crate) master: Option<u32>,
    pub(crate) mac: Option<MacAddress>,
    /// Whether somebody has set it up.
    pub(crate) up: bool,
    /// Whether packets pass.
    pub(crate) operational: bool,
}

impl Link {
    /// Returns whether it is a bridge.
    pub(crate) fn is_bridge(&self) -> bool {
        self.kind.as_deref() == Some("bridge")
    }
}

/// A veth pair to be made: one end a port of a bridge here, the other in a namespace.
#[derive(Debug)]
pub(crate) struct NewVeth<'a> {
    pub(crate) host_name: &'a str,
    /// Index of the bridge.
    pub(crate) bridge: u32,
    pub(crate) namespace: BorrowedFd<'a>,
    pub(crate) inner_name: &'a str,
    pub(crate) inner_mac: MacAddress,
    pub(crate) mtu: u32,
}

/// Lists all links.
pub(crate) fn list(socket: &mut Socket) -> io::Result<Vec<Link>> {
    let request = Message::new(GET_LINK, flag::REQUEST | flag::DUMP, &structure(0, 0));
    socket.dump(&request, parse)
}

/// Returns the link of that name, if there is one.
pub(crate) fn find(socket: &mut Socket, name: &str) -> io::Result<Option<Link>> {
    let mut request = Message::new(GET_LINK, flag::REQUEST, &structure(0, 0));
    request.text(IFLA_IFNAME, name);
    match socket.query(request) {
        Ok(body) => Ok(parse(&body)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a bridge. Its MAC address is set, so that it stays the same when ports come and go.
pub(crate) fn create_bridge(socket: &mut Socket, name: &str, mac: MacAddress, mtu: u32) -> io::Result<()> {
    let mut message = Message::new(
        NEW_LINK,
        flag::REQUEST | flag::CREATE | flag::EXCLUSIVE,
        &structure(0, UP),
    );
    message
        .text(IFLA_IFNAME, name)
        .bytes(IFLA_ADDRESS, &mac.0)
        .number(IFLA_MTU, mtu)
        .nest(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "bridge");
        });
    socket.request(message)
}

/// Makes a veth pair, the host's end up. The kernel does it as a whole or not at all; moving an end afterwards would cost a grace
/// period. The inner end must be set up afterwards: it is configured before it has a peer (`veth_open` then says `ENOTCONN`).
pub(crate) fn create_veth(socket: &mut Socket, veth: &NewVeth<'_>) -> io::Result<()> {
    let mut message = Message::new(
        NEW_LINK,
        flag::REQUEST | flag::CREATE | flag::EXCLUSIVE,
        &structure(0, UP),
    );
    message
        .text(IFLA_IFNAME, veth.host_name)
        .number(IFLA_MTU, veth.mtu)
        .number(IFLA_MASTER, veth.bridge)
        .nest(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.structure(&structure(0, 0))
                        .text(IFLA_IFNAME, veth.inner_name)
                        .bytes(IFLA_ADDRESS, &veth.inner_mac.0)
                        .number(IFLA_MTU, veth.mtu)
                        .number(IFLA_NET_NS_FD, veth.namespace.as_raw_fd().cast_unsigned());
                });
            });
        });
    socket.request(message)
}

/// Keeps a bridge's port from exchanging packets with other isolated ports (Linux 4.18).
pub(crate) fn isolate_port(socket: &mut Socket, name: &str) -> io::Result<()> {
    // Without CREATE it changes the link that is there.
    let mut message = Message::new(NEW_LINK, flag::REQUEST, &structure(0, 0));
    message.text(IFLA_IFNAME, name).nest(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_SLAVE_KIND, "bridge")
            .nest(IFLA_INFO_SLAVE_DATA, |data| {
                data.bytes(IFLA_BRPORT_ISOLATED, &[1]);
            });
    });
    socket.request(message)
}

/// Makes a link a port of a bridge.
pub(crate) fn set_master(socket: &mut Socket, name: &str, bridge: u32) -> io::Result<()> {
    let mut message = Message::new(SET_LINK, flag::REQUEST, &structure(0, 0));
    message.text(IFLA_IFNAME, name).number(IFLA_MASTER, bridge);
    socket.request(message)
}

/// Gives a link an alias, which `ip link` shows.
pub(crate) fn set_alias(socket: &mut Socket, name: &str, alias: &str) -> io::Result<()> {
    let mut message = Message::new(SET_LINK, flag::REQUEST, &structure(0, 0));
    message.text(IFLA_IFNAME, name).text(IFLA_IFALIAS, alias);
    socket.request(message)
}

/// Sets a link up, and its MTU if one is given.
pub(crate) fn set_up(socket: &mut Socket, index: u32, mtu: Option<u32>) -> io::Result<()> {
    let mut message = up_message(index);
    if let Some(mtu) = mtu {
        message.number(IFLA_MTU, mtu);
    }
    socket.request(message)
}

/// The request that sets a link up.
pub(crate) fn up_message(index: u32) -> Message {
    Message::new(SET_LINK, flag::REQUEST, &structure(index, UP))
}

/// Waits until packets pass a link whose peer was just set up.
///
/// The kernel notices a carrier in a work item (`net/core/link_watch.c`). Until that has run the queue of a veth drops what it is given and
/// its bridge port is disabled: the first address resolution would be lost, and repeated only after a second. Since Linux 6.9 asking
/// for the link runs the work at once, so this asks once; older kernels need a few looks. A link that does not come up is no failure.
pub(crate) fn wait_until_operational(socket: &mut Socket, name: &str) -> io::Result<()> {
    for _ in 0..LOOKS {
        match find(socket, name)? {
            Some(link) if !link.operational => std::thread::park_timeout(PAUSE),
            _ => return Ok(()),
        }
    }
    tracing::debug!(link = name, "link is not operational yet");
    Ok(())
}

/// Removes one link; that it is gone already is success.
pub(crate) fn remove(socket: &mut Socket, index: u32) -> io::Result<()> {
    let message = Message::new(DELETE_LINK, flag::REQUEST, &structure(index, 0));
    present(socket.request(message)).map(|_| ())
}

/// Removes the link of that name if it has that MAC address: another one may have its name by now. That it is gone is success.
pub(crate) fn remove_if(socket: &mut Socket, name: &str, mac: &str) -> io::Result<()> {
    match find(socket, name)? {
        Some(link) if link.mac.is_some_and(|found| found.to_string() == mac) => remove(socket, link.index),
        _ => Ok(()),
    }
}

/// Removes links by name, all in one go: each removal of its own would wait for grace periods (20–30 ms), a group waits once.
/// Returns how many there were.
pub(crate) fn remove_all(socket: &mut Socket, names: &[String]) -> io::Result<usize> {
    let mut found = 0;
    for chunk in names.chunks(64) {
        let mark = chunk.iter().map(|name| {
            let mut message = Message::new(SET_LINK, flag::REQUEST, &structure(0, 0)[..]);
            message.text(IFLA_IFNAME, name).number(IFLA_GROUP, DOOMED);
            message
        });
        for result in socket.results(mark.collect())? {
            found += usize::from(present(result)?);
        }
    }
    if found > 0 {
        let mut message = Message::new(DELETE_LINK, flag::REQUEST, &structure(0, 0));
        message.number(IFLA_GROUP, DOOMED);
        present(socket.request(message))?;
    }
    Ok(found)
}

/// Reads the announcement that a link is no more; returns its name.
pub(crate) fn removed_link(kind: u16, body: &[u8]) -> Option<String> {
    // With the family of bridges it says that a port left its bridge.
    let unspecified = body.first() == Some(&0);
    (kind == DELETE_LINK && unspecified)
        .then(|| parse(body))
        .flatten()
        .map(|link| link.name)
}

/// Reads the announcement that a link came or changed; returns its name if it is up.
pub(crate) fn link_that_is_up(kind: u16, body: &[u8]) -> Option<String> {
    (kind == NEW_LINK)
        .then(|| parse(body))
        .flatten()
        .filter(|link| link.up)
        .map(|link| link.name)
}

fn present(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NODEV)
}

/// `struct ifinfomsg`: the link, and `flags` to be set (others stay).
pub(super) fn structure(index: u32, flags: u32) -> [u8; STRUCTURE] {
    let mut bytes = [0; STRUCTURE];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

fn parse(body: &[u8]) -> Option<Link> {
    let attributes = Attributes::after(body, STRUCTURE);
    let kind = attributes.nested(IFLA_LINKINFO).find(IFLA_INFO_KIND);
    Some(Link {
        index: number(body.get(4..8)?)?,
        name: text(attributes.find(IFLA_IFNAME)?)?.to_owned(),
        kind: kind.and_then(text).map(str::to_owned),
        alias: attributes.find(IFLA_IFALIAS).and_then(text).map(str::to_owned),
        master: attributes.find(IFLA_MASTER).and_then(number),
        mac: attributes
            .find(IFLA_ADDRESS)
            .and_then(|bytes| bytes.try_into().ok())
            .map(MacAddress),
        up: number(body.get(8..12)?)? & UP != 0,
        operational: attributes.find(IFLA_OPERSTATE) == Some(&[OPERATIONAL]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_answer_is_read_without_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            drop(parse(&body));
            drop(removed_link(DELETE_LINK, &body));
        }
    }
}
