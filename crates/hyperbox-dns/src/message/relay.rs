// SPDX-License-Identifier: MIT
//! Judging what another server has answered.
//!
//! Anybody on the way can send datagrams. The kernel hands over only those of the server that was asked (the socket is connected); here
//! the identifier and the question must be ours too, and every record must lie where the header says. What is inside of records is the
//! business of the client, as if it had asked itself.

use hickory_proto::op::{MessageType, OpCode, Query, ResponseCode};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::layout::{HEADER, HEADER_END, Layout};
use super::question::Question;

/// What a message from a server is worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not the answer to our question: the right one may still come.
    Foreign,
    /// The server cannot help; another may.
    Failed,
    /// The answer, as the client will see it.
    Answer(Vec<u8>),
}

/// Judges an answer to `question`, which was sent as `sent`, beginning with the identifier chosen for this server.
pub(crate) fn judge(question: &Question, sent: &[u8], mut bytes: Vec<u8>) -> Verdict {
    let Some((header, layout)) = Layout::walk(&bytes) else {
        return Verdict::Foreign;
    };
    let metadata = header.metadata;
    let is_ours = sent.get(..2) == bytes.get(..2)
        && metadata.message_type == MessageType::Response
        && metadata.op_code == OpCode::Query;
    if !is_ours {
        return Verdict::Foreign;
    }
    if header.counts.queries == 0 && metadata.response_code != ResponseCode::NoError {
        // Who could not read the question does not repeat it.
        return Verdict::Failed;
    }
    let asked = Query::read(&mut BinDecoder::new(&bytes).clone(HEADER_END)).ok();
    if header.counts.queries != 1 || !asked.is_some_and(|asked| question.is_asked_by(&asked)) {
        return Verdict::Foreign;
    }
    let failed = matches!(metadata.response_code, ResponseCode::ServFail | ResponseCode::Refused);
    if failed || !(layout.complete || metadata.truncation) {
        return Verdict::Failed;
    }
    let end = layout.questions_end;
    restore(question, sent, &mut bytes, end);
    Verdict::Answer(bytes)
}

/// Puts the client's identifier and spelling back: some compare the question octet by octet.
fn restore(question: &Question, sent: &[u8], bytes: &mut [u8], end: usize) {
    bytes
        .get_mut(..2)
        .into_iter()
        .for_each(|id| id.copy_from_slice(&question.metadata.id.to_be_bytes()));
    if end == question.end
        && let (Some(theirs), Some(ours)) = (bytes.get_mut(HEADER..end), sent.get(HEADER..end))
    {
        theirs.copy_from_slice(ours);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::op::Message;
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData, Record, RecordType};

    use super::super::question::{Reading, read};
    use super::*;

    fn asked() -> (Question, Vec<u8>) {
        let mut message = Message::new(5, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii("Web.Example.").unwrap(), RecordType::A));
        let bytes = message.to_vec().unwrap();
        let Reading::Question(question) = read(&bytes) else {
            panic!("no question");
        };
        let sent = [&0xabcd_u16.to_be_bytes(), &bytes[2..]].concat();
        (question, sent)
    }

    fn answer(change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let name = Name::from_ascii("web.example.").unwrap();
        let mut message = Message::new(0xabcd, MessageType::Response, OpCode::Query);
        message.add_query(Query::query(name.clone(), RecordType::A));
        message.add_answer(Record::from_rdata(name, 60, RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))));
        change(&mut message);
        message.to_vec().unwrap()
    }

    fn judged(bytes: Vec<u8>) -> Verdict {
        let (question, sent) = asked();
        judge(&question, &sent, bytes)
    }

    #[test]
    fn the_answer_comes_back_in_the_words_of_the_client() {
        let Verdict::Answer(bytes) = judged(answer(|_| {})) else {
            panic!("no answer");
        };
        let (question, sent) = asked();
        assert_eq!(bytes[12..question.end], sent[12..]);
        let read = Message::from_vec(&bytes).unwrap();
        assert_eq!(read.metadata.id, 5);
        assert_eq!(read.answers.len(), 1);
    }

    #[test]
    fn what_anybody_may_have_sent_is_not_taken() {
        let other = |name: &str, record_type| vec![Query::query(Name::from_ascii(name).unwrap(), record_type)];
        for bytes in [
            answer(|message| message.metadata.id = 0xabce),
            answer(|message| message.metadata.message_type = MessageType::Query),
            answer(|message| message.metadata.op_code = OpCode::Notify),
            answer(|message| message.queries = other("evil.example.", RecordType::A)),
            answer(|message| message.queries = other("web.example.", RecordType::AAAA)),
            answer(|message| message.queries.clear()),
            vec![],
            b"\xab\xcd\x80".to_vec(),
        ] {
            assert_eq!(judged(bytes.clone()), Verdict::Foreign, "{bytes:?}");
        }
    }

    #[test]
    fn failures_lead_to_the_next_server() {
        let failed = |code| answer(move |message: &mut Message| message.metadata.response_code = code);
        for (bytes, is_failure) in [
            (failed(ResponseCode::ServFail), true),
            (failed(ResponseCode::Refused), true),
            (failed(ResponseCode::NXDomain), false),
            (failed(ResponseCode::FormErr), false),
            (
                answer(|message| {
                    message.metadata.response_code = ResponseCode::FormErr;
                    message.queries.clear();
                    message.answers.clear();
                }),
                true,
            ),
        ] {
            assert_eq!(judged(bytes.clone()) == Verdict::Failed, is_failure, "{bytes:?}");
        }
    }

    #[test]
    fn damaged_records_are_not_passed_on() {
        let mut cut = answer(|_| {});
        cut.pop();
        assert_eq!(judged(cut.clone()), Verdict::Failed);
        // Truncated by its server: what is whole will be kept.
        cut[2] |= 0x02;
        assert!(matches!(judged(cut), Verdict::Answer(_)));
        // The name of the record points to itself.
        let mut looped = answer(|_| {});
        let record = looped.len() - 16;
        let aim = u16::try_from(record).unwrap() | 0xc000;
        looped[record..record + 2].copy_from_slice(&aim.to_be_bytes());
        assert_eq!(judged(looped), Verdict::Failed);
        // The name of the record points into the header.
        let mut headed = answer(|_| {});
        headed[record..record + 2].copy_from_slice(&0xc005_u16.to_be_bytes());
        assert_eq!(judged(headed), Verdict::Failed);
    }
}
