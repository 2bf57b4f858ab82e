// SPDX-License-Identifier: MIT
//! What clients get: directories and files.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use hyperbox_build::context::{Entry, EntryKind, FileReader, TreeError, TreePlace};
use hyperbox_core::time::Timestamp;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::proto::filesync::Piece;

/// A result: entries, and the same text in each file.
#[derive(Debug)]
struct Outcome(Vec<Entry>, &'static str);

impl Tree for Outcome {
    fn entry(&self, path: &Path) -> Result<Option<Entry>, TreeError> {
        Ok(self.0.iter().find(|entry| entry.path == path).cloned())
    }

    fn walk(&self, _path: &Path) -> Result<Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + '_>, TreeError> {
        Ok(Box::new(self.0.iter().cloned().map(Ok)))
    }

    fn open(&self, path: &Path) -> Result<FileReader, TreeError> {
        if self.1.is_empty() {
            let (operation, path) = ("open", path.to_path_buf());
            let source = io::Error::other("broken");
            return Err(TreeError::Io {
                operation,
                path,
                source,
            });
        }
        Ok(Box::new(Cursor::new(self.1)))
    }

    fn digest(&self, _entry: &Entry) -> Result<[u8; 32], TreeError> {
        Ok([0; 32])
    }

    fn place(&self) -> Result<TreePlace, TreeError> {
        Ok(TreePlace::Layers(Vec::new()))
    }
}

fn result(text: &'static str) -> Arc<dyn Tree> {
    let entry = |path: &str, kind| Entry {
        path: PathBuf::from(path),
        kind,
        mode: 0o4755,
        uid: 1,
        gid: 2,
        modified_at: Timestamp(7),
        attributes: BTreeMap::new(),
        digest: None,
    };
    let size = text.len() as u64;
    let file = |identity| EntryKind::File { size, identity };
    let target = PathBuf::from("../x");
    Arc::new(Outcome(
        vec![
            entry("", EntryKind::Directory),
            entry("d", EntryKind::Directory),
            entry("d/a", file(Some(1))),
            entry("d/b", file(Some(1))),
            entry("d/l", EntryKind::Symlink { target }),
            entry("e", EntryKind::CharacterDevice { major: 1, minor: 3 }),
            entry("f", file(None)),
        ],
        text,
    ))
}

/// A client that takes a directory as fsutil does: asks for everything that it can, then says that it has it all.
fn taking(
    told: mpsc::UnboundedSender<Packet>,
    ask: impl Fn(u32) -> u32 + Send + Sync + Copy + 'static,
) -> Arc<dyn Handler> {
    client(move |mut call: Call| {
        let told = told.clone();
        let (sender, replies) = replies();
        tokio::spawn(async move {
            let (mut id, mut open, mut listed) = (0, 0, false);
            while let Ok(Some(message)) = call.messages.next().await {
                let packet_: Packet = decode(message).expect("a packet");
                match (PacketKind::try_from(packet_.kind).expect("a kind"), &packet_.stat) {
                    (PacketKind::Stat, Some(stat)) => {
                        if stat.mode & 0x8f28_0000 == 0 && stat.link.is_empty() {
                            open += 1;
                            drop(sender.send(Ok(frame(&packet(PacketKind::Request, ask(id), b"")))).await);
                        }
                        id += 1;
                    }
                    (PacketKind::Stat, None) => listed = true,
                    (PacketKind::Data, _) if packet_.data.is_empty() => open -= 1,
                    _ => {}
                }
                let over = packet_.kind == PacketKind::Finish as i32;
                drop(told.send(packet_));
                if over {
                    return;
                }
                if listed && open == 0 {
                    drop(sender.send(Ok(frame(&packet(PacketKind::Finish, 0, b"")))).await);
                }
            }
        });
        async { Ok(replies) }
    })
}

