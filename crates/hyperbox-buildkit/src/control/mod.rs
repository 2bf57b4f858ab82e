// SPDX-License-Identifier: MIT
//! The services `moby.buildkit.v1.Control` and `moby.buildkit.v1.frontend.LLBBridge`.
//!
//! One build is several calls, joined by its reference: `Control.Solve` says what comes out and ends last, `Control.Status` reads its
//! course, `LLBBridge.Solve` (joined by the header `buildkit-controlapi-buildid`) builds, `LLBBridge.Return` ends it. They arrive in
//! any order and on any connection, and what never comes is waited for only some seconds (`builds`). Whoever ends `Control.Solve` early
//! ends the build.

mod bridge;
mod builds;
mod cache;
mod content;
mod history;
mod history_file;
mod history_filter;
mod history_shelf;
mod listing;
mod query;
mod solve;
mod transcript;
mod tunnel;
mod watching;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use hyperbox_build::Builder;

use self::builds::Builds;
pub(crate) use self::history::History;
use crate::proto::control::StatusRequest;
use crate::session::{Sessions, Uploads};
use crate::solve::Results;
use crate::transport::server::{Call, Handler, Replies};
use crate::transport::status::Status;

pub(crate) use listing::Worker;

/// What all calls share.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) builder: Builder,
    pub(crate) sessions: Arc<dyn Sessions>,
    /// Contexts that come in requests of their own.
    pub(crate) uploads: Uploads,
    pub(crate) worker: Worker,
    pub(crate) builds: Builds,
    pub(crate) results: Results,
    pub(crate) history: History,
}

impl Control {
    /// Makes the services.
    pub(crate) fn new(builder: Builder, sessions: Arc<dyn Sessions>, history: History, worker: Worker) -> Self {
        Self {
            builder,
            sessions,
            uploads: Uploads::default(),
            worker,
            builds: Builds::default(),
            results: Results::default(),
            history,
        }
    }

    /// Tells the course of a build as it goes on, after what was told of it before; of one that is over what was told.
    fn status(&self, request: &StatusRequest) -> Replies {
        let before = self.history.is_written_down(&request.reference);
        let Some(build) = self.builds.watch(&request.reference, before) else {
            let (history, reference) = (self.history.clone(), request.reference.clone());
            let messages = async move {
                let messages = history.messages(&reference).await;
                stream::iter(messages.ok().flatten().unwrap_or_default().into_iter().map(Ok))
            };
            return messages.flatten_stream().boxed();
        };
        // Clients watch a build beside beginning it.
        let reference = request.reference.clone();
        let messages = async move {
            match build.asked().await {
                Some(_) => watching::watch(&build).map(Ok).boxed(),
                None => stream::once(std::future::ready(Err(builds::unknown(&reference)))).boxed(),
            }
        };
        messages.flatten_stream().boxed()
    }
}

#[async_trait]
impl Handler for Arc<Control> {
    async fn answer(&self, mut call: Call) -> Result<Replies, Status> {
        let (service, method) = call.path.trim_start_matches('/').split_once('/').unwrap_or_default();
        match (service, method) {
            ("moby.buildkit.v1.Control", "Session") => tunnel::session(self, call).await,
            ("moby.buildkit.v1.Control", "Status") => Ok(self.status(&call.messages.only().await?)),
            ("moby.buildkit.v1.Control", "Solve") => self.control_solve(call.messages.only().await?).await,
            ("moby.buildkit.v1.Control", "ListWorkers") => Ok(self.list_workers()),
            ("moby.buildkit.v1.Control", "Info") => Ok(self.info()),
            ("moby.buildkit.v1.Control", "DiskUsage") => self.disk_usage(&call.messages.only().await?).await,
            ("moby.buildkit.v1.Control", "Prune") => self.prune(&call.messages.only().await?).await,
            ("moby.buildkit.v1.Control", "ListenBuildHistory") => {
                self.listen_history(call.messages.only().await?).await
            }
            ("moby.buildkit.v1.Control", "UpdateBuildHistory") => {
                self.update_history(call.messages.only().await?).await
            }
            ("moby.buildkit.v1.frontend.LLBBridge", _) => bridge::answer(self, call).await,
            ("containerd.services.content.v1.Content", _) => content::answer(self, call).await,
            ("grpc.health.v1.Health", "Check") => Ok(listing::healthy()),
            _ => Err(Status::unimplemented(&call.path)),
        }
    }
}
