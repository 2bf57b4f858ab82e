// SPDX-License-Identifier: MIT
//! Connections: several questions at once, silence, nonsense, too many.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use hyperbox_core::seam::NameService as _;
use hyperbox_dns::Configuration;
use hyperbox_testkit::name_client::{addresses, ask_by_connection, question};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::served::{Served, patient};
use crate::upstream::{Manner, start};

#[tokio::test]
async fn quick_answers_overtake_slow_ones() {
    let signal = Arc::new(Notify::new());
    let (upstreams, port) = start(&[Manner::Waits(signal.clone())]).await;
    let served = Served::with(patient(port), &[upstreams[0].address]);
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    let mut slow = question("example.com", RecordType::A);
    slow.metadata.id = 1;
    let mut quick = question("web", RecordType::A);
    quick.metadata.id = 2;
    let mut stream = TcpStream::connect(served.connections).await.unwrap();
    for message in [slow, quick] {
        let bytes = message.to_vec().unwrap();
        stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    }
    // The client has nothing more to say; its questions are answered all the same.
    stream.shutdown().await.unwrap();
    assert_eq!(read_id(&mut stream).await, 2);
    signal.notify_one();
    assert_eq!(read_id(&mut stream).await, 1);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

async fn read_id(stream: &mut TcpStream) -> u16 {
    let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut bytes).await.unwrap();
    u16::from_be_bytes([bytes[0], bytes[1]])
}

#[tokio::test]
async fn many_questions_in_a_row() {
    let (upstreams, port) = start(&[Manner::Answers(1)]).await;
    let served = Served::with(patient(port), &[upstreams[0].address]);
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    let both = [question("web", RecordType::A), question("example.com", RecordType::A)];
    let messages: Vec<_> = both.iter().cycle().take(400).cloned().collect();
    let answers = ask_by_connection(served.connections, &messages).await.unwrap();
    assert!(answers.iter().all(|answer| addresses(answer).len() == 1));
    assert_eq!(upstreams[0].asked(), 200);
}

#[tokio::test]
async fn silence_and_nonsense_end_a_connection() {
    let limits = Configuration {
        idle: Duration::from_millis(100),
        connections_per_container: 1,
        ..Configuration::default()
    };
    let served = Served::with(limits, &[]);
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    for said in [&b""[..], b"\x00", b"\x00\x20half", b"\xff\xff"] {
        let mut stream = TcpStream::connect(served.connections).await.unwrap();
        stream.write_all(said).await.unwrap();
        let end = stream.read(&mut [0]).await;
        // A reset when something was left unread.
        assert!(end.is_err() || end.is_ok_and(|length| length == 0), "{said:?}");
    }
    // The only place is free again.
    let answers = ask_by_connection(served.connections, &[question("web", RecordType::A)]).await;
    assert_eq!(answers.unwrap().len(), 1);
}

#[tokio::test]
async fn stopping_ends_connections() {
    let served = Served::new();
    let mut stream = TcpStream::connect(served.connections).await.unwrap();
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    ask_by_connection(served.connections, &[question("web", RecordType::A)])
        .await
        .unwrap();
    served.names.stop(&served.container);
    let end = stream.read(&mut [0]).await;
    assert!(end.is_err() || end.is_ok_and(|length| length == 0));
}
