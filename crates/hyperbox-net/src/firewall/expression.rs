// SPDX-License-Identifier: MIT
//! The expressions that rules are made of (`linux/netfilter/nf_tables.h`). Register 1 carries every value.

use crate::netlink::Message;

/// Length of an interface name in a register.
pub(super) const NAME_LENGTH: usize = 16;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const REGISTER_VERDICT: u32 = 0;
const REGISTER: u32 = 1;
const ACCEPT: u32 = 1;

pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// A field of a packet's way through the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The interface it came in by.
    Input = 6,
    /// The interface it leaves by.
    Output = 7,
}

/// Whether a set must contain a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    In = 0,
    NotIn = 1,
}

/// Appends an expression to a list of them.
fn expression(list: &mut Message, name: &str, data: impl FnOnce(&mut Message)) {
    list.nest(LIST_ELEMENT, |element| {
        element.text(EXPRESSION_NAME, name).nest(EXPRESSION_DATA, data);
    });
}

/// Loads an interface name.
pub(super) fn load_name(list: &mut Message, side: Side) {
    expression(list, "meta", |data| {
        data.network_number(2, side as u32).network_number(1, REGISTER);
    });
}

/// Goes on if the value is, or is not, in a set.
pub(super) fn lookup(list: &mut Message, set: &str, membership: Membership) {
    expression(list, "lookup", |data| {
        data.text(1, set).network_number(2, REGISTER);
        if membership == Membership::NotIn {
            data.network_number(5, 1);
        }
    });
}

/// Goes on if the value is exactly that name. Only the name and its NUL are compared, as iptables does, so that it shows the rule.
pub(super) fn name_is(list: &mut Message, name: &str) {
    expression(list, "cmp", |data| {
        data.network_number(1, REGISTER).network_number(2, 0).nest(3, |value| {
            value.text(DATA_VALUE, name);
        });
    });
}

/// Goes on if the packet belongs or relates to a known connection.
pub(super) fn known_connection(list: &mut Message) {
    // IP_CT_ESTABLISHED and IP_CT_RELATED as bits, in the machine's byte order as the register has them.
    let states = 6_u32.to_ne_bytes();
    expression(list, "ct", |data| {
        data.network_number(2, 0).network_number(1, REGISTER);
    });
    expression(list, "bitwise", |data| {
        data.network_number(1, REGISTER)
            .network_number(2, REGISTER)
            .network_number(3, 4)
            .nest(4, |mask| {
                mask.bytes(DATA_VALUE, &states);
            })
            .nest(5, |xor| {
                xor.bytes(DATA_VALUE, &[0; 4]);
            });
    });
    expression(list, "cmp", |data| {
        data.network_number(1, REGISTER).network_number(2, 1).nest(3, |value| {
            value.bytes(DATA_VALUE, &[0; 4]);
        });
    });
}

/// [`known_connection`] in the form of iptables' `conntrack` match, revision 3 (`struct xt_conntrack_mtinfo3`).
pub(super) fn known_connection_of_iptables(list: &mut Message) {
    let mut info = [0_u8; 168];
    let states = 6_u16.to_ne_bytes();
    // match_flags = XT_CONNTRACK_STATE, then invert_flags and state_mask.
    info[146..148].copy_from_slice(&1_u16.to_ne_bytes());
    info[150..152].copy_from_slice(&states);
    expression(list, "match", |data| {
        data.text(1, "conntrack").network_number(2, 3).bytes(3, &info);
    });
}

/// Counts packets.
pub(super) fn count(list: &mut Message) {
    expression(list, "counter", |data| {
        data.bytes(1, &[0; 8]).bytes(2, &[0; 8]);
    });
}

/// Accepts the packet.
pub(super) fn accept(list: &mut Message) {
    expression(list, "immediate", |data| {
        data.network_number(1, REGISTER_VERDICT).nest(2, |value| {
            value.nest(DATA_VERDICT, |verdict| {
                verdict.network_number(1, ACCEPT);
            });
        });
    });
}

/// Gives the packet the address of the interface it leaves by.
pub(super) fn masquerade(list: &mut Message) {
    expression(list, "masq", |_| ());
}

/// An interface name as a key of a set.
pub(super) fn name_key(name: &str) -> [u8; NAME_LENGTH] {
    let mut key = [0; NAME_LENGTH];
    for (to, from) in key.iter_mut().zip(name.bytes().take(NAME_LENGTH - 1)) {
        *to = from;
    }
    key
}
