// SPDX-License-Identifier: MIT
//! Connections that clients of BuildKit take out of HTTP/1 (`POST /grpc`, `POST /session`): the door keeps browsers out and answers
//! 101, another crate speaks what follows. The same crate builds for older clients, which ask by `POST /build?version=2` for a build
//! whose files come by such a session.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::HeaderMap;
use hyperbox_build::{SessionBuild, SessionBuildNews};
use hyperbox_core::seam::{AttachIo, FileStream};

/// Speaks BuildKit's protocols.
pub trait BuildConnections: Send + Sync + std::fmt::Debug {
    /// Answers calls on a connection until it ends. Dropping the future gives it up.
    fn control(&self, connection: Box<dyn AttachIo>) -> BoxFuture<'static, ()>;

    /// Tells why no session can begin with these headers; `None` when one can.
    fn refusal(&self, headers: &HeaderMap) -> Option<String>;

    /// Calls the client back on a connection until it ends. Dropping the future gives it up.
    fn session(&self, headers: HeaderMap, connection: Box<dyn AttachIo>) -> BoxFuture<'static, ()>;

    /// Builds, with files of a session, or with an archive as its context. The last news is how it ended; dropping the stream stops
    /// the build.
    fn build(&self, wanted: SessionBuild, context: Option<FileStream>) -> BoxStream<'static, SessionBuildNews>;

    /// Hands an archive to the build of a name ([`SessionBuild::uploaded`]), as its context. Waits until that has read it or does not want it any more.
    ///
    /// # Errors
    /// Why nobody takes it.
    fn upload(&self, build: String, archive: FileStream) -> BoxFuture<'static, Result<(), String>>;

    /// Ends the session of a build that was refused, unless the client does: some serve it on when they were told before it began, and
    /// wait for its end. Waits some seconds for a session that has not come yet.
    fn give_up(&self, session: String) -> BoxFuture<'static, ()>;
}
