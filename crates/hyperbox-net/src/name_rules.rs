// SPDX-License-Identifier: MIT
//! Sockets for the name service in a container's namespace, and the rules that lead 127.0.0.11:53 to them.
//!
//! ```text
//! table ip hyperbox_names {
//!   chain output { type nat hook output priority dstnat; policy accept;
//!     ip daddr 127.0.0.11 meta l4proto udp th dport 53 dnat to :PORT
//!     ip daddr 127.0.0.11 meta l4proto tcp th dport 53 dnat to :PORT }
//! }
//! ```
//! Connection tracking puts the answers right. The table is replaced as a whole, in one transaction: sockets that died with an earlier
//! daemon leave nothing behind.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use hyperbox_core::seam::NameSockets;

use crate::netlink::{Family, Message, Socket, flag};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const TABLE: &str = "hyperbox_names";
const CHAIN: &str = "output";
const PORT: u16 = 53;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const FAMILY_IPV4: u8 = 2;

const HOOK_OUTPUT: u32 = 3;
/// `NF_IP_PRI_NAT_DST` as the kernel's signed number.
const PRIORITY: i32 = -100;
const UDP: u8 = 17;
const TCP: u8 = 6;

/// Opens the sockets and sets the rules in the network namespace of the calling thread.
pub(crate) fn open() -> io::Result<NameSockets> {
    let datagrams = UdpSocket::bind((ADDRESS, 0))?;
    let connections = TcpListener::bind((ADDRESS, 0))?;
    let ports = [
        (UDP, datagrams.local_addr()?.port()),
        (TCP, connections.local_addr()?.port()),
    ];
    set_rules(&mut Socket::open(Family::Netfilter)?, ports)?;
    Ok(NameSockets { datagrams, connections })
}

/// Replacing is kept for namespaces that need it: after a removal, closing the socket waits for a grace period (`nft_rcv_nl_event` in the
/// kernel), 10–20 ms.
fn set_rules(socket: &mut Socket, ports: [(u8, u16); 2]) -> io::Result<()> {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    let edge = |kind| Message::new(kind, flag::REQUEST, &[0, 0, high, low]);
    match socket.batch(edge(BATCH_BEGIN), table(ports), edge(BATCH_END)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut messages = vec![message(DELETE_TABLE, 0)];
            messages.extend(table(ports));
            socket.batch(edge(BATCH_BEGIN), messages, edge(BATCH_END))
        }
        result => result,
    }
}

fn message(verb: u16, flags: u16) -> Message {
    let mut message = Message::new((SUBSYSTEM << 8) | verb, flag::REQUEST | flags, &[FAMILY_IPV4, 0, 0, 0]);
    message.text(1, TABLE);
    message
}

/// The messages that make the table.
fn table(ports: [(u8, u16); 2]) -> Vec<Message> {
    let mut chain = message(NEW_CHAIN, flag::CREATE | flag::EXCLUSIVE);
    chain
        .text(3, CHAIN)
        .nest(4, |place| {
            place
                .network_number(1, HOOK_OUTPUT)
                .network_number(2, PRIORITY.cast_unsigned());
        })
        .text(7, "nat");
    let mut messages = vec![message(NEW_TABLE, flag::CREATE | flag::EXCLUSIVE), chain];
    messages.extend(ports.map(|(protocol, port)| rule(protocol, port)));
    messages
}

fn rule(protocol: u8, port: u16) -> Message {
    let mut rule = message(NEW_RULE, flag::CREATE | flag::APPEND);
    rule.text(2, CHAIN).nest(4, |list| {
        // The destination address: 4 bytes at offset 16 of the network header.
        expression(list, "payload", |data| payload(data, 1, 16, 4));
        expression(list, "cmp", |data| equals(data, &ADDRESS.octets()));
        // NFT_META_L4PROTO.
        expression(list, "meta", |data| {
            data.network_number(2, 16).network_number(1, 1);
        });
        expression(list, "cmp", |data| equals(data, &[protocol]));
        // The destination port: 2 bytes at offset 2 of the transport header.
        expression(list, "payload", |data| payload(data, 2, 2, 2));
        expression(list, "cmp", |data| equals(data, &PORT.to_be_bytes()));
        expression(list, "immediate", |data| {
            data.network_number(1, 1).nest(2, |value| {
                value.bytes(1, &port.to_be_bytes());
            });
        });
        // NFT_NAT_DNAT with a port alone; NF_NAT_RANGE_PROTO_SPECIFIED.
        expression(list, "nat", |data| {
            data.network_number(1, 1)
                .network_number(2, FAMILY_IPV4.into())
                .network_number(5, 1)
                .network_number(7, 2);
        });
    });
    rule
}

fn expression(list: &mut Message, name: &str, data: impl FnOnce(&mut Message)) {
    list.nest(1, |element| {
        element.text(1, name).nest(2, data);
    });
}

/// Loads bytes of a packet into register 1.
fn payload(data: &mut Message, base: u32, offset: u32, length: u32) {
    data.network_number(1, 1)
        .network_number(2, base)
        .network_number(3, offset)
        .network_number(4, length);
}

/// Goes on if register 1 is exactly that.
fn equals(data: &mut Message, value: &[u8]) {
    data.network_number(1, 1).network_number(2, 0).nest(3, |nest| {
        nest.bytes(1, value);
    });
}
