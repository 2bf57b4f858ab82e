// SPDX-License-Identifier: MIT
//! Questions that others are asked.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hyperbox_core::seam::{NameServer, NameService as _, ResolverSettings};
use hyperbox_dns::Configuration;
use hyperbox_testkit::name_client::{addresses, ask, ask_by_connection, question};
use tokio::sync::Notify;

use crate::served::{Served, impatient, patient};
use crate::upstream::{Manner, Upstream, start};

/// What the servers know as the only address of every name.
const ANSWER: [u8; 4] = [192, 0, 2, 0];

async fn serve(manners: &[Manner], limits: impl Fn(u16) -> Configuration) -> (Served, Vec<Upstream>) {
    let (upstreams, port) = start(manners).await;
    let addresses: Vec<IpAddr> = upstreams.iter().map(|upstream| upstream.address).collect();
    (Served::with(limits(port), &addresses), upstreams)
}

fn assert_answered(answer: &Message) {
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert_eq!(addresses(answer), [IpAddr::from(ANSWER)]);
}

#[tokio::test]
async fn unknown_names_go_to_the_first_server_as_they_are() {
    let (served, upstreams) = serve(&[Manner::Answers(1), Manner::Answers(1)], patient).await;
    for name in ["Example.COM", "single"] {
        let answer = served.ask(name, RecordType::A).await;
        assert_answered(&answer);
        assert_eq!(answer.queries[0].name.to_ascii(), format!("{name}."));
    }
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    served.ask("web", RecordType::A).await;
    assert_eq!((upstreams[0].asked(), upstreams[1].asked()), (2, 0));
    // Other kinds of records are not ours to know.
    served.ask("web", RecordType::TXT).await;
    assert_eq!(upstreams[0].asked(), 3);
}