#[tokio::test]
async fn a_client_gets_a_directory() {
    let world = World::new();
    let (told, mut heard) = mpsc::unbounded_channel();
    let connected = world.connect("a", "key", taking(told, |id| id)).await;
    let sink = connected.session.send_directory(0).await.expect("a sink");
    within(sink.take(result("text"))).await.expect("sent");
    connected.vanish().await;
    let mut stats = Vec::new();
    let mut texts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    while let Ok(packet) = heard.try_recv() {
        match packet.stat {
            Some(stat) => stats.push(stat),
            None => texts.entry(packet.id).or_default().extend_from_slice(&packet.data),
        }
    }
    let shown: Vec<_> = stats
        .iter()
        .map(|stat| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
            (text(&stat.path), stat.mode, stat.size, text(&stat.link))
        })
        .collect();
    let expected = [
        ("d", 0x8080_01ed, 0, ""),
        ("d/a", 0x0080_01ed, 4, ""),
        ("d/b", 0x0080_01ed, 0, "d/a"),
        ("d/l", 0x0880_01ed, 0, "../x"),
        ("e", 0x04a0_01ed, 0, ""),
        ("f", 0x0080_01ed, 4, ""),
    ];
    let expected = expected.map(|(path, mode, size, link)| (path.to_owned(), mode, size, link.to_owned()));
    assert_eq!(shown, expected);
    assert_eq!((stats[0].uid, stats[0].gid, stats[0].modified), (1, 2, 7));
    assert_eq!((stats[4].device_major, stats[4].device_minor), (1, 3));
    assert_eq!((&texts[&1][..], &texts[&5][..]), (&b"text"[..], &b"text"[..]));
}

#[tokio::test]
async fn clients_get_nothing_else() {
    let world = World::new();
    for (index, (ask, text, expected)) in [
        (
            (|_| 2) as fn(u32) -> u32,
            "text",
            "the client asks for file 2, which it cannot have",
        ),
        (|_| 77, "text", "the client asks for file 77, which it cannot have"),
        (|_| 1, "text", "the client asks for file 1, which it cannot have"),
        (|id| id, "", "cannot read \"d/a\" of the result"),
    ]
    .into_iter()
    .enumerate()
    {
        let (told, _heard) = mpsc::unbounded_channel();
        let connected = world.connect(&format!("{index}"), "key", taking(told, ask)).await;
        let sink = connected.session.send_directory(0).await.expect("a sink");
        let error = within(sink.take(result(text))).await.expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_client_that_takes_no_directory_says_why() {
    let world = World::new();
    let refusing = client(|_| async { Err(Status::new(Code::Unknown, "exporter 3 not found")) });
    let connected = world.connect("a", "key", refusing).await;
    let sink = connected.session.send_directory(3).await.expect("a sink");
    let error = within(sink.take(result("text"))).await.expect_err("refused");
    assert_eq!(error.to_string(), "exporter 3 not found");
    let mut file = connected.session.send_file(3).await.expect("a sink");
    let failed = async {
        loop {
            if let Err(error) = file.write_all(&[0; 4096]).await {
                return error;
            }
        }
    };
    assert_eq!(within(failed).await.to_string(), "exporter 3 not found");
}

/// A client that takes a file, and tells its bytes if it was complete.
fn collecting(told: mpsc::UnboundedSender<Result<Vec<u8>, Code>>) -> Arc<dyn Handler> {
    client(move |mut call: Call| {
        let told = told.clone();
        async move {
            let exporter = call.headers["buildkit-attachable-exporter-id"].clone();
            assert_eq!(exporter, "1");
            let mut bytes = Vec::new();
            let ended = loop {
                match call.messages.next().await {
                    Ok(Some(message)) => bytes.extend_from_slice(&decode::<Piece>(message)?.data),
                    Ok(None) => break Ok(bytes),
                    Err(status) => break Err(status.code),
                }
            };
            drop(told.send(ended));
            Ok(stream::empty().boxed())
        }
    })
}

#[tokio::test]
async fn a_file_is_complete_or_none() {
    let world = World::new();
    let (told, mut heard) = mpsc::unbounded_channel();
    let connected = world.connect("a", "key", collecting(told)).await;
    let bytes: Vec<u8> = (0..5_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let mut sink = connected.session.send_file(1).await.expect("a sink");
    within(sink.write_all(&bytes)).await.expect("written");
    within(sink.shutdown()).await.expect("complete");
    let received = within(heard.recv()).await.expect("an end").expect("bytes");
    assert!(received == bytes, "{} of {} bytes", received.len(), bytes.len());

    let mut sink = connected.session.send_file(1).await.expect("a sink");
    within(sink.write_all(&bytes[..10])).await.expect("written");
    within(sink.flush()).await.expect("flushed");
    drop(sink);
    // The call may be reset before the client has heard of it.
    drop(connected.vanish().await);
    while let Some(ended) = heard.recv().await {
        assert!(ended.is_err(), "a part was taken for the whole");
    }
}
