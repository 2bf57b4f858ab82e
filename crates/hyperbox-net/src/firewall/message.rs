// SPDX-License-Identifier: MIT
//! Messages of nfnetlink's nftables subsystem (`linux/netfilter/nf_tables.h`).

use std::io;

use rustix::io::Errno;

use crate::netlink::{Message, Socket, flag};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

/// Families of tables (`NFPROTO_…`).
pub(super) const FAMILY_UNSPECIFIED: u8 = 0;
pub(super) const FAMILY_INET: u8 = 1;
pub(super) const FAMILY_IPV4: u8 = 2;
pub(super) const FAMILY_NETDEV: u8 = 5;
pub(super) const FAMILY_IPV6: u8 = 10;

/// Length of `struct nfgenmsg`.
pub(super) const STRUCTURE: usize = 4;

/// What a message does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    NewTable = 0,
    GetTable = 1,
    DeleteTable = 2,
    NewChain = 3,
    GetChain = 4,
    DeleteChain = 5,
    NewRule = 6,
    GetRule = 7,
    DeleteRule = 8,
    NewSet = 9,
    NewElement = 12,
    GetElement = 13,
    DeleteElement = 14,
    GetGeneration = 16,
}

/// Begins a message.
pub(super) fn message(verb: Verb, family: u8, flags: u16) -> Message {
    Message::new(
        (SUBSYSTEM << 8) | verb as u16,
        flag::REQUEST | flags,
        &[family, 0, 0, 0],
    )
}

/// Applies messages as one transaction.
pub(super) fn commit(socket: &mut Socket, messages: Vec<Message>) -> io::Result<()> {
    // The last field of the structure is the subsystem, in network byte order.
    let [high, low] = SUBSYSTEM.to_be_bytes();
    let edge = |kind| Message::new(kind, flag::REQUEST, &[0, 0, high, low]);
    socket.batch(edge(BATCH_BEGIN), messages, edge(BATCH_END))
}

/// Makes the absence of an object a value.
pub(super) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
