// SPDX-License-Identifier: MIT
//! Writing our own answers.

use std::net::IpAddr;

use hickory_proto::op::{Edns as Opt, Message, Metadata, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{Name, RData, Record};

use super::question::Question;

/// How long clients may remember an answer, in seconds: as Docker says. Few do, and containers that restart seldom change address.
const TIME_TO_LIVE: u32 = 600;
/// What we take in one datagram (RFC 6891 §6.2.3).
const PAYLOAD: u16 = 4096;
/// How many addresses are answered at most; what is left out differs from answer to answer, since their order does.
const MAX_ADDRESSES: usize = 1024;

/// What is answered.
#[derive(Debug)]
pub(crate) enum Contents<'a> {
    /// Addresses, in this order; none is an answer too.
    Addresses(&'a [IpAddr]),
    /// The name of an address.
    Name(&'a str),
    /// A failure.
    Failure(ResponseCode),
}

/// Writes the answer to a question; `None` when it cannot be said in DNS, as a name with too long a label.
pub(crate) fn encode(question: &Question, contents: &Contents<'_>) -> Option<Vec<u8>> {
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata = Metadata::response_from_request(&question.metadata);
    message.add_query(question.query.clone());
    if question.edns.is_some() {
        let mut opt = Opt::new();
        opt.set_max_payload(PAYLOAD);
        message.set_edns(opt);
    }
    let record = |data: RData| Record::from_rdata(question.query.name.clone(), TIME_TO_LIVE, data);
    match contents {
        Contents::Addresses(addresses) => {
            message.metadata.recursion_available = true;
            let data = addresses.iter().take(MAX_ADDRESSES).map(|address| match *address {
                IpAddr::V4(address) => RData::A(A(address)),
                IpAddr::V6(address) => RData::AAAA(AAAA(address)),
            });
            message.answers.extend(data.map(record));
        }
        Contents::Name(name) => {
            message.metadata.recursion_available = true;
            let mut name = Name::from_ascii(name).ok()?;
            name.set_fqdn(true);
            message.add_answer(record(RData::PTR(PTR(name))));
        }
        Contents::Failure(code) => message.metadata.response_code = *code,
    }
    message.to_vec().ok()
}

/// Writes the answer to what is not a question: a bare header.
pub(crate) fn refuse(metadata: &Metadata, code: ResponseCode) -> Option<Vec<u8>> {
    let mut message = Message::response(metadata.id, metadata.op_code);
    message.metadata.recursion_desired = metadata.recursion_desired;
    message.metadata.response_code = code;
    message.to_vec().ok()
}
