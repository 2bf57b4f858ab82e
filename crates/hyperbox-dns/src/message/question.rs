// SPDX-License-Identifier: MIT
//! Reading what a client asks.
//!
//! What is not one question is answered as Docker's server answers it: format error for what cannot be read, "not implemented" for
//! other operations, silence for answers and for what is too short to be answered.

use std::net::IpAddr;

use hickory_proto::op::{Header, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::layout::{HEADER, HEADER_END, Layout};

/// What every receiver of datagrams can take (RFC 1035 §4.2.1).
const SMALLEST_LIMIT: u16 = 512;

/// How a client has reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// One datagram.
    Datagram,
    /// A message of a connection.
    Connection,
}

/// What the client says about itself in its OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// Largest datagram that it can take.
    pub(crate) payload: u16,
    /// Version; only 0 exists.
    pub(crate) version: u8,
}

/// A question.
#[derive(Debug)]
pub(crate) struct Question {
    /// Identifier and flags.
    pub(crate) metadata: Metadata,
    /// Name, type and class.
    pub(crate) query: Query,
    /// Octets of the header and the question.
    pub(crate) end: usize,
    /// What the client can take, if it says so.
    pub(crate) edns: Option<Edns>,
}

/// What a message from a client is.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Nothing that has an answer.
    Nothing,
    /// Something that is answered with a bare header.
    Refused(Metadata, ResponseCode),
    /// A question.
    Question(Question),
}

/// Reads a message of a client.
pub(crate) fn read(bytes: &[u8]) -> Reading {
    if bytes.len() < HEADER {
        return Reading::Nothing;
    }
    let Ok(header) = Header::read(&mut BinDecoder::new(bytes)) else {
        return Reading::Nothing;
    };
    let metadata = header.metadata;
    if metadata.message_type == MessageType::Response {
        return Reading::Nothing;
    }
    if metadata.op_code != OpCode::Query {
        return Reading::Refused(metadata, ResponseCode::NotImp);
    }
    question(bytes).map_or(Reading::Refused(metadata, ResponseCode::FormErr), Reading::Question)
}

fn question(bytes: &[u8]) -> Option<Question> {
    let (header, layout) = Layout::walk(bytes)?;
    if header.counts.queries != 1 || !layout.complete {
        return None;
    }
    let query = Query::read(&mut BinDecoder::new(bytes).clone(HEADER_END)).ok()?;
    let edns = match layout.opt {
        Some(begin) => Some(edns(bytes.get(begin..)?)?),
        None => None,
    };
    Some(Question {
        metadata: header.metadata,
        query,
        end: layout.questions_end,
        edns,
    })
}

/// Reads an OPT record, whose name must be the root (RFC 6891 §6.1.2).
fn edns(record: &[u8]) -> Option<Edns> {
    let &[0, _, _, high, low, _, version, ..] = record else {
        return None;
    };
    Some(Edns {
        payload: u16::from_be_bytes([high, low]),
        version,
    })
}

impl Question {
    /// Returns the name as names are compared: in lower case, without the dot of the root. `None` when no name of ours can be meant:
    /// a label has a dot inside, or is not text.
    pub(crate) fn name(&self) -> Option<String> {
        let mut name = String::with_capacity(self.query.name.len());
        for label in self.query.name.iter() {
            let label = std::str::from_utf8(label).ok().filter(|label| !label.contains('.'))?;
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(label);
        }
        name.make_ascii_lowercase();
        Some(name)
    }

    /// Returns the type that is asked for, if the class is that of the Internet.
    pub(crate) fn record_type(&self) -> Option<RecordType> {
        (self.query.query_class == DNSClass::IN).then_some(self.query.query_type)
    }

    /// Returns the address whose name is asked for (RFC 1035 §3.5, RFC 3596 §2.5).
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let network = self.query.name.parse_arpa_name().ok()?;
        (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
    }

    /// Returns how many octets an answer may have.
    pub(crate) fn limit(&self, transport: Transport) -> usize {
        let limit = match transport {
            Transport::Connection => u16::MAX,
            Transport::Datagram => self
                .edns
                .map_or(SMALLEST_LIMIT, |edns| edns.payload.max(SMALLEST_LIMIT)),
        };
        usize::from(limit)
    }

