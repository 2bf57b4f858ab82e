// SPDX-License-Identifier: MIT
//! Tests of transfers, good and bad.

use std::io::Read as _;

use bytes::Bytes;
use hyperbox_types::ByteSize;

use super::*;
use crate::session::cache::{ContentCache, DirectoryName};

struct World {
    _directory: tempfile::TempDir,
    cache: ContentCache,
}

fn world() -> World {
    let directory = tempfile::tempdir().expect("directory");
    let cache = ContentCache::open(&directory.path().join("contexts"), ByteSize(1 << 30)).expect("cache");
    World {
        _directory: directory,
        cache,
    }
}

impl World {
    fn receiver(&self) -> Receiver {
        let name = DirectoryName {
            session: "key k".to_owned(),
            name: "context".to_owned(),
            shared_key: String::new(),
        };
        Receiver::new(self.cache.begin(Some(name)).expect("transfer"), 1000)
    }
}

fn packet(kind: PacketKind, id: u32, data: &'static [u8]) -> Packet {
    Packet {
        kind: kind as i32,
        id,
        data: Bytes::from_static(data),
        ..Packet::default()
    }
}

fn listed(path: &str, mode: u32, size: i64) -> Packet {
    Packet {
        stat: Some(Stat {
            path: path.as_bytes().to_vec(),
            mode,
            size,
            modified: 7,
            ..Stat::default()
        }),
        ..Packet::default()
    }
}

fn listed_all() -> Packet {
    packet(PacketKind::Stat, 0, b"")
}

fn data(id: u32, data: &'static [u8]) -> Packet {
    packet(PacketKind::Data, id, data)
}

fn finish() -> Packet {
    packet(PacketKind::Finish, 0, b"")
}

/// Gives all packets; returns the replies.
fn give(receiver: &mut Receiver, packets: Vec<Packet>) -> Result<Vec<Reply>, ReceiveError> {
    let mut replies = Vec::new();
    for packet in packets {
        receiver.take(packet, |reply| replies.push(reply))?;
    }
    Ok(replies)
}

fn text(received: &Received, index: usize) -> String {
    let stored = &received.stored[&index];
    let mut text = String::new();
    let mut reader = stored.pack.reader(&stored.region);
    reader.read_to_string(&mut text).expect("read");
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    assert_eq!(stored.region.digest, digest);
    text
}

#[test]
fn only_what_changed_is_asked_for() {
    let world = world();
    let mut receiver = world.receiver();
    let packets = vec![
        listed("a", 0x8000_01ed, 0),
        listed("a/empty", 0o644, 0),
        listed("a/x", 0o644, 3),
        listed("b", 0o644, 2),
        data(3, b"x"),
        listed_all(),
        data(2, b"on"),
        data(3, b"y"),
        data(2, b"e"),
        data(3, b""),
        data(2, b""),
        finish(),
    ];
    let replies = give(&mut receiver, packets).expect("a transfer");
    assert_eq!(replies, [Reply::Request(2), Reply::Request(3), Reply::Finish]);
    assert!(receiver.is_over());
    let received = receiver.into_received();
    let texts: Vec<_> = (1..4).map(|index| text(&received, index)).collect();
    assert_eq!(texts, ["", "one", "xy"]);
    world.cache.end(received.transfer);

    let mut receiver = world.receiver();
    let packets = vec![
        listed("a", 0x8000_01ed, 0),
        listed("a/x", 0o644, 3),
        listed("b", 0o755, 2),
        listed_all(),
        data(2, b"xy"),
        data(2, b""),
    ];
    let replies = give(&mut receiver, packets).expect("a transfer");
    assert_eq!(replies, [Reply::Request(2), Reply::Finish]);
    assert!(!receiver.is_over());
    assert_eq!(text(&receiver.into_received(), 1), "one");
}

#[test]
fn a_file_that_changes_meanwhile_is_what_came_and_is_not_remembered() {
    let world = world();
    for _ in 0..2 {
        let mut receiver = world.receiver();
        let packets = vec![
            listed("long", 0o644, 2),
            listed("short", 0o644, 9),
            listed_all(),
            data(0, b"ab"),
            data(1, b"x"),
            data(0, b"cdefgh"),
            data(0, b"i"),
            data(0, b""),
            data(1, b""),
            finish(),
        ];
        let replies = give(&mut receiver, packets).expect("a transfer");
        assert_eq!(replies, [Reply::Request(0), Reply::Request(1), Reply::Finish]);
        let received = receiver.into_received();
        assert_eq!(
            (text(&received, 0), text(&received, 1)),
            ("abcdefghi".into(), "x".into())
        );
        let sizes = received.entries.iter().map(|entry| entry.kind.clone());
        let expected = [9, 1].map(|size| EntryKind::File { size, identity: None });
        assert_eq!(sizes.collect::<Vec<_>>(), expected);
        world.cache.end(received.transfer);
    }
}

#[test]
fn packets_that_do_not_fit_end_it() {
    let file = || listed("a", 0o644, 3);
    for (packets, expected) in [
        (vec![data(0, b"x")], "unexpected packet: bytes that nobody asked for"),
        (
            vec![file(), data(1, b"x")],
            "unexpected packet: bytes that nobody asked for",
        ),
        (
            vec![file(), data(0, b"abc"), data(0, b""), data(0, b"x")],
            "unexpected packet: bytes that nobody asked for",
        ),
        (
            vec![listed("a", 0x8000_01ed, 3), data(0, b"x")],
            "unexpected packet: bytes that nobody asked for",
        ),
        (
            vec![file(), data(7, b"")],
            "unexpected packet: the end of bytes that nobody asked for",
        ),
        (
            vec![listed_all(), listed_all()],
            "unexpected packet: a file behind the end of the list",
        ),
        (
            vec![file(), listed_all(), listed("b", 0o644, 1)],
            "unexpected packet: a file behind the end of the list",
        ),
        (vec![finish()], "unexpected packet: an end before the end"),
        (
            vec![file(), listed_all(), finish()],
            "unexpected packet: an end before the end",
        ),
        (
            vec![listed_all(), finish(), finish()],
            "unexpected packet: an end before the end",
        ),
        (
            vec![packet(PacketKind::Request, 0, b"")],
            "unexpected packet: a request of the sender",
        ),
        (
            vec![packet(PacketKind::Failure, 0, b"no such thing")],
            "error from sender: no such thing",
        ),
        (
            vec![Packet {
                kind: 99,
                ..Packet::default()
            }],
            "unexpected packet: of an unknown kind",
        ),
        (
            vec![listed("../a", 0o644, 3)],
            "the client's list of files is malformed: \"../a\": a path that is not clean",
        ),
        (vec![listed("a", 0o644, 1001)], "\"a\" is longer than 1000 bytes"),
        (vec![file(), data(0, &[0; 1001])], "\"a\" is longer than 1000 bytes"),
    ] {
        let world = world();
        let mut receiver = world.receiver();
        let shown = format!("{packets:?}");
        let error = give(&mut receiver, packets).expect_err(&shown);
        assert_eq!(error.to_string(), expected, "{shown}");
    }
}

#[test]
fn no_size_overflows() {
    let world = world();
    let transfer = world.cache.begin(None).expect("transfer");
    let mut receiver = Receiver::new(transfer, u64::MAX);
    give(&mut receiver, vec![listed("a", 0o644, i64::MAX - 1)]).expect("room that nobody needs");
    let error = give(&mut receiver, vec![listed("b", 0o644, i64::MAX)]).expect_err("too long");
    assert!(matches!(error, ReceiveError::Disk(_)), "{error}");
}
