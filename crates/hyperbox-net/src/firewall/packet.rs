// SPDX-License-Identifier: MIT
//! What rules look at and do, one function for each expression of the kernel (`linux/netfilter/nf_tables.h`).
//!
//! Registers are 4 bytes wide and numbered from [`REGISTER`]; wider values and concatenated keys take the following ones too. What is
//! written here is what the nft program writes for the statement in each comment, so that it shows our rules as it shows its own.

use std::net::Ipv6Addr;

use crate::netlink::Message;

/// The first register (`NFT_REG32_00`).
pub(super) const REGISTER: u32 = 8;
const REGISTER_VERDICT: u32 = 0;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;

pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

const DROP: u32 = 0;
const ACCEPT: u32 = 1;
/// `NFT_JUMP` is -3.
const JUMP: u32 = 0xffff_fffd;

const PAYLOAD_LINK: u32 = 0;
const PAYLOAD_NETWORK: u32 = 1;
const PAYLOAD_TRANSPORT: u32 = 2;

/// `ARPHRD_ETHER`.
const TYPE_ETHERNET: u16 = 1;
/// `ETH_P_IPV6`.
const ETHERNET_IPV6: u16 = 0x86dd;
/// Every network namespace begins with it (`LOOPBACK_IFINDEX`).
const LOOPBACK_INDEX: u32 = 1;
/// `RTN_LOCAL`: an address of this machine.
const ADDRESS_LOCAL: u32 = 2;
/// `IPS_DST_NAT`.
const STATUS_TRANSLATED: u32 = 0x20;
/// `IP_CT_ESTABLISHED` and `IP_CT_RELATED` as the bits of `ct state`.
const STATE_KNOWN: u32 = 6;

const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;

/// What is known of a packet beside its bytes (`enum nft_meta_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meta {
    /// Protocol in the link's header.
    LinkProtocol = 1,
    /// The mark, a number that rules may change.
    Mark = 3,
    /// Index of the interface it came in by.
    Input = 4,
    /// Name of the interface it came in by.
    InputName = 6,
    /// Name of the interface it leaves by.
    OutputName = 7,
    /// Type of the interface it came in by.
    InputType = 8,
    /// Address family.
    Family = 15,
    /// Transport protocol.
    Protocol = 16,
}

/// An address family (`NFPROTO_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ip {
    /// IPv4.
    V4 = 2,
    /// IPv6.
    V6 = 10,
}

impl Ip {
    /// How many bytes an address has.
    pub(super) fn length(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }
}

/// An address in a packet's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    Source,
    Destination,
}

impl Address {
    fn offset(self, ip: Ip) -> u32 {
        match (self, ip) {
            (Self::Source, Ip::V4) => 12,
            (Self::Destination, Ip::V4) => 16,
            (Self::Source, Ip::V6) => 8,
            (Self::Destination, Ip::V6) => 24,
        }
    }
}

/// Whether a set must contain a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    In,
    NotIn,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Jump(&'static str),
}

/// Which address a translation replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Translation {
    Source = 0,
    Destination = 1,
}

fn expression(list: &mut Message, name: &str, data: impl FnOnce(&mut Message)) {
    list.nest(LIST_ELEMENT, |element| {
        element.text(EXPRESSION_NAME, name).nest(EXPRESSION_DATA, data);
    });
}

/// `meta KEY`.
pub(super) fn meta(list: &mut Message, key: Meta, register: u32) {
    expression(list, "meta", |data| {
        data.network_number(2, key as u32).network_number(1, register);
    });
}

fn payload(list: &mut Message, base: u32, offset: u32, length: u32, register: u32) {
    expression(list, "payload", |data| {
        data.network_number(1, register)
            .network_number(2, base)
            .network_number(3, offset)
            .network_number(4, length);
    });
}

/// `ip daddr`, `ip6 saddr` and so on; must follow [`family_is`].
pub(super) fn address(list: &mut Message, which: Address, ip: Ip, register: u32) {
    payload(list, PAYLOAD_NETWORK, which.offset(ip), ip.length(), register);
}

/// `meta l4proto . th dport`: the protocol, and in the next register the port.
pub(super) fn protocol_and_port(list: &mut Message, register: u32) {
    meta(list, Meta::Protocol, register);
    payload(list, PAYLOAD_TRANSPORT, 2, 2, register + 1);
}

/// Goes on if the first bytes of the register are these.
pub(super) fn is(list: &mut Message, register: u32, value: &[u8]) {
    compare(list, register, 0, value);
}

fn compare(list: &mut Message, register: u32, operator: u32, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.network_number(1, register)
            .network_number(2, operator)
            .nest(3, |nest| {
                nest.bytes(DATA_VALUE, value);
            });
    });
}

/// `& MASK`.
fn mask(list: &mut Message, register: u32, mask: &[u8]) {
    bitwise(list, register, mask, &vec![0; mask.len()]);
}

