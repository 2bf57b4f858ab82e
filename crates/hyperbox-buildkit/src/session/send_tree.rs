// SPDX-License-Identifier: MIT
//! The sending side of a transfer of files: the tree of a result becomes a directory of the client.
//!
//! ```text
//! the tree ──STAT…, STAT without stat──▶ client ──REQ…──▶ DATA…, an empty one at the end of each file
//!                                        client ──FIN──▶ FIN
//! ```
//! Requests wait while the list is sent; a client that asks for what is not in it, or twice for the same, is told nothing more.

use std::collections::HashMap;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_build::StepError;
use hyperbox_build::context::{Entry, EntryKind, Tree, TreeError};
use hyperbox_build::request::TreeSink;
use hyperbox_types::ErrorKind;
use tokio::sync::mpsc;

use super::client::step_error;
use super::mode::{self, FileType};
use crate::proto::filesync::{Packet, PacketKind, Stat};
use crate::transport::client::{Incoming, Outgoing};
use crate::transport::frame::{decode, frame};
use crate::transport::status::{Code, Status};

/// Packets that wait for the client, and requests that wait for the disk.
const PACKETS: usize = 64;
const REQUESTS: usize = 4096;
/// How much of a file is in a packet, as fsutil has it.
const PIECE: usize = 32 * 1024;

/// A directory of the client.
#[derive(Debug)]
pub(super) struct ClientDirectory {
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
}

#[async_trait]
impl TreeSink for ClientDirectory {
    async fn take(self: Box<Self>, tree: Arc<dyn Tree>) -> Result<(), StepError> {
        let Self { outgoing, incoming } = *self;
        let (packets, ready) = mpsc::channel(PACKETS);
        let (requests, asked) = mpsc::channel(REQUESTS);
        let giving = tokio::task::spawn_blocking(move || give(tree.as_ref(), &packets, asked));
        let (sent, read, given) = tokio::join!(pass_on(outgoing, ready), read(incoming, requests), giving);
        let given = given.map_err(|_| step_error(Status::new(Code::Internal, "reading the result was interrupted")))?;
        match (given, read) {
            (Err(Stop::Failed(error)), _) => Err(error),
            // What the client says comes before what follows from it.
            (_, Err(status)) => Err(step_error(status)),
            (Ok(()), Ok(())) if sent => Ok(()),
            _ => Err(step_error(Status::new(
                Code::Unavailable,
                "the client did not wait for the end of the output",
            ))),
        }
    }
}

/// Why nothing more is given.
#[derive(Debug)]
enum Stop {
    /// Nobody takes it.
    Gone,
    /// Reading failed, or the client asks for what it cannot have.
    Failed(StepError),
}

/// Sends packets; tells whether the last one says that it is over.
async fn pass_on(outgoing: Outgoing, mut ready: mpsc::Receiver<Packet>) -> bool {
    let mut over = false;
    while let Some(packet) = ready.recv().await {
        over = packet.kind == PacketKind::Finish as i32;
        if outgoing.send_framed(frame(&packet)).await.is_err() {
            return false;
        }
    }
    if over {
        drop(outgoing.finish().await);
    }
    over
}

/// What a client asks for.
#[derive(Debug)]
enum Asked {
    File(u32),
    Nothing,
}

/// Reads what the client asks for until the call ends.
async fn read(mut incoming: Incoming, requests: mpsc::Sender<Asked>) -> Result<(), Status> {
    while let Some(message) = incoming.next().await? {
        let packet: Packet = decode(message)?;
        let asked = match PacketKind::try_from(packet.kind) {
            Ok(PacketKind::Request) => Asked::File(packet.id),
            Ok(PacketKind::Finish) => Asked::Nothing,
            Ok(PacketKind::Failure) => {
                let text = String::from_utf8_lossy(&packet.data);
                let message = format!("error from receiver: {}", text.chars().take(4096).collect::<String>());
                return Err(Status::new(Code::Unknown, message));
            }
            _ => {
                return Err(Status::new(
                    Code::InvalidArgument,
                    "an unexpected packet of the receiver",
                ));
            }
        };
        // When nobody takes it, all was sent or sending has failed: only how the call ends matters.
        drop(requests.send(asked).await);
    }
    Ok(())
}

