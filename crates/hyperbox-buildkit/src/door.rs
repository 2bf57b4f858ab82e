// SPDX-License-Identifier: MIT
//! What the daemon opens: the service behind `POST /grpc` and `POST /session`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use http::HeaderMap;
use hyperbox_build::{Builder, SessionBuild, SessionBuildNews};
use hyperbox_core::seam::{AttachIo, FileStream};
use hyperbox_types::ByteSize;

use crate::control::{Control, History, Worker};
use crate::session::{ContentCache, Offer, Registry, Sessions};
use crate::transport::server::{Handler, serve};

/// So much of clients' contexts stays on the disk between builds at most; a fifth of the build cache, where that is less.
const CONTEXTS: ByteSize = ByteSize(4 * 1024 * 1024 * 1024);

/// So long a client has to end its session by itself when its build was refused.
const OWN_END: Duration = Duration::from_millis(500);

/// What the service stands on.
#[derive(Debug)]
pub struct BuildKitConfig {
    /// Builds.
    pub builder: Builder,
    /// Names this engine among builders, for as long as its store exists.
    pub worker: String,
    /// The address that `host-gateway` means in builds.
    pub host_gateway: Option<IpAddr>,
    /// So much of the build cache stays.
    pub keep: ByteSize,
    /// Where files of clients' contexts are kept, also for the next daemon; made when it is not there.
    pub contexts: PathBuf,
    /// Where builds that are over are remembered, also for the next daemon; made when it is not there.
    pub history: PathBuf,
}

/// BuildKit's API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BuildKit {
    control: Arc<Control>,
}

impl BuildKit {
    /// Opens the service.
    ///
    /// # Errors
    /// When the directories of contexts and of the history cannot be made or read.
    pub fn open(config: BuildKitConfig) -> std::io::Result<Self> {
        let cache = ContentCache::open(&config.contexts, CONTEXTS.min(ByteSize(config.keep.0 / 5)))?;
        config.builder.keep_also(Arc::new(cache.clone()));
        let history = History::open(&config.history)?;
        let sessions: Arc<dyn Sessions> = Arc::new(Registry::new(cache));
        let worker = Worker {
            id: config.worker,
            host_gateway: config.host_gateway,
            keep: config.keep,
        };
        let control = Arc::new(Control::new(config.builder, sessions, history, worker));
        Ok(Self { control })
    }

    /// Answers calls on a connection (`POST /grpc`) until it ends. Dropping the future drops the builds of its calls.
    pub async fn serve_control(&self, io: Box<dyn AttachIo>) {
        let handler: Arc<dyn Handler> = Arc::new(Arc::clone(&self.control));
        serve(io, handler).await;
    }

    /// Tells why a session with these headers (`POST /session`) cannot begin; `None` when it can.
    pub fn refuse_session(&self, headers: &HeaderMap) -> Option<String> {
        Offer::of(headers).err().map(|status| status.message)
    }

    /// Calls a client back on a connection until it ends.
    pub async fn serve_session(&self, headers: &HeaderMap, io: Box<dyn AttachIo>) {
        match Offer::of(headers) {
            Ok(offer) => self.control.sessions.serve(offer, io).await,
            Err(status) => tracing::debug!(%status, "a session is refused"),
        }
    }

    /// Builds for a client that does not speak this API, with a session's files or with an archive as its context. The last news is how
    /// it ended; dropping the stream stops the build.
    pub fn build(&self, wanted: SessionBuild, context: Option<FileStream>) -> BoxStream<'static, SessionBuildNews> {
        Arc::clone(&self.control).build_as_asked(wanted, context)
    }

    /// Ends the session of a build that was refused, unless its client does. Waits some seconds for one that has not come yet.
    ///
    /// Clients of docker 18.09 to 22 that are told before their session began do not end it, answer whatever they are asked, and wait for
    /// its end.
    pub async fn give_up(&self, session: &str) {
        let Ok(session) = self.control.sessions.find(session).await else {
            return;
        };
        if tokio::time::timeout(OWN_END, session.ended()).await.is_err() {
            session.end();
        }
    }

    /// Hands an archive to such a build as its context, and waits until that has read it or dropped it.
    ///
    /// # Errors
    /// Why nobody takes it.
    pub async fn upload(&self, build: &str, archive: FileStream) -> Result<(), String> {
        let offered = self.control.uploads.offer(build, archive).await;
        offered.map_err(|status| status.message)
    }
}
