// SPDX-License-Identifier: MIT
//! How large a packet a link takes that is still to be cut: `gso_max_size` of ip-link(8).

use std::io;

use super::link::{GET_LINK, IFLA_IFNAME, SET_LINK, STRUCTURE, structure};
use crate::netlink::{Attributes, Message, Socket, flag, number};

/// For IPv6, since Linux 5.19 beyond 64 KiB; for IPv4 there, since Linux 6.3.
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;

/// Has a link take packets up to that many bytes; one that takes larger ones stays as it is.
///
/// # Errors
/// What the kernel says: `InvalidInput` for a size that the link or the kernel does not know.
pub(crate) fn raise_packet_size(socket: &mut Socket, name: &str, size: u32) -> io::Result<()> {
    let mut request = Message::new(GET_LINK, flag::REQUEST, &structure(0, 0));
    request.text(IFLA_IFNAME, name);
    let body = socket.query(request)?;
    let present = Attributes::after(&body, STRUCTURE);
    let smaller: Vec<u16> = [IFLA_GSO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE]
        .into_iter()
        .filter(|kind| present.find(*kind).and_then(number).is_some_and(|now| now < size))
        .collect();
    if smaller.is_empty() {
        return Ok(());
    }
    let mut message = Message::new(SET_LINK, flag::REQUEST, &structure(0, 0));
    message.text(IFLA_IFNAME, name);
    for kind in smaller {
        message.number(kind, size);
    }
    socket.request(message)
}