/// Sends the list, then what is asked for, until nothing more is. Blocks.
fn give(tree: &dyn Tree, packets: &mpsc::Sender<Packet>, mut asked: mpsc::Receiver<Asked>) -> Result<(), Stop> {
    let send = |packet: Packet| packets.blocking_send(packet).map_err(|_| Stop::Gone);
    let mut files = list(tree, send)?;
    while let Some(request) = asked.blocking_recv() {
        let Asked::File(id) = request else {
            return send(of(PacketKind::Finish));
        };
        let path = files.remove(&id).ok_or_else(|| {
            Stop::Failed(StepError::Refused {
                kind: ErrorKind::InvalidArgument,
                message: format!("the client asks for file {id}, which it cannot have"),
            })
        })?;
        content(tree, &path, |data| {
            send(Packet {
                id,
                data,
                ..of(PacketKind::Data)
            })
        })?;
    }
    Err(Stop::Gone)
}

/// Sends the bytes of a file, and nothing at its end.
fn content(tree: &dyn Tree, path: &Path, send: impl Fn(Bytes) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut content = tree.open(path).map_err(|error| unreadable(path, error))?;
    loop {
        let mut data = vec![0; PIECE];
        let length = content.read(&mut data).map_err(|source| {
            let error = TreeError::Io {
                operation: "read",
                path: path.to_path_buf(),
                source,
            };
            unreadable(path, error)
        })?;
        data.truncate(length);
        send(Bytes::from(data))?;
        if length == 0 {
            return Ok(());
        }
    }
}

/// Sends the list; returns what can be asked for.
fn list(tree: &dyn Tree, send: impl Fn(Packet) -> Result<(), Stop>) -> Result<HashMap<u32, PathBuf>, Stop> {
    let root = Path::new("");
    let mut files = HashMap::new();
    let mut names: HashMap<u64, PathBuf> = HashMap::new();
    let mut next = 0;
    for entry in tree.walk(root).map_err(|error| unreadable(root, error))? {
        let entry = entry.map_err(|error| unreadable(root, error))?;
        if entry.path.as_os_str().is_empty() {
            continue;
        }
        let mut first = None;
        if let EntryKind::File { identity, .. } = entry.kind {
            first = identity.and_then(|identity| names.get(&identity).cloned());
            if let (Some(identity), None) = (identity, &first) {
                names.insert(identity, entry.path.clone());
            }
            if first.is_none() {
                files.insert(next, entry.path.clone());
            }
        }
        next += 1;
        send(Packet {
            stat: Some(stat(&entry, first.as_deref())),
            ..of(PacketKind::Stat)
        })?;
    }
    send(of(PacketKind::Stat))?;
    Ok(files)
}

fn of(kind: PacketKind) -> Packet {
    Packet {
        kind: kind as i32,
        ..Packet::default()
    }
}

/// Tells of an entry; `first` is the earlier name of a file with several.
fn stat(entry: &Entry, first: Option<&Path>) -> Stat {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let mut stat = Stat {
        path: bytes(&entry.path),
        uid: entry.uid,
        gid: entry.gid,
        modified: entry.modified_at.0,
        link: first.map(bytes).unwrap_or_default(),
        attributes: entry
            .attributes
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.clone())))
            .collect(),
        ..Stat::default()
    };
    let mut device = |major: u32, minor: u32| {
        stat.device_major = i64::from(major);
        stat.device_minor = i64::from(minor);
    };
    let kind = match &entry.kind {
        EntryKind::File { size, .. } => {
            if first.is_none() {
                stat.size = i64::try_from(*size).unwrap_or(i64::MAX);
            }
            FileType::Plain
        }
        EntryKind::Directory => FileType::Directory,
        EntryKind::Symlink { target } => {
            stat.link = bytes(target);
            FileType::Symlink
        }
        EntryKind::CharacterDevice { major, minor } => {
            device(*major, *minor);
            FileType::CharacterDevice
        }
        EntryKind::BlockDevice { major, minor } => {
            device(*major, *minor);
            FileType::BlockDevice
        }
        EntryKind::Pipe => FileType::Pipe,
    };
    stat.mode = mode::format(kind, entry.mode);
    stat
}

fn unreadable(path: &Path, source: TreeError) -> Stop {
    Stop::Failed(StepError::Tree {
        doing: format!("cannot read {path:?} of the result: {source}"),
        source,
    })
}
