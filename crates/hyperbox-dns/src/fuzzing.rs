// SPDX-License-Identifier: MIT
//! Entry points of the fuzz targets: what strangers' bytes reach, with what must hold whatever they are.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType};
use hyperbox_core::seam::{Announcement, ResolverSettings};
use hyperbox_types::{ContainerId, NetworkId};

use crate::message::{Contents, Reading, Transport, Verdict, encode, judge, read, refuse, shorten};
use crate::view::View;
use crate::zones::Zones;

/// A message of a client.
///
/// # Panics
/// When an answer is not a valid message, or larger than the client takes.
pub fn question(bytes: &[u8]) {
    let (zones, view) = world();
    match read(bytes) {
        Reading::Nothing => {}
        Reading::Refused(metadata, code) => {
            let answer = refuse(&metadata, code).expect("a header can be written");
            assert_eq!(answer.len(), 12);
        }
        Reading::Question(question) => {
            let addresses = question.name().and_then(|name| view.addresses(&zones, &name));
            let addresses = addresses.unwrap_or_else(|| vec![IpAddr::from([10, 0, 0, 2]); 100]);
            let name = question.address().and_then(|address| view.reverse(&zones, address));
            let contents = [
                Contents::Addresses(&addresses),
                Contents::Name(name.unwrap_or("web.front")),
            ];
            for contents in contents {
                let answer = encode(&question, &contents).expect("an answer can be written");
                let limit = question.limit(Transport::Datagram);
                let answer = shorten(answer, limit).expect("an answer of ours can be read");
                assert!(answer.len() <= limit.max(512));
                let answer = Message::from_vec(&answer).expect("an answer of ours can be read");
                assert_eq!(answer.metadata.id, question.metadata.id);
                assert_eq!(answer.metadata.message_type, MessageType::Response);
            }
        }
    }
}

/// An answer of a server to a question: the first octet says how long the question is, then come question and answer.
///
/// # Panics
/// When something is passed on that the client would not take for the answer to its question.
pub fn answer(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else {
        return;
    };
    let (sent, answer) = rest.split_at(rest.len().min(usize::from(*length)));
    let Reading::Question(question) = read(sent) else {
        return;
    };
    if let Verdict::Answer(answer) = judge(&question, sent, answer.to_vec()) {
        let limit = question.limit(Transport::Datagram);
        let short = shorten(answer, limit).expect("what was judged has a structure");
        assert!(short.len() <= limit.max(512));
        assert_eq!(short.get(..2), Some(&question.metadata.id.to_be_bytes()[..]));
        let again = shorten(short.clone(), limit).expect("what was shortened has a structure");
        assert_eq!(again, short);
    }
}

fn world() -> (Zones, View) {
    let mut zones = Zones::default();
    let network = NetworkId::from_bytes([1; 32]);
    zones.announce(Announcement {
        network: network.clone(),
        container: ContainerId::from_bytes([2; 32]),
        names: vec!["web".to_owned(), "a.b".to_owned()],
        addresses: vec![[10, 0, 0, 2].into()],
        reverse: "web.front".to_owned(),
    });
    let view = View::new(&ResolverSettings {
        links: vec![(network.clone(), "link".to_owned(), "web".to_owned())],
        networks: vec![network],
        ..ResolverSettings::default()
    });
    (zones, view)
}
