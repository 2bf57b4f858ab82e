// SPDX-License-Identifier: MIT
//! Name servers that misbehave on demand.
//!
//! Several servers share one port at different loopback addresses, because the service asks all servers at the same port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Notify;

/// What a server does with a question.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// Answers with this many addresses, 192.0.2.0 and following; by datagram only as many as fit.
    Answers(u8),
    /// Answers with so many addresses, however large the datagram becomes.
    Overflows(u8),
    /// Says nothing.
    IsSilent,
    /// Says nothing to the first question, answers the next.
    IsSilentOnce,
    /// Fails with this code.
    Fails(ResponseCode),
    /// Sends forgeries first, then the answer.
    IsForged,
    /// Sends an answer whose record points to itself.
    Loops,
    /// Answers when it is told to.
    Waits(Arc<Notify>),
    /// Hears nothing by connection; answers datagrams.
    TakesNoConnections,
}

/// A server; it ends with the runtime of the test.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: IpAddr,
    pub(crate) asked: Arc<AtomicUsize>,
    /// Told whenever the server is asked.
    pub(crate) heard: Arc<Notify>,
}

impl Upstream {
    /// Tells how many questions have come.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Starts servers; returns them and their port.
pub(crate) async fn start(manners: &[Manner]) -> (Vec<Upstream>, u16) {
    // A port that is free at one address need not be at the others.
    for _ in 0..100 {
        if let Some(started) = try_start(manners).await {
            return started;
        }
    }
    panic!("no port is free at {} loopback addresses", manners.len());
}

async fn try_start(manners: &[Manner]) -> Option<(Vec<Upstream>, u16)> {
    let mut port = 0;
    let mut bound = Vec::new();
    for (last, manner) in (1_u8..).zip(manners) {
        let address = Ipv4Addr::new(127, 0, 53, last);
        let datagrams = UdpSocket::bind((address, port)).await.ok()?;
        port = datagrams.local_addr().ok()?.port();
        let connections = match manner {
            Manner::TakesNoConnections => None,
            _ => Some(TcpListener::bind((address, port)).await.ok()?),
        };
        bound.push((address, datagrams, connections, manner.clone()));
    }
    let started = bound.into_iter().map(|(address, datagrams, connections, manner)| {
        let upstream = Upstream {
            address: address.into(),
            asked: Arc::default(),
            heard: Arc::default(),
        };
        let server = Server {
            manner,
            asked: upstream.asked.clone(),
            heard: upstream.heard.clone(),
        };
        tokio::spawn(answer_datagrams(datagrams, server.clone()));
        if let Some(connections) = connections {
            tokio::spawn(answer_connections(connections, server));
        }
        upstream
    });
    Some((started.collect(), port))
}

#[derive(Debug, Clone)]
struct Server {
    manner: Manner,
    asked: Arc<AtomicUsize>,
    heard: Arc<Notify>,
}

async fn answer_datagrams(socket: UdpSocket, server: Server) {
    let mut bytes = vec![0; 65535];
    while let Ok((length, peer)) = socket.recv_from(&mut bytes).await {
        let question = Message::from_vec(&bytes[..length]).expect("a question");
        let limit = usize::from(question.max_payload());
        for answer in server.answer(question, limit).await {
            socket.send_to(&answer, peer).await.expect("an answer is sent");
        }
        forge(&server, peer).await;
    }
}

/// Sends something from an address that was never asked.
async fn forge(server: &Server, peer: SocketAddr) {
    if matches!(server.manner, Manner::IsForged) {
        let stranger = UdpSocket::bind((Ipv4Addr::new(127, 0, 54, 1), 0))
            .await
            .expect("a socket");
        stranger.send_to(b"forged", peer).await.expect("a forgery is sent");
    }
}

async fn answer_connections(listener: TcpListener, server: Server) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer_connection(stream, server.clone()));
    }
}

async fn answer_connection(mut stream: TcpStream, server: Server) {
    while let Ok(length) = stream.read_u16().await {
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await.expect("a question");
        let question = Message::from_vec(&bytes).expect("a question");
        for answer in server.answer(question, 65535).await {
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream
                .write_all(&[&length, answer.as_slice()].concat())
                .await
                .expect("an answer is sent");
        }
    }
}

impl Server {
    async fn answer(&self, question: Message, limit: usize) -> Vec<Vec<u8>> {
        let before = self.asked.fetch_add(1, Ordering::SeqCst);
        self.heard.notify_one();
        let right = |count| vec![fitted(answer(&question, count), limit)];
        match &self.manner {
            Manner::IsSilent => Vec::new(),
            Manner::IsSilentOnce if before == 0 => Vec::new(),
            Manner::IsSilentOnce | Manner::TakesNoConnections => right(1),
            Manner::Answers(count) => right(*count),
            Manner::Overflows(count) => vec![answer(&question, *count).to_vec().unwrap()],
            Manner::Fails(code) => {
                let mut failure = answer(&question, 0);
                failure.metadata.response_code = *code;
                vec![failure.to_vec().unwrap()]
            }
            Manner::IsForged => [forgeries(&question), right(1)].concat(),
            Manner::Loops => {
                let mut bytes = answer(&question, 1).to_vec().unwrap();
                let record = bytes.len() - 16;
                let aim = u16::try_from(record).unwrap() | 0xc000;
                bytes[record..record + 2].copy_from_slice(&aim.to_be_bytes());
                vec![bytes]
            }
            Manner::Waits(signal) => {
                signal.notified().await;
                right(1)
            }
        }
    }
}

fn answer(question: &Message, count: u8) -> Message {
    let mut answer = question.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    let name = question.queries[0].name.clone();
    for last in 0..count {
        let address = RData::A(A(Ipv4Addr::new(192, 0, 2, last)));
        answer.add_answer(Record::from_rdata(name.clone(), 60, address));
    }
    answer
}

fn fitted(mut answer: Message, limit: usize) -> Vec<u8> {
    loop {
        let bytes = answer.to_vec().unwrap();
        if bytes.len() <= limit {
            return bytes;
        }
        answer.answers.pop();
        answer.metadata.truncation = true;
    }
}

fn forgeries(question: &Message) -> Vec<Vec<u8>> {
    let poisoned = |change: fn(&mut Message)| {
        let mut forged = answer(question, 0);
        let name = question.queries[0].name.clone();
        let poison = RData::A(A(Ipv4Addr::new(203, 0, 113, 66)));
        forged.add_answer(Record::from_rdata(name, 60, poison));
        change(&mut forged);
        forged.to_vec().unwrap()
    };
    vec![
        poisoned(|forged| forged.metadata.id ^= 1),
        poisoned(|forged| forged.metadata.message_type = MessageType::Query),
        poisoned(|forged| {
            forged.queries[0].set_name(Name::from_ascii("other.example.").unwrap());
        }),
        poisoned(|forged| {
            forged.queries[0].set_query_type(RecordType::AAAA);
        }),
        poisoned(|forged| forged.queries.clear()),
        b"no message".to_vec(),
    ]
}
