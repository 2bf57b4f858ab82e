// SPDX-License-Identifier: MIT
//! Answers from memory, bit by bit as Docker Engine 28.5 gives them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Edns, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, RecordType};
use hyperbox_core::seam::{NameService as _, ResolverSettings};
use hyperbox_testkit::name_client::{addresses, ask_by_connection, exchange, question};

use crate::served::Served;

#[tokio::test]
async fn answers_carry_dockers_flags_and_time_to_live() {
    let served = Served::new();
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    let answer = served.ask("WEB.front", RecordType::A).await;
    assert!(answer.metadata.recursion_desired && answer.metadata.recursion_available);
    assert!(!answer.metadata.authoritative && !answer.metadata.authentic_data);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert_eq!(answer.queries[0].name.to_ascii(), "WEB.front.");
    assert_eq!(answer.answers[0].name.to_ascii(), "WEB.front.");
    assert_eq!(answer.answers[0].ttl, 600);
    assert!(answer.edns.is_none());
}

#[tokio::test]
async fn a_known_name_without_an_address_of_the_family_is_empty() {
    let served = Served::new();
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    for record_type in [RecordType::AAAA, RecordType::MX] {
        let answer = served.ask("web", record_type).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{record_type}");
        assert!(answer.answers.is_empty() && answer.metadata.recursion_available);
    }
    // Nobody can be asked about the rest.
    for (name, record_type) in [
        ("web", RecordType::TXT),
        ("web", RecordType::SRV),
        ("web", RecordType::ANY),
        ("other", RecordType::A),
        ("1.0.0.10.in-addr.arpa", RecordType::PTR),
    ] {
        let answer = served.ask(name, record_type).await;
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::ServFail,
            "{name} {record_type}"
        );
        assert!(!answer.metadata.recursion_available);
        assert_eq!(answer.queries.len(), 1);
    }
    let mut chaos = question("web", RecordType::A);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(served.send(&chaos).await.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn addresses_have_names() {
    let served = Served::new();
    served.announce(&["web"], &[[10, 0, 0, 2].into(), "fd00::2".parse().unwrap()]);
    let ipv6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
    for name in ["2.0.0.10.in-addr.arpa", "2.0.0.10.IN-ADDR.ARPA", ipv6] {
        let answer = served.ask(name, RecordType::PTR).await;
        let [record] = answer.answers.as_slice() else {
            panic!("{name}: {answer:?}");
        };
        let RData::PTR(found) = &record.data else {
            panic!("{name}: {record:?}");
        };
        assert_eq!((found.0.to_ascii().as_str(), record.ttl), ("web.front.", 600));
    }
}

#[tokio::test]
async fn several_addresses_take_turns() {
    let served = Served::new();
    let all: Vec<IpAddr> = (2..5).map(|last| [10, 0, 0, last].into()).collect();
    for address in &all {
        served.announce(&["same"], &[*address]);
    }
    let mut first = BTreeSet::new();
    for _ in 0..50 {
        // Clients ask for both families in turn.
        let found = addresses(&served.ask("same", RecordType::A).await);
        served.ask("same", RecordType::AAAA).await;
        assert_eq!(found.iter().collect::<BTreeSet<_>>(), all.iter().collect());
        first.insert(found[0]);
    }
    assert_eq!(first.len(), all.len());
}

#[tokio::test]
async fn what_does_not_fit_is_truncated_and_whole_by_connection() {
    let served = Served::new();
    let all: Vec<IpAddr> = (0..200).map(|last| Ipv4Addr::new(10, 0, 1, last).into()).collect();
    served.announce(&["many"], &all);
    let plain = question("many", RecordType::A);
    let mut large = question("many", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    large.set_edns(edns);
    for (asked, limit) in [(&plain, 512), (&large, 1232)] {
        let bytes = exchange(served.datagrams, &asked.to_vec().unwrap()).await.unwrap();
        assert!(bytes.len() <= limit && bytes.len() > limit - 32, "{}", bytes.len());
        let answer = served.send(asked).await;
        assert!(answer.metadata.truncation && !answer.answers.is_empty());
        assert_eq!(answer.edns.is_some(), asked.edns.is_some());
    }
    let answers = ask_by_connection(served.connections, &[plain]).await.unwrap();
    assert!(!answers[0].metadata.truncation);
    assert_eq!(addresses(&answers[0]).len(), all.len());
}

#[tokio::test]
async fn versions_that_do_not_exist_are_refused() {
    let served = Served::new();
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    let mut message = question("web", RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    message.set_edns(edns);
    let answer = served.send(&message).await;
    // The code has two names (RFC 6895 §2.3).
    assert_eq!(
        u16::from(answer.metadata.response_code),
        u16::from(ResponseCode::BADVERS)
    );
    assert_eq!(answer.edns.unwrap().version(), 0);
}

#[tokio::test]
async fn what_is_no_question_gets_a_bare_header_or_nothing() {
    let served = Served::new();
    let refused = exchange(
        served.datagrams,
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01",
    )
    .await;
    assert_eq!(refused.unwrap(), b"\x12\x34\x81\x01\0\0\0\0\0\0\0\0");
    // An answer to an answer would go round for ever. What comes next is answered, so it was not merely late.
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(served.datagrams).await.unwrap();
    for silent in [&b"\x12\x34\x81\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01"[..], b"\x12\x34", b""] {
        socket.send(silent).await.unwrap();
    }
    socket.send(b"\x56\x78\x29\0\0\0\0\0\0\0\0\0").await.unwrap();
    let mut bytes = [0; 512];
    let length = socket.recv(&mut bytes).await.unwrap();
    assert_eq!(bytes[..length], *b"\x56\x78\xa9\x04\0\0\0\0\0\0\0\0");
}

#[tokio::test]
async fn settings_change_while_serving() {
    let served = Served::new();
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    served.names.change(&served.container, ResolverSettings::default());
    let answer = served.ask("web", RecordType::A).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}