/// As Docker Engine does where `ndots` is set, to whatever it is.
#[tokio::test]
async fn single_labels_stay_here_where_that_is_wished() {
    let (served, upstreams) = serve(&[Manner::Answers(1)], patient).await;
    let server = NameServer {
        address: upstreams[0].address,
        from_container: false,
    };
    let settings = ResolverSettings {
        networks: vec![served.network.clone()],
        servers: vec![server],
        forward: true,
        keep_single_labels: true,
        ..ResolverSettings::default()
    };
    served.names.change(&served.container, settings);
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    for record_type in [RecordType::A, RecordType::AAAA] {
        let answer = served.ask("single", record_type).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert!(answer.answers.is_empty(), "{answer:?}");
    }
    assert_eq!(addresses(&served.ask("web", RecordType::A).await).len(), 1);
    assert_eq!(upstreams[0].asked(), 0);
    served.ask("single", RecordType::MX).await;
    assert_answered(&served.ask("example.com", RecordType::A).await);
    assert_eq!(upstreams[0].asked(), 2);
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails() {
    for manner in [
        Manner::Fails(ResponseCode::ServFail),
        Manner::Fails(ResponseCode::Refused),
        Manner::Loops,
        Manner::IsSilent,
    ] {
        let (served, upstreams) = serve(&[manner, Manner::Answers(1)], patient).await;
        assert_answered(&served.ask("example.com", RecordType::A).await);
        assert_eq!((upstreams[0].asked(), upstreams[1].asked()), (1, 1));
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_answer() {
    let (served, upstreams) = serve(&[Manner::Fails(ResponseCode::NXDomain), Manner::Answers(1)], patient).await;
    let answer = served.ask("example.com", RecordType::A).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(upstreams[1].asked(), 0);
}

#[tokio::test]
async fn nobody_answers() {
    for manners in [
        vec![Manner::IsSilent],
        vec![Manner::IsSilent, Manner::IsSilent, Manner::IsSilent],
        vec![
            Manner::Fails(ResponseCode::Refused),
            Manner::Fails(ResponseCode::ServFail),
        ],
    ] {
        let (served, upstreams) = serve(&manners, impatient).await;
        let answer = served.ask("example.com", RecordType::A).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert!(upstreams.iter().all(|upstream| upstream.asked() > 0));
    }
}

#[tokio::test]
async fn nobody_listens() {
    // The port of a server that has gone: the kernel says so at once.
    let (upstreams, port) = start(&[Manner::Answers(1)]).await;
    let elsewhere: IpAddr = [127, 0, 55, 1].into();
    let served = Served::with(patient(port), &[elsewhere, upstreams[0].address]);
    assert_answered(&served.ask("example.com", RecordType::A).await);
    let served = Served::with(patient(port), &[elsewhere]);
    let answer = served.ask("example.com", RecordType::A).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn a_lost_question_is_repeated() {
    let (served, upstreams) = serve(&[Manner::IsSilentOnce], patient).await;
    assert_answered(&served.ask("example.com", RecordType::A).await);
    assert_eq!(upstreams[0].asked(), 2);
}

#[tokio::test]
async fn a_slow_server_is_listened_to_while_the_next_is_asked() {
    let signal = Arc::new(Notify::new());
    let (served, upstreams) = serve(&[Manner::Waits(signal.clone()), Manner::IsSilent], patient).await;
    let second = upstreams[1].heard.clone();
    let release = async {
        second.notified().await;
        signal.notify_one();
    };
    let (answer, ()) = tokio::join!(served.ask("example.com", RecordType::A), release);
    assert_answered(&answer);
}

#[tokio::test]
async fn forgeries_are_not_believed() {
    let (served, _upstreams) = serve(&[Manner::IsForged], patient).await;
    for _ in 0..5 {
        assert_answered(&served.ask("example.com", RecordType::A).await);
        let question = question("example.com", RecordType::A);
        let answers = ask_by_connection(served.connections, &[question]).await.unwrap();
        assert_answered(&answers[0]);
    }
}

#[tokio::test]
async fn truncated_answers_are_whole_by_connection() {
    let (served, _upstreams) = serve(&[Manner::Answers(100)], patient).await;
    let plain = question("example.com", RecordType::A);
    let mut large = question("example.com", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    large.set_edns(edns);
    let answer = served.send(&plain).await;
    assert!(answer.metadata.truncation && answer.answers.len() < 40);
    let answer = served.send(&large).await;
    assert!(!answer.metadata.truncation);
    assert_eq!(answer.answers.len(), 100);
    let answers = ask_by_connection(served.connections, &[plain]).await.unwrap();
    assert!(!answers[0].metadata.truncation);
    assert_eq!(answers[0].answers.len(), 100);
}

#[tokio::test]
async fn answers_larger_than_the_client_takes_are_truncated_here() {
    let (served, _upstreams) = serve(&[Manner::Overflows(200)], patient).await;
    let answer = served.ask("example.com", RecordType::A).await;
    assert!(answer.metadata.truncation);
    assert!((20..=30).contains(&answer.answers.len()), "{}", answer.answers.len());
}

#[tokio::test]
async fn a_server_without_connections_is_asked_by_datagram() {
    let (served, _upstreams) = serve(&[Manner::TakesNoConnections], patient).await;
    let question = question("example.com", RecordType::A);
    let answers = ask_by_connection(served.connections, &[question]).await.unwrap();
    assert_answered(&answers[0]);
}

#[tokio::test]
async fn too_many_questions_are_refused_and_room_comes_back() {
    let signal = Arc::new(Notify::new());
    let limits = |port| Configuration {
        questions_per_container: 1,
        ..patient(port)
    };
    let (served, upstreams) = serve(&[Manner::Waits(signal.clone())], limits).await;
    let first = question("one.example", RecordType::A);
    let second = async {
        upstreams[0].heard.notified().await;
        let refused = served.ask("two.example", RecordType::A).await;
        assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
        signal.notify_one();
    };
    let (answer, ()) = tokio::join!(ask(served.datagrams, &first), second);
    assert_answered(&answer.unwrap());
    signal.notify_one();
    assert_answered(&served.ask("three.example", RecordType::A).await);
}
