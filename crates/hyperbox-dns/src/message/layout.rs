// SPDX-License-Identifier: MIT
//! Where the parts of a message lie, and making a message shorter.

use hickory_proto::op::Header;
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder, DecodeError};

/// Octets of the fixed header.
pub(super) const HEADER: usize = 12;
/// Where the questions begin.
pub(super) const HEADER_END: u16 = 12;
/// Octets of an OPT record without options: root name, type, size, flags, length.
const OPT: usize = 11;
/// Position of the octet with the TC flag, and the flag.
const FLAGS: usize = 2;
const TRUNCATED: u8 = 0x02;

/// The parts of a message.
#[derive(Debug)]
pub(super) struct Layout {
    /// Octets of header and questions.
    pub(super) questions_end: usize,
    /// Where each complete answer ends.
    answers: Vec<usize>,
    /// Where the OPT record begins.
    pub(super) opt: Option<usize>,
    /// Octets that are part of the message.
    end: usize,
    /// Whether all records are there that the header counts.
    pub(super) complete: bool,
}

/// A record, as far as it is looked at.
struct Outline {
    record_type: u16,
    begin: usize,
}

impl Layout {
    /// Walks over a message; `None` when header or questions are damaged.
    ///
    /// No name may point into the header, which is no name, and changes on the way: what is read there would depend on identifiers and
    /// counts. It is hidden behind octets that end every name.
    pub(super) fn walk(bytes: &[u8]) -> Option<(Header, Self)> {
        let header = Header::read(&mut BinDecoder::new(bytes)).ok()?;
        let mut hidden = bytes.to_vec();
        hidden.get_mut(..HEADER)?.fill(0xff);
        let mut decoder = BinDecoder::new(&hidden).clone(HEADER_END);
        for _ in 0..header.counts.queries {
            Name::read(&mut decoder).ok()?;
            decoder.read_slice(4).ok()?;
        }
        let mut layout = Self {
            questions_end: decoder.index(),
            answers: Vec::new(),
            opt: None,
            end: decoder.index(),
            complete: false,
        };
        let counts = header.counts;
        let others = u32::from(counts.authorities) + u32::from(counts.additionals);
        layout.complete = layout.walk_records(&mut decoder, counts.answers, others).is_ok();
        Some((header, layout))
    }

    fn walk_records(&mut self, decoder: &mut BinDecoder<'_>, answers: u16, others: u32) -> Result<(), DecodeError> {
        for _ in 0..answers {
            outline(decoder)?;
            self.end = decoder.index();
            self.answers.push(self.end);
        }
        for _ in 0..others {
            let record = outline(decoder)?;
            self.end = decoder.index();
            if record.record_type == u16::from(RecordType::OPT) {
                self.opt = Some(record.begin);
            }
        }
        Ok(())
    }
}

fn outline(decoder: &mut BinDecoder<'_>) -> Result<Outline, DecodeError> {
    let begin = decoder.index();
    Name::read(decoder)?;
    // Any number is a type; what cannot be read is found by the decoder's own check of bounds.
    let record_type = decoder.read_u16()?.unverified();
    decoder.read_slice(6)?;
    let length = decoder.read_u16()?.unverified();
    decoder.read_slice(usize::from(length))?;
    Ok(Outline { record_type, begin })
}

/// Makes a message fit into `limit` octets: as many answers as fit, no other record but OPT without its options, and the TC flag
/// (RFC 2181 §9). Records are only left out from the end, so what stays keeps its place and every compression pointer its aim.
/// A message that fits is left alone, without what may lie behind its last record. Returns `None` when there is no message in `bytes`.
pub(crate) fn shorten(mut bytes: Vec<u8>, limit: usize) -> Option<Vec<u8>> {
    let (_, layout) = Layout::walk(&bytes)?;
    if layout.complete && layout.end <= limit {
        bytes.truncate(layout.end);
        return Some(bytes);
    }
    // Its name must be the root (RFC 6891 §6.1.2); another record of that type is only left out.
    let opt = layout.opt.and_then(|begin| bytes.get(begin..begin + OPT));
    let opt = opt.filter(|opt| opt.first() == Some(&0)).map(|opt| {
        let mut bare = [0; OPT];
        bare.copy_from_slice(opt);
        bare[OPT - 2..].fill(0);
        bare
    });
    let room = limit.saturating_sub(opt.map_or(0, |opt| opt.len()));
    let kept = layout.answers.iter().take_while(|end| **end <= room).count();
    let end = kept.checked_sub(1).and_then(|last| layout.answers.get(last).copied());
    bytes.truncate(end.unwrap_or(layout.questions_end));
    if let Some(opt) = opt {
        bytes.extend_from_slice(&opt);
    }
    *bytes.get_mut(FLAGS)? |= TRUNCATED;
    let kept = u16::try_from(kept).unwrap_or(u16::MAX);
    bytes.get_mut(6..8)?.copy_from_slice(&kept.to_be_bytes());
    bytes.get_mut(8..10)?.fill(0);
    bytes
        .get_mut(10..12)?
        .copy_from_slice(&u16::from(opt.is_some()).to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{RData, Record};

    use super::*;

    fn message(answers: u8, with_edns: bool) -> Message {
        let name = Name::from_ascii("many.example.").unwrap();
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.add_query(Query::query(name.clone(), RecordType::A));
        for last in 0..answers {
            let address = RData::A(A(Ipv4Addr::new(10, 0, 0, last)));
            message.add_answer(Record::from_rdata(name.clone(), 600, address));
        }
        message.add_authority(Record::from_rdata(name, 600, RData::A(A(Ipv4Addr::LOCALHOST))));
        if with_edns {
            let mut edns = Edns::new();
            edns.set_max_payload(1232).set_dnssec_ok(true);
            message.set_edns(edns);
        }
        message
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let bytes = message(3, true).to_vec().unwrap();
        let mut longer = bytes.clone();
        longer.extend_from_slice(b"more");
        assert_eq!(shorten(longer, bytes.len()), Some(bytes));
    }

    #[test]
    fn what_does_not_fit_loses_records_from_the_end() {
        for (with_edns, limit) in [(false, 512), (true, 512), (true, 100), (false, 45), (true, 0)] {
            let whole = message(200, with_edns);
            let short = shorten(whole.to_vec().unwrap(), limit).unwrap();
            let read = Message::from_vec(&short).unwrap();
            assert!(read.metadata.truncation);
            assert_eq!(read.queries, whole.queries);
            assert_eq!(read.answers, whole.answers[..read.answers.len()]);
            assert!(read.authorities.is_empty());
            assert_eq!(read.edns.as_ref().map(Edns::max_payload), with_edns.then_some(1232));
            let least = HEADER + 18 + if with_edns { OPT } else { 0 };
            assert!(short.len() <= limit.max(least), "{} for {limit}", short.len());
            assert!(short.len() + 16 > limit, "{} for {limit}", short.len());
        }
    }

    #[test]
    fn what_was_cut_in_a_record_ends_before_it() {
        let mut bytes = message(3, false).to_vec().unwrap();
        bytes.truncate(HEADER + 18 + 2 * 16 + 5);
        let read = Message::from_vec(&shorten(bytes, 512).unwrap()).unwrap();
        assert!(read.metadata.truncation);
        assert_eq!(read.answers.len(), 2);
        assert_eq!(shorten(vec![0; 11], 512), None);
        assert_eq!(shorten(vec![0xff; 600], 512), None);
    }
}