/// `& MASK ^ XOR`.
fn bitwise(list: &mut Message, register: u32, mask: &[u8], xor: &[u8]) {
    let length = u32::try_from(mask.len()).expect("a mask is an address at most");
    expression(list, "bitwise", |data| {
        data.network_number(1, register)
            .network_number(2, register)
            .network_number(3, length)
            .nest(4, |nest| {
                nest.bytes(DATA_VALUE, mask);
            })
            .nest(5, |nest| {
                nest.bytes(DATA_VALUE, xor);
            });
    });
}

/// `meta mark & BITS == BITS`, in a register of the caller's choice.
pub(super) fn mark_has(list: &mut Message, bits: u32, register: u32) {
    let bits = bits.to_ne_bytes();
    meta(list, Meta::Mark, register);
    mask(list, register, &bits);
    is(list, register, &bits);
}

/// `meta mark set meta mark | BITS`.
pub(super) fn set_mark(list: &mut Message, bits: u32) {
    change_mark(list, !bits, bits);
}

/// `meta mark set meta mark & ~BITS`.
pub(super) fn clear_mark(list: &mut Message, bits: u32) {
    change_mark(list, !bits, 0);
}

fn change_mark(list: &mut Message, kept: u32, added: u32) {
    meta(list, Meta::Mark, REGISTER);
    bitwise(list, REGISTER, &kept.to_ne_bytes(), &added.to_ne_bytes());
    expression(list, "meta", |data| {
        data.network_number(2, Meta::Mark as u32).network_number(3, REGISTER);
    });
}

/// `meta nfproto FAMILY`.
pub(super) fn family_is(list: &mut Message, ip: Ip) {
    meta(list, Meta::Family, REGISTER);
    is(list, REGISTER, &[ip as u8]);
}

/// `meta l4proto NUMBER`.
pub(super) fn protocol_is(list: &mut Message, number: u8) {
    meta(list, Meta::Protocol, REGISTER);
    is(list, REGISTER, &[number]);
}

/// `ip saddr 127.0.0.0/8`, or `daddr`.
pub(super) fn is_loopback_ipv4(list: &mut Message, which: Address) {
    family_is(list, Ip::V4);
    payload(list, PAYLOAD_NETWORK, which.offset(Ip::V4), 1, REGISTER);
    is(list, REGISTER, &[127]);
}

/// `ip6 saddr ::1`, or `daddr`.
pub(super) fn is_loopback_ipv6(list: &mut Message, which: Address) {
    family_is(list, Ip::V6);
    address(list, which, Ip::V6, REGISTER);
    is(list, REGISTER, &Ipv6Addr::LOCALHOST.octets());
}

/// `ip6 daddr ::1` where packets are those of a link: no family is known there.
pub(super) fn link_to_loopback_ipv6(list: &mut Message) {
    meta(list, Meta::LinkProtocol, REGISTER);
    is(list, REGISTER, &ETHERNET_IPV6.to_be_bytes());
    address(list, Address::Destination, Ip::V6, REGISTER);
    is(list, REGISTER, &Ipv6Addr::LOCALHOST.octets());
}

/// `iif lo`: the loopback interface is the first of every network namespace.
pub(super) fn from_loopback(list: &mut Message) {
    meta(list, Meta::Input, REGISTER);
    is(list, REGISTER, &LOOPBACK_INDEX.to_ne_bytes());
}

/// `ether saddr ADDRESS`.
pub(super) fn link_source_is(list: &mut Message, address: [u8; 6]) {
    payload(list, PAYLOAD_LINK, 6, 6, REGISTER);
    is(list, REGISTER, &address);
}

/// `ether daddr set DESTINATION ether saddr set SOURCE`.
pub(super) fn set_link_addresses(list: &mut Message, destination: [u8; 6], source: [u8; 6]) {
    // As the nft program has it, which then shows the addresses as such.
    meta(list, Meta::InputType, REGISTER);
    is(list, REGISTER, &TYPE_ETHERNET.to_ne_bytes());
    for (offset, address) in [(0, destination), (6, source)] {
        value(list, REGISTER, &address);
        expression(list, "payload", |data| {
            data.network_number(5, REGISTER)
                .network_number(2, PAYLOAD_LINK)
                .network_number(3, offset)
                .network_number(4, 6)
                // There is no checksum to be put right.
                .network_number(6, 0)
                .network_number(7, 0)
                .network_number(8, 0);
        });
    }
}

/// `fwd to lo`.
pub(super) fn pass_to_loopback(list: &mut Message) {
    value(list, REGISTER, &LOOPBACK_INDEX.to_ne_bytes());
    expression(list, "fwd", |data| {
        data.network_number(1, REGISTER);
    });
}

fn value(list: &mut Message, register: u32, bytes: &[u8]) {
    expression(list, "immediate", |data| {
        data.network_number(1, register).nest(2, |nest| {
            nest.bytes(DATA_VALUE, bytes);
        });
    });
}

