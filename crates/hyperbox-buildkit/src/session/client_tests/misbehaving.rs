// SPDX-License-Identifier: MIT
//! Clients that go at the wrong moment, or send what nobody can use: an error says so, nothing is left, and others notice nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

fn listed(path: &str, mode: u32, size: i64) -> Bytes {
    let stat = Some(Stat {
        path: path.as_bytes().to_vec(),
        mode,
        size,
        ..Stat::default()
    });
    frame(&Packet {
        stat,
        ..packet(PacketKind::Stat, 0, b"")
    })
}

fn send(kind: PacketKind, id: u32, data: &[u8]) -> Bytes {
    frame(&packet(kind, id, data))
}

/// A client that sends this and then waits.
fn saying(messages: Vec<Bytes>) -> Arc<dyn Handler> {
    client(move |call| {
        let said = stream::iter(messages.clone()).map(Ok);
        let waiting = stream::once(async move {
            // Holding the call keeps it open.
            let _call = call;
            std::future::pending().await
        });
        async move { Ok(said.chain(waiting).boxed()) }
    })
}

#[tokio::test]
async fn what_nobody_can_use_ends_the_transfer() {
    let world = World::new();
    let good = Arc::new(Shown::default());
    good.put("a", 0o644, "a");
    let other = world.connect("good", "good", showing(&good)).await;
    let too_long = {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&(17u32 << 20).to_be_bytes());
        Bytes::from(bytes)
    };
    for (index, (messages, expected)) in [
        (
            vec![send(PacketKind::Failure, 0, b"disk on fire")],
            "error from sender: disk on fire",
        ),
        (vec![listed("../x", 0o644, 1)], "a path that is not clean"),
        (vec![listed("b", 0o644, 1), listed("a", 0o644, 1)], "out of order"),
        (vec![listed("l", 0x0800_01ff, 0)], "a link to what is no path"),
        (vec![listed("a", 0o644, -1)], "a negative size"),
        (
            vec![listed("a", 0o644, i64::MAX), listed("b", 0o644, i64::MAX)],
            "cannot keep a file",
        ),
        (vec![send(PacketKind::Data, 0, b"x")], "bytes that nobody asked for"),
        (vec![send(PacketKind::Finish, 0, b"")], "an end before the end"),
        (
            vec![Bytes::from_static(b"\0\0\0\0\x04\xff\xff\xff\xff")],
            "what is no packet",
        ),
        (vec![Bytes::from_static(b"\x01\0\0\0\0")], "compressed messages"),
        (vec![too_long], "is larger than"),
        (
            vec![send(PacketKind::Data, 0, &vec![0; (1 << 20) + 1])],
            "a packet is too long",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let bad = world.connect(&format!("bad {index}"), "bad", saying(messages)).await;
        let (_, message) = code(bad.tree(&world).await);
        assert!(message.contains(expected), "{message} ({expected})");
        bad.vanish().await;
    }
    other.tree(&world).await.expect("the other client's tree");
    world.assert_clean();
}

#[tokio::test]
async fn a_client_may_vanish_at_any_moment() {
    let world = World::new();
    let list = || vec![listed("a", 0o644, 3)];
    for (phase, messages) in [
        ("before anything", vec![]),
        ("in the list", list()),
        (
            "before the bytes",
            [list(), vec![send(PacketKind::Stat, 0, b"")]].concat(),
        ),
        ("in the bytes", [list(), vec![send(PacketKind::Data, 0, b"x")]].concat()),
        (
            "before its end",
            [
                list(),
                vec![
                    send(PacketKind::Data, 0, b"xyz"),
                    send(PacketKind::Data, 0, b""),
                    send(PacketKind::Stat, 0, b""),
                ],
            ]
            .concat(),
        ),
    ] {
        let connected = world.connect(phase, "key", saying(messages)).await;
        let session = Arc::clone(&connected.session);
        let wish = DirectoryWish {
            name: "context".to_owned(),
            ..DirectoryWish::default()
        };
        let loading = world.loading();
        let asking = tokio::spawn(async move { session.tree(wish, loading).await });
        // So much has arrived that something of it was read.
        tokio::task::yield_now().await;
        let session = connected.vanish().await;
        let (found, message) = code(within(asking).await.expect("an answer"));
        assert_eq!(found, Code::Unavailable, "{phase}: {message}");
        within(session.ended()).await;
        let read = within(session.read("dockerfile", &["Dockerfile".to_owned()], &world.loading())).await;
        assert_eq!(code(read).0, Code::Unavailable, "{phase}");
        assert!(session.secrets().secret("id").await.is_err(), "{phase}");
    }
    world.assert_clean();
}

#[tokio::test]
async fn a_build_that_is_cancelled_ends_its_calls() {
    let world = World::new();
    let (ended, mut told) = mpsc::unbounded_channel::<String>();
    let waiting = client(move |call: Call| {
        let mut messages = call.messages;
        let ended = ended.clone();
        tokio::spawn(async move {
            while let Ok(Some(_)) = messages.next().await {}
            drop(ended.send(String::new()));
        });
        async {
            Ok(stream::iter([Ok(listed("a", 0o644, 3))])
                .chain(stream::pending())
                .boxed())
        }
    });
    let connected = world.connect("a", "key", waiting).await;
    {
        let asking = connected.tree(&world);
        tokio::pin!(asking);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut asking).await;
        assert!(early.is_err());
    }
    within(told.recv()).await.expect("the call ends");
    assert!(!connected.serving.is_finished(), "the session goes on");
}

