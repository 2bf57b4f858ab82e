// SPDX-License-Identifier: MIT
//! Known connections (conntrack by ctnetlink): those that a change of the ports has made wrong are forgotten.
//!
//! The kernel decides on a translation with a connection's first packet and keeps to it. UDP "connections" live as long as
//! somebody sends, so that after a publication packets would go on to nowhere, and after a withdrawal to a container that is gone.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use hyperbox_types::Protocol;
use rustix::io::Errno;

use crate::netlink::{Attributes, Message, Socket, flag};

use super::message::STRUCTURE;
use super::packet::Ip;

const SUBSYSTEM: u16 = 1;
/// Both families.
const UNSPECIFIED: u8 = 0;
const GET: u16 = 1;
const DELETE: u16 = 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const ZONE: u16 = 18;
const ID: u16 = 12;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_SOURCE_PORT: u16 = 2;
const PROTOCOL_DESTINATION_PORT: u16 = 3;
/// `IPS_DST_NAT`.
const STATUS_TRANSLATED: u32 = 0x20;

/// A connection, as far as it matters here, with the attributes that name it to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Connection {
    protocol: u8,
    /// Where the first packet was sent.
    destination: SocketAddr,
    /// Who answers.
    answerer: SocketAddr,
    translated: bool,
    name: Vec<(u16, Vec<u8>)>,
}

/// Which connections are wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wrong {
    /// Those that were translated to these addresses: their containers are gone.
    pub(crate) containers: BTreeSet<IpAddr>,
    /// UDP to these places of the host that goes elsewhere than to these targets: it was there before the port was published.
    pub(crate) datagrams: Vec<(SocketAddr, SocketAddr)>,
}

impl Wrong {
    fn is(&self, connection: &Connection) -> bool {
        if connection.translated && self.containers.contains(&connection.answerer.ip()) {
            return true;
        }
        // One that passes by, to some other machine, is none of ours.
        let ends_here = connection.translated || connection.answerer == connection.destination;
        connection.protocol == Protocol::Udp.number()
            && ends_here
            && self.datagrams.iter().any(|(host, target)| {
                let addressed = host.ip().is_unspecified() || host.ip() == connection.destination.ip();
                let of_the_family = host.is_ipv4() == connection.destination.is_ipv4();
                let same_port = host.port() == connection.destination.port();
                addressed && of_the_family && same_port && connection.answerer != *target
            })
    }
}

/// Forgets connections; returns how many. They end at once, for both sides.
///
/// The kernel goes through its whole table for it, which takes some ten milliseconds on a big machine.
pub(crate) fn forget(socket: &mut Socket, wrong: &Wrong) -> io::Result<usize> {
    let all = socket.dump(&message(GET, UNSPECIFIED, flag::DUMP), |body| {
        connection(body).filter(|connection| wrong.is(connection))
    })?;
    let removals: Vec<_> = all.iter().map(removal).collect();
    let mut forgotten = 0;
    for chunk in removals.chunks(128) {
        for result in socket.results(chunk.to_vec())? {
            match result {
                Ok(()) => forgotten += 1,
                // It ended by itself.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(forgotten)
}

fn message(verb: u16, family: u8, flags: u16) -> Message {
    Message::new((SUBSYSTEM << 8) | verb, flag::REQUEST | flags, &[family, 0, 0, 0])
}

fn removal(connection: &Connection) -> Message {
    let mut message = message(DELETE, Ip::of(connection.destination.ip()) as u8, 0);
    for (kind, value) in &connection.name {
        message.bytes(*kind, value);
    }
    message
}

fn connection(body: &[u8]) -> Option<Connection> {
    let attributes = Attributes::after(body, STRUCTURE);
    let (protocol, destination) = end(&attributes.nested(TUPLE_ORIGINAL), End::Destination)?;
    let (_, answerer) = end(&attributes.nested(TUPLE_REPLY), End::Source)?;
    let status = attributes.find(STATUS)?.try_into().ok().map(u32::from_be_bytes)?;
    // The id makes sure that it is this connection and not a later one between the same ends.
    let name = [TUPLE_ORIGINAL, ZONE, ID].into_iter().filter_map(|kind| {
        let nested = if kind == TUPLE_ORIGINAL { 0x8000 } else { 0 };
        Some((kind | nested, attributes.find(kind)?.to_vec()))
    });
    Some(Connection {
        protocol,
        destination,
        answerer,
        translated: status & STATUS_TRANSLATED != 0,
        name: name.collect(),
    })
}

/// One end of a direction; the number is that of its IPv4 address attribute, whose IPv6 one is two higher.
#[derive(Debug, Clone, Copy)]
enum End {
    Source = 1,
    Destination = 2,
}

fn end(tuple: &Attributes<'_>, end: End) -> Option<(u8, SocketAddr)> {
    let ip = tuple.nested(TUPLE_IP);
    let address = match (ip.find(end as u16), ip.find(end as u16 + 2)) {
        (Some(bytes), _) => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        (None, Some(bytes)) => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        (None, None) => return None,
    };
    let protocol = tuple.nested(TUPLE_PROTOCOL);
    let port = protocol.find(match end {
        End::Source => PROTOCOL_SOURCE_PORT,
        End::Destination => PROTOCOL_DESTINATION_PORT,
    });
    let port = port
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u16::from_be_bytes);
    let number = *protocol.find(PROTOCOL_NUMBER)?.first()?;
    Some((number, SocketAddr::new(address, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_listing_is_read_without_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            drop(connection(&body));
        }
    }

    #[test]
    fn which_connections_are_wrong() {
        let connection = |protocol, destination: &str, answerer: &str| {
            let (destination, answerer): (SocketAddr, SocketAddr) =
                (destination.parse().unwrap(), answerer.parse().unwrap());
            Connection {
                protocol,
                destination,
                answerer,
                translated: destination != answerer,
                name: Vec::new(),
            }
        };
        let wrong = Wrong {
            containers: BTreeSet::from(["10.0.0.2".parse().unwrap()]),
            datagrams: vec![("0.0.0.0:53".parse().unwrap(), "10.0.0.9:5353".parse().unwrap())],
        };
        for (protocol, destination, answerer, expected) in [
            (6, "192.0.2.1:80", "10.0.0.2:80", true),
            (6, "10.0.0.2:80", "10.0.0.2:80", false),
            (6, "192.0.2.1:80", "10.0.0.3:80", false),
            (17, "192.0.2.1:53", "192.0.2.1:53", true),
            (17, "192.0.2.1:53", "10.0.0.9:5353", false),
            (17, "192.0.2.1:53", "10.0.0.8:5353", true),
            (17, "192.0.2.1:54", "192.0.2.1:54", false),
            (6, "192.0.2.1:53", "192.0.2.1:53", false),
            (17, "[2001:db8::1]:53", "[2001:db8::1]:53", false),
        ] {
            let connection = connection(protocol, destination, answerer);
            assert_eq!(wrong.is(&connection), expected, "{protocol} {destination} {answerer}");
        }
    }
}
