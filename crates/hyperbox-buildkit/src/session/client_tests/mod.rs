// SPDX-License-Identifier: MIT
//! Tests of sessions with clients that are made here, over real connections in memory.

mod files;
mod misbehaving;
mod results;
mod services;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use hyperbox_build::context::Tree;
use hyperbox_build::{EventSender, EventStream};
use hyperbox_types::ByteSize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{ContentCache, DirectoryWish, Offer, Registry, Session, Sessions};
use crate::proto::filesync::{Packet, PacketKind, Stat};
use crate::proto::health::HealthCheckResponse;
use crate::status::Loading;
use crate::transport::frame::{decode, frame};
use crate::transport::server::{Call, Handler, Replies, one, serve};
use crate::transport::status::{Code, Status};

const METHODS: [&str; 8] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.FileSend/DiffCopy",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
    "/moby.upload.v1.Upload/Pull",
];

type Answering = dyn Fn(Call) -> BoxFuture<'static, Result<Replies, Status>> + Send + Sync;

/// A client that answers calls as a test wants.
struct Client(Box<Answering>);

#[async_trait]
impl Handler for Client {
    async fn answer(&self, call: Call) -> Result<Replies, Status> {
        if call.path == METHODS[0] {
            return Ok(one(&HealthCheckResponse { status: 1 }));
        }
        (self.0)(call).await
    }
}

/// Makes a client of a function.
fn client<F, A>(answer: F) -> Arc<dyn Handler>
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Replies, Status>> + Send + 'static,
{
    Arc::new(Client(Box::new(move |call| Box::pin(answer(call)))))
}

/// Answers of a stream: what a test sends, until it drops the sender.
fn replies() -> (mpsc::Sender<Result<Bytes, Status>>, Replies) {
    let (sender, receiver) = mpsc::channel(64);
    let replies = stream::unfold(receiver, |mut receiver| async move {
        let reply = receiver.recv().await?;
        Some((reply, receiver))
    });
    (sender, replies.boxed())
}

/// Sessions, and where they keep what they must.
struct World {
    directory: tempfile::TempDir,
    registry: Arc<Registry>,
    cache: ContentCache,
    events: EventSender,
    _told: EventStream,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let cache = ContentCache::open(&directory.path().join("contexts"), ByteSize(1 << 30)).expect("cache");
        let (events, told) = EventSender::channel();
        Self {
            directory,
            registry: Arc::new(Registry::new(cache.clone())),
            cache,
            events,
            _told: told,
        }
    }

    fn loading(&self) -> Loading {
        Loading::begin(&self.events, "build", "loading")
    }

    /// Brings a client; its connection ends when the handle is aborted or the client goes.
    async fn connect(&self, id: &str, shared_key: &str, client: Arc<dyn Handler>) -> Connected {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let offer = Offer {
            id: id.to_owned(),
            shared_key: shared_key.to_owned(),
            methods: METHODS.map(str::to_owned).to_vec(),
        };
        let registry = Arc::clone(&self.registry);
        let serving = tokio::spawn(async move { registry.serve(offer, Box::new(near)).await });
        let client = tokio::spawn(serve(Box::new(far), client));
        let session = self.registry.find(id).await.expect("the session");
        Connected {
            session,
            serving,
            client,
        }
    }

    /// Nothing that has a name is left but what the next daemon may use.
    fn assert_clean(&self) {
        let left = std::fs::read_dir(self.directory.path().join("contexts")).expect("listing");
        let names = left.map(|entry| entry.expect("an entry").file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["kept"]);
    }
}

struct Connected {
    session: Arc<dyn Session>,
    serving: JoinHandle<()>,
    client: JoinHandle<()>,
}

impl Connected {
    async fn tree(&self, world: &World) -> Result<Arc<dyn Tree>, Status> {
        let wish = DirectoryWish {
            name: "context".to_owned(),
            ..DirectoryWish::default()
        };
        within(self.session.tree(wish, world.loading())).await
    }

    /// Goes, as a client does that is killed.
    async fn vanish(self) -> Arc<dyn Session> {
        self.client.abort();
        within(self.serving).await.expect("the session ends");
        self.session
    }
}

/// Waits, but not for ever.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("it hangs")
}

/// A directory of a client, sent as fsutil sends it.
#[derive(Debug, Default)]
struct Shown {
    files: Mutex<BTreeMap<Vec<u8>, (Stat, Bytes)>>,
    /// Paths that were asked for.
    asked: Mutex<Vec<String>>,
}

impl Shown {
    fn put(&self, path: &str, mode: u32, content: &str) {
        let link = mode & 0x0800_0000 != 0;
        let stat = Stat {
            path: path.as_bytes().to_vec(),
            mode,
            size: i64::try_from(content.len()).expect("a length"),
            modified: 1,
            link: if link { content.as_bytes().to_vec() } else { Vec::new() },
            ..Stat::default()
        };
        let key = path.bytes().map(|byte| if byte == b'/' { 0 } else { byte }).collect();
        let content = Bytes::copy_from_slice(content.as_bytes());
        self.files.lock().expect("files").insert(key, (stat, content));
    }

    fn take_asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("asked"));
        asked.sort();
        asked
    }

    /// Sends it on a call.
    async fn answer(self: Arc<Self>, mut call: Call) -> Result<Replies, Status> {
        let files: Vec<_> = self.files.lock().expect("files").values().cloned().collect();
        let (sender, replies) = replies();
        let list = files.clone();
        let telling = sender.clone();
        tokio::spawn(async move {
            for (stat, _) in list {
                let stat = Some(stat);
                drop(
                    telling
                        .send(Ok(frame(&Packet {
                            stat,
                            ..packet(PacketKind::Stat, 0, b"")
                        })))
                        .await,
                );
            }
            drop(telling.send(Ok(frame(&packet(PacketKind::Stat, 0, b"")))).await);
        });
        tokio::spawn(async move {
            while let Ok(Some(message)) = call.messages.next().await {
                let asked: Packet = decode(message).expect("a packet");
                let reply = match PacketKind::try_from(asked.kind).expect("a kind") {
                    PacketKind::Request => {
                        let (stat, content) = &files[asked.id as usize];
                        let path = String::from_utf8(stat.path.clone()).expect("text");
                        self.asked.lock().expect("asked").push(path);
                        for piece in content.chunks(32 * 1024) {
                            drop(sender.send(Ok(frame(&packet(PacketKind::Data, asked.id, piece)))).await);
                        }
                        packet(PacketKind::Data, asked.id, b"")
                    }
                    kind => {
                        assert_eq!(kind, PacketKind::Finish);
                        packet(PacketKind::Finish, 0, b"")
                    }
                };
                drop(sender.send(Ok(frame(&reply))).await);
            }
        });
        Ok(replies)
    }
}

fn packet(kind: PacketKind, id: u32, data: &[u8]) -> Packet {
    Packet {
        kind: kind as i32,
        id,
        data: Bytes::copy_from_slice(data),
        ..Packet::default()
    }
}

/// Makes a client that shows a directory.
fn showing(shown: &Arc<Shown>) -> Arc<dyn Handler> {
    let shown = Arc::clone(shown);
    client(move |call| Arc::clone(&shown).answer(call))
}

fn code<T>(result: Result<T, Status>) -> (Code, String) {
    match result {
        Ok(_) => panic!("it went well"),
        Err(status) => (status.code, status.message),
    }
}
