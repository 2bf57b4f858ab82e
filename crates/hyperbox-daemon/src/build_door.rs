// SPDX-License-Identifier: MIT
//! Joins the door for Docker's clients and the one for BuildKit's, which know nothing of each other.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::HeaderMap;
use hyperbox_build::{SessionBuild, SessionBuildNews};
use hyperbox_buildkit::BuildKit;
use hyperbox_core::seam::{AttachIo, FileStream};
use hyperbox_docker::BuildConnections;

/// BuildKit's API as what the door hands connections to.
#[derive(Debug)]
pub(crate) struct BuildKitDoor(pub(crate) BuildKit);

impl BuildConnections for BuildKitDoor {
    fn control(&self, connection: Box<dyn AttachIo>) -> BoxFuture<'static, ()> {
        let buildkit = self.0.clone();
        Box::pin(async move { buildkit.serve_control(connection).await })
    }

    fn refusal(&self, headers: &HeaderMap) -> Option<String> {
        self.0.refuse_session(headers)
    }

    fn session(&self, headers: HeaderMap, connection: Box<dyn AttachIo>) -> BoxFuture<'static, ()> {
        let buildkit = self.0.clone();
        Box::pin(async move { buildkit.serve_session(&headers, connection).await })
    }

    fn build(&self, wanted: SessionBuild, context: Option<FileStream>) -> BoxStream<'static, SessionBuildNews> {
        self.0.build(wanted, context)
    }

    fn upload(&self, build: String, archive: FileStream) -> BoxFuture<'static, Result<(), String>> {
        let buildkit = self.0.clone();
        Box::pin(async move { buildkit.upload(&build, archive).await })
    }

    fn give_up(&self, session: String) -> BoxFuture<'static, ()> {
        let buildkit = self.0.clone();
        Box::pin(async move { buildkit.give_up(&session).await })
    }
}