    /// Tells whether `other` asks the same. Servers may change the case of letters (RFC 4343).
    pub(crate) fn is_asked_by(&self, other: &Query) -> bool {
        let same_kind = (self.query.query_type, self.query.query_class) == (other.query_type, other.query_class);
        same_kind && self.query.name == other.name
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use hickory_proto::rr::Name;

    use super::*;

    fn question_of(bytes: &[u8]) -> Question {
        match read(bytes) {
            Reading::Question(question) => question,
            other => panic!("{other:?}"),
        }
    }

    fn asked(name: &str, record_type: RecordType) -> Question {
        let mut message = Message::new(5, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
        question_of(&message.to_vec().unwrap())
    }

    /// Header with identifier 0x1234 and the counts, then `rest`.
    fn raw(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let words = [0x1234, flags].into_iter().chain(counts);
        let mut bytes: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
        bytes.extend_from_slice(rest);
        bytes
    }

    const WEB: &[u8] = b"\x03Web\x00\x00\x01\x00\x01";

    #[test]
    fn what_is_no_question_is_told_apart() {
        let twice = [WEB, WEB].concat();
        let with_record = [WEB, b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"].concat();
        for (bytes, expected) in [
            (raw(0x0100, [1, 0, 0, 0], WEB), None),
            (raw(0x0100, [1, 0, 0, 1], &with_record), None),
            (raw(0x0100, [2, 0, 0, 0], &twice), Some(ResponseCode::FormErr)),
            (raw(0x0100, [0, 0, 0, 0], b""), Some(ResponseCode::FormErr)),
            (raw(0x0100, [1, 0, 0, 0], &WEB[..6]), Some(ResponseCode::FormErr)),
            (raw(0x0100, [1, 0, 0, 1], WEB), Some(ResponseCode::FormErr)),
            (
                raw(0x0100, [1, 0, 0, 0], b"\xc0\x0c\x00\x01\x00\x01"),
                Some(ResponseCode::FormErr),
            ),
            (
                raw(0x0100, [1, 0, 0, 0], b"\xc0\xff\x00\x01\x00\x01"),
                Some(ResponseCode::FormErr),
            ),
            (raw(0x2900, [1, 0, 0, 0], WEB), Some(ResponseCode::NotImp)),
        ] {
            match (read(&bytes), expected) {
                (Reading::Question(_), None) => {}
                (Reading::Refused(metadata, code), Some(expected)) => {
                    assert_eq!((metadata.id, code), (0x1234, expected), "{bytes:?}");
                }
                (other, _) => panic!("{bytes:?}: {other:?}"),
            }
        }
        for silent in [raw(0x8180, [1, 0, 0, 0], WEB), vec![0; 11], Vec::new()] {
            assert!(matches!(read(&silent), Reading::Nothing), "{silent:?}");
        }
    }

    #[test]
    fn names_are_compared_in_lower_case() {
        for (labels, name) in [
            (&b"\x03WEB\x05Front\x00"[..], Some("web.front")),
            (b"\x00", Some("")),
            (b"\x04a_-9\x00", Some("a_-9")),
            (b"\x03a.b\x00", None),
            (b"\x02\xc3\x28\x00", None),
        ] {
            let bytes = raw(0x0100, [1, 0, 0, 0], &[labels, b"\x00\x01\x00\x01"].concat());
            assert_eq!(question_of(&bytes).name().as_deref(), name, "{labels:?}");
        }
    }

    #[test]
    fn addresses_are_read_backwards() {
        let loopback = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.";
        for (name, address) in [
            ("4.3.2.1.in-addr.arpa.", Some("1.2.3.4")),
            ("4.3.2.1.IN-ADDR.ARPA.", Some("1.2.3.4")),
            ("3.2.1.in-addr.arpa.", None),
            ("5.4.3.2.1.in-addr.arpa.", None),
            ("256.3.2.1.in-addr.arpa.", None),
            (loopback, Some("::1")),
            ("0.ip6.arpa.", None),
            ("example.com.", None),
            (".", None),
        ] {
            let found = asked(name, RecordType::PTR).address();
            assert_eq!(found, address.map(|address| address.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn the_client_says_how_much_it_takes() {
        let edns = |payload: u16| {
            let record = [b"\x00\x00\x29", &payload.to_be_bytes()[..], &[0; 6]].concat();
            question_of(&raw(0x0100, [1, 0, 0, 1], &[WEB, &record].concat()))
        };
        assert_eq!(asked("web.", RecordType::A).limit(Transport::Datagram), 512);
        assert_eq!(edns(1232).limit(Transport::Datagram), 1232);
        assert_eq!(edns(10).limit(Transport::Datagram), 512);
        assert_eq!(edns(10).limit(Transport::Connection), 65535);
        let named = [WEB, b"\x01x\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"].concat();
        assert!(matches!(read(&raw(0x0100, [1, 0, 0, 1], &named)), Reading::Refused(..)));
    }

    #[test]
    fn the_same_question_may_be_spelled_differently() {
        let question = asked("Web.Example.", RecordType::A);
        let other = |name: &str, record_type| Query::query(Name::from_ascii(name).unwrap(), record_type);
        assert!(question.is_asked_by(&other("wEB.example.", RecordType::A)));
        assert!(!question.is_asked_by(&other("web.example.", RecordType::AAAA)));
        assert!(!question.is_asked_by(&other("web.example.com.", RecordType::A)));
    }
}
