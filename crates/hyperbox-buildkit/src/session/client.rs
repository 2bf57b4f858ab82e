// SPDX-License-Identifier: MIT
//! A session: a client that answers calls.
//!
//! Which methods it has is what it said when it came; a method that it does not have is an error before anything is sent. All calls end
//! when the connection does, or when whoever made them drops them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use hyperbox_build::StepError;
use hyperbox_build::context::Tree;
use hyperbox_build::request::{OutputSink, RegistryAccess, Secrets, SshAgents, TreeSink};
use hyperbox_core::seam::FileStream;
use tokio_util::sync::CancellationToken;

use super::cache::{ContentCache, DirectoryName, KEY};
use super::transfer::receive;
use super::tree::SessionTree;
use super::{DirectoryWish, Offer, Session, credentials, metadata, secrets, send, ssh, upload};
use crate::status::Loading;
use crate::transport::client::{Channel, Incoming, Metadata, Outgoing};
use crate::transport::status::{Code, Status};

const DIFF_COPY: &str = "/moby.filesync.v1.FileSync/DiffCopy";

/// No Dockerfile is longer.
const LONGEST_TEXT: u64 = 16 << 20;

/// A session of a client.
#[derive(Debug)]
pub(crate) struct ClientSession {
    offer: Offer,
    line: Line,
    cache: ContentCache,
}

/// What calls need of a session. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Line {
    channel: Channel,
    methods: Arc<[String]>,
    ended: CancellationToken,
    /// Whether anything was called.
    used: Arc<AtomicBool>,
}

impl Line {
    /// Tells whether the client has a method.
    pub(super) fn has(&self, method: &str) -> bool {
        self.methods.iter().any(|known| known.eq_ignore_ascii_case(method))
    }

    /// Calls a method with one message, for one.
    ///
    /// # Errors
    /// [`Code::Unimplemented`] when the client does not have it, what it answers.
    pub(super) async fn unary<Q: prost::Message, A: prost::Message + Default>(
        &self,
        method: &'static str,
        request: &Q,
    ) -> Result<A, Status> {
        self.check(method)?;
        tokio::select! {
            biased;
            answer = self.channel.unary(method, request) => answer,
            () = self.ended.cancelled() => Err(gone()),
        }
    }

    /// Calls a method with streams.
    ///
    /// # Errors
    /// [`Code::Unimplemented`] when the client does not have it.
    pub(super) fn streaming(&self, method: &'static str, metadata: &Metadata) -> Result<(Outgoing, Incoming), Status> {
        self.check(method)?;
        Ok(self.channel.streaming(method, metadata))
    }

    fn check(&self, method: &'static str) -> Result<(), Status> {
        if self.ended.is_cancelled() {
            return Err(gone());
        }
        if !self.has(method) {
            return Err(Status::new(
                Code::Unimplemented,
                format!("method {method} not supported by the client"),
            ));
        }
        self.used.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Does what may wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Status::new(Code::Internal, "keeping the files of the client was interrupted"))
}

fn gone() -> Status {
    Status::new(Code::Unavailable, "the client has gone")
}

/// Tells a step how a call ended.
pub(super) fn step_error(status: Status) -> StepError {
    StepError::Refused {
        kind: status.code.kind(),
        message: status.message,
    }
}

impl ClientSession {
    /// Makes one on a connection; `ended` is cancelled when that ends.
    pub(super) fn new(offer: Offer, channel: Channel, cache: ContentCache, ended: CancellationToken) -> Self {
        let methods = offer.methods.clone().into();
        Self {
            offer,
            line: Line {
                channel,
                methods,
                ended,
                used: Arc::default(),
            },
            cache,
        }
    }

    /// Returns what names it.
    pub(super) fn id(&self) -> &str {
        &self.offer.id
    }

    /// Tells whether a build has called the client.
    pub(super) fn is_used(&self) -> bool {
        self.line.used.load(Ordering::Relaxed)
    }

    /// Returns what the cache calls what only this session asks for.
    pub(super) fn cache_name(&self) -> String {
        format!("session {}", self.offer.id)
    }

    fn directory_name(&self, wish: &DirectoryWish) -> DirectoryName {
        DirectoryName {
            session: match self.offer.shared_key.as_str() {
                "" => self.cache_name(),
                key => format!("{KEY}{key}"),
            },
            name: wish.name.clone(),
            shared_key: wish.shared_key.clone(),
        }
    }

    async fn receive(
        &self,
        wish: &DirectoryWish,
        name: Option<DirectoryName>,
        limit: u64,
        loading: &Loading,
    ) -> Result<SessionTree, Status> {
        let mut headers = Metadata::new();
        metadata::append(&mut headers, "dir-name", [&wish.name]);
        metadata::append(&mut headers, "followpaths", &wish.follow);
        metadata::append(&mut headers, "exclude-patterns", &wish.excludes);
        let call = self.line.streaming(DIFF_COPY, &headers)?;
        let cache = self.cache.clone();
        let transfer = blocking(move || cache.begin(name)).await?;
        let transfer = transfer.map_err(|error| Status::new(Code::Internal, format!("cannot keep files: {error}")))?;
        let title = format!("transferring {}:", wish.name);
        let received = receive(call, transfer, limit, (&title, loading)).await?;
        let cache = self.cache.clone();
        blocking(move || SessionTree::new(received, &cache)).await
    }
}

#[async_trait]
impl Session for ClientSession {
    async fn read(
        &self,
        directory: &str,
        paths: &[String],
        loading: &Loading,
    ) -> Result<BTreeMap<String, Vec<u8>>, Status> {
        let wish = DirectoryWish {
            name: directory.to_owned(),
            follow: paths.to_vec(),
            ..DirectoryWish::default()
        };
        let tree = self.receive(&wish, None, LONGEST_TEXT, loading).await?;
        let mut texts = BTreeMap::new();
        for path in paths {
            let text = tree.text(path);
            let text = text.map_err(|error| Status::new(Code::InvalidArgument, error.to_string()))?;
            texts.extend(text.map(|text| (path.clone(), text)));
        }
        Ok(texts)
    }

    async fn tree(&self, wish: DirectoryWish, loading: Loading) -> Result<Arc<dyn Tree>, Status> {
        let name = self.directory_name(&wish);
        match self.receive(&wish, Some(name), u64::MAX, &loading).await {
            Ok(tree) => {
                loading.done();
                Ok(Arc::new(tree))
            }
            Err(error) => {
                loading.failed(&error);
                Err(error)
            }
        }
    }

    async fn upload(&self, address: &str) -> Result<FileStream, Status> {
        upload::pull(&self.line, address).await
    }

    async fn send_directory(&self, exporter: usize) -> Result<Box<dyn TreeSink>, Status> {
        send::directory(&self.line, exporter)
    }

    async fn send_file(&self, exporter: usize) -> Result<OutputSink, Status> {
        send::file(&self.line, exporter)
    }

    fn secrets(&self) -> Arc<dyn Secrets> {
        Arc::new(secrets::ClientSecrets(self.line.clone()))
    }

    fn ssh(&self) -> Arc<dyn SshAgents> {
        Arc::new(ssh::ClientAgents(self.line.clone()))
    }

    fn registries(&self) -> Arc<dyn RegistryAccess> {
        Arc::new(credentials::ClientCredentials(self.line.clone()))
    }

    async fn ended(&self) {
        self.line.ended.cancelled().await;
    }

    fn end(&self) {
        self.line.ended.cancel();
    }
}