#[tokio::test]
async fn sessions_that_come_late_are_waited_for_and_names_are_theirs_alone() {
    let world = World::new();
    let shown = Arc::new(Shown::default());
    let registry = Arc::clone(&world.registry);
    let waiting = tokio::spawn(async move { registry.find("prefix:late").await });
    tokio::task::yield_now().await;
    let first = world.connect("late", "key", showing(&shown)).await;
    within(waiting).await.expect("a task").expect("the session");

    let (near, _far) = tokio::io::duplex(1024);
    let offer = Offer {
        id: "late".to_owned(),
        ..Offer::default()
    };
    within(world.registry.serve(offer, Box::new(near))).await;
    first.tree(&world).await.expect("the first goes on");
}

#[tokio::test]
async fn who_does_not_answer_is_gone() {
    let mut world = World::new();
    let patience = crate::session::health::Patience {
        late: Duration::from_secs(5),
        interval: Duration::from_millis(20),
        unused: Duration::from_millis(20),
        timeout: Duration::from_millis(60),
    };
    world.registry = Arc::new(Registry::with_patience(world.cache.clone(), patience));
    let well = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&well);

    struct Sick(Arc<AtomicBool>, mpsc::UnboundedSender<String>);
    #[async_trait]
    impl Handler for Sick {
        async fn answer(&self, _call: Call) -> Result<Replies, Status> {
            drop(self.1.send(String::new()));
            if self.0.load(Ordering::Relaxed) {
                return Err(Status::new(Code::Unimplemented, "unknown service"));
            }
            std::future::pending().await
        }
    }
    let (sender, mut questions) = mpsc::unbounded_channel();
    let connected = world.connect("a", "key", Arc::new(Sick(asked, sender))).await;
    for _ in 0..3 {
        within(questions.recv()).await.expect("a question");
    }
    assert!(!connected.serving.is_finished());
    well.store(false, Ordering::Relaxed);
    let session = Arc::clone(&connected.session);
    let loading = world.loading();
    let asking = tokio::spawn(async move { session.tree(DirectoryWish::default(), loading).await });
    within(connected.session.ended()).await;
    let asked = within(asking).await.expect("an answer");
    assert_eq!(code(asked).0, Code::Unavailable);
    within(connected.serving).await.expect("the session ends");
}

/// Its answers wait behind the file that it sends.
#[tokio::test]
async fn who_is_busy_is_not_gone() {
    let mut world = World::new();
    let patience = crate::session::health::Patience {
        late: Duration::from_secs(5),
        interval: Duration::from_millis(1),
        unused: Duration::from_millis(1),
        timeout: Duration::from_millis(500),
    };
    world.registry = Arc::new(Registry::with_patience(world.cache.clone(), patience));

    struct Busy(mpsc::UnboundedSender<String>, Mutex<Option<Replies>>);
    #[async_trait]
    impl Handler for Busy {
        async fn answer(&self, call: Call) -> Result<Replies, Status> {
            if call.path == METHODS[0] {
                drop(self.0.send(String::new()));
                std::future::pending::<()>().await;
            }
            let file = self.1.lock().expect("the file").take();
            Ok(file.expect("one transfer"))
        }
    }
    let (sender, mut questions) = mpsc::unbounded_channel();
    let (file, replies) = replies();
    let connected = world
        .connect("a", "key", Arc::new(Busy(sender, Mutex::new(Some(replies)))))
        .await;
    let session = Arc::clone(&connected.session);
    let loading = world.loading();
    let asking = tokio::spawn(async move { session.tree(DirectoryWish::default(), loading).await });
    drop(file.send(Ok(listed("a", 0o644, 1 << 30))).await);
    // Much longer than it may be silent; none of these questions is answered.
    let sending = async {
        loop {
            drop(file.send(Ok(send(PacketKind::Data, 0, &[0; 1024]))).await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let asked = async {
        for _ in 0..5 {
            questions.recv().await.expect("a question");
        }
    };
    tokio::select! {
        () = sending => {}
        () = within(asked) => {}
    }
    assert!(!connected.serving.is_finished());
    // When it is silent, it is.
    within(connected.session.ended()).await;
    assert_eq!(code(within(asking).await.expect("an answer")).0, Code::Unavailable);
    within(connected.serving).await.expect("the session ends");
}

#[tokio::test]
async fn a_session_that_never_comes_is_not_waited_for_for_ever() {
    let world = World::new();
    let patience = crate::session::health::Patience {
        late: Duration::from_millis(30),
        ..crate::session::health::Patience::default()
    };
    let registry = Registry::with_patience(world.cache.clone(), patience);
    let (code, message) = code(within(registry.find("never")).await);
    assert_eq!(code, Code::NotFound);
    assert_eq!(message, "no active session for never: context deadline exceeded");
}

/// As docker 20.10 does when its build is refused while its session is upgraded: its server has stopped, its connection is open.
#[tokio::test]
async fn a_client_that_serves_no_calls_is_gone() {
    let world = World::new();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let offer = Offer {
        id: "stopped".to_owned(),
        ..Offer::default()
    };
    let stopped = tokio::spawn(async move {
        let answer = |_| async { Ok::<_, std::convert::Infallible>(http::Response::new(String::new())) };
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        serving
            .serve_connection(TokioIo::new(far), hyper::service::service_fn(answer))
            .await
    });
    within(world.registry.serve(offer, Box::new(near))).await;
    drop(within(stopped).await.expect("the connection ends"));
}