/// `ip6 saddr fe80::/10`, or `daddr`.
pub(super) fn is_link_local_ipv6(list: &mut Message, which: Address) {
    let (mut bits, mut prefix) = ([0; 16], [0; 16]);
    bits[..2].copy_from_slice(&[0xff, 0xc0]);
    prefix[..2].copy_from_slice(&[0xfe, 0x80]);
    family_is(list, Ip::V6);
    address(list, which, Ip::V6, REGISTER);
    mask(list, REGISTER, &bits);
    is(list, REGISTER, &prefix);
}

/// `fib daddr type local`.
pub(super) fn to_this_machine(list: &mut Message) {
    expression(list, "fib", |data| {
        // NFT_FIB_RESULT_ADDRTYPE of NFTA_FIB_F_DADDR.
        data.network_number(1, REGISTER)
            .network_number(2, 3)
            .network_number(3, 2);
    });
    is(list, REGISTER, &ADDRESS_LOCAL.to_ne_bytes());
}

fn connection_has(list: &mut Message, key: u32, bits: u32) {
    connection_bits(list, key, bits);
    compare(list, REGISTER, 1, &[0; 4]);
}

fn connection_bits(list: &mut Message, key: u32, bits: u32) {
    expression(list, "ct", |data| {
        data.network_number(2, key).network_number(1, REGISTER);
    });
    mask(list, REGISTER, &bits.to_ne_bytes());
}

/// `ct state & (established | related) == 0`.
pub(super) fn unknown_connection(list: &mut Message) {
    connection_bits(list, CT_STATE, STATE_KNOWN);
    is(list, REGISTER, &[0; 4]);
}

/// `ct state established,related`.
pub(super) fn known_connection(list: &mut Message) {
    connection_has(list, CT_STATE, STATE_KNOWN);
}

/// `ct status dnat`.
pub(super) fn translated(list: &mut Message) {
    connection_has(list, CT_STATUS, STATUS_TRANSLATED);
}

/// `… @SET` or `… != @SET`: goes on if the value in [`REGISTER`] is in it, or not.
pub(super) fn lookup(list: &mut Message, set: &str, membership: Membership) {
    expression(list, "lookup", |data| {
        data.text(1, set).network_number(2, REGISTER);
        if membership == Membership::NotIn {
            data.network_number(5, 1);
        }
    });
}

/// `iifname @SET` or `oifname @SET`.
pub(super) fn name_in(list: &mut Message, key: Meta, set: &str, membership: Membership) {
    meta(list, key, REGISTER);
    lookup(list, set, membership);
}

/// `iifname . oifname @SET`.
pub(super) fn names_in(list: &mut Message, set: &str) {
    meta(list, Meta::InputName, REGISTER);
    meta(list, Meta::OutputName, REGISTER + 4);
    lookup(list, set, Membership::In);
}

/// `… map @MAP`: replaces the value in [`REGISTER`] by what the map says; ends the rule where it says nothing.
pub(super) fn mapped(list: &mut Message, map: &str) {
    expression(list, "lookup", |data| {
        data.text(1, map)
            .network_number(2, REGISTER)
            .network_number(3, REGISTER);
    });
}

/// `dnat ip to ADDRESS . PORT` of what [`mapped`] left in the registers, or `snat ip to ADDRESS`.
pub(super) fn translate(list: &mut Message, translation: Translation, ip: Ip) {
    expression(list, "nat", |data| {
        data.network_number(1, translation as u32)
            .network_number(2, ip as u32)
            .network_number(3, REGISTER);
        if translation == Translation::Destination {
            data.network_number(5, REGISTER + ip.length() / 4);
        }
    });
}

/// `masquerade`: gives the packet the address of the interface it leaves by.
pub(super) fn masquerade(list: &mut Message) {
    expression(list, "masq", |_| ());
}

/// `redirect`: leads the packet to this machine, at the address of the interface it came in by.
pub(super) fn redirect(list: &mut Message) {
    expression(list, "redir", |_| ());
}

/// `accept`, `drop` or `jump CHAIN`.
pub(super) fn verdict(list: &mut Message, verdict: Verdict) {
    expression(list, "immediate", |data| {
        data.network_number(1, REGISTER_VERDICT).nest(2, |value| {
            value.nest(DATA_VERDICT, |nest| {
                match verdict {
                    Verdict::Accept => nest.network_number(1, ACCEPT),
                    Verdict::Drop => nest.network_number(1, DROP),
                    Verdict::Jump(chain) => nest.network_number(1, JUMP).text(2, chain),
                };
            });
        });
    });
}

/// `counter`.
pub(super) fn count(list: &mut Message) {
    expression(list, "counter", |data| {
        data.bytes(1, &[0; 8]).bytes(2, &[0; 8]);
    });
}

/// An xtables match, as the programs of iptables write it.
pub(super) fn iptables_match(list: &mut Message, name: &str, revision: u32, info: &[u8]) {
    expression(list, "match", |data| {
        data.text(1, name).network_number(2, revision).bytes(3, info);
    });
}
