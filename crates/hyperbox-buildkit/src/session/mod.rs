// SPDX-License-Identifier: MIT
//! Sessions: what a client lets us call back for. On `/session` roles are reversed, we are its client.
//!
//! A session is known by its uuid from the moment that its connection was upgraded until that ends; a build that is told of a session
//! waits for it some seconds, since both arrive on connections of their own. Everything that a session sends is foreign.

mod cache;
mod client;
#[cfg(test)]
mod client_tests;
mod credentials;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod health;
mod kept;
mod kept_index;
mod listing;
mod metadata;
mod mode;
mod pack;
mod receive;
mod registry;
mod secrets;
mod send;
mod send_tree;
mod ssh;
mod transfer;
mod tree;
mod upload;
mod uploads;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use hyperbox_build::context::Tree;
use hyperbox_build::request::{OutputSink, RegistryAccess, Secrets, SshAgents, TreeSink};
use hyperbox_core::seam::{AttachIo, FileStream};

use crate::status::Loading;
use crate::transport::status::{Code, Status};

pub(crate) use cache::ContentCache;
pub(crate) use registry::Registry;
pub(crate) use uploads::Uploads;

/// What a client says of its session when it brings it (`X-Docker-Expose-Session-*`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Offer {
    /// What names it.
    pub(crate) id: String,
    /// Says which directories of the client are the same as in an earlier session; often empty.
    pub(crate) shared_key: String,
    /// The methods that can be called: `/moby.filesync.v1.FileSync/DiffCopy` and the like.
    pub(crate) methods: Vec<String>,
}

impl Offer {
    /// Reads the headers of an upgrade, or the metadata of `Control.Session`.
    ///
    /// # Errors
    /// When there is no uuid.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Status> {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let id = text("x-docker-expose-session-uuid").to_owned();
        if id.is_empty() || id.len() > 256 {
            return Err(Status::new(
                Code::InvalidArgument,
                "a session needs a header X-Docker-Expose-Session-Uuid",
            ));
        }
        let methods = headers.get_all("x-docker-expose-session-grpc-method");
        Ok(Self {
            id,
            shared_key: text("x-docker-expose-session-sharedkey").to_owned(),
            methods: methods
                .iter()
                .filter_map(|value| value.to_str().ok().map(str::to_owned))
                .collect(),
        })
    }
}

/// A directory of the client that a build reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DirectoryWish {
    /// Its name in the session (`dir-name`): `context`, `dockerfile`, or what the client calls a named context.
    pub(crate) name: String,
    /// Says which directory it is, beside the session's own key; often empty.
    pub(crate) shared_key: String,
    /// What is left out, in the order of `.dockerignore`, `!` takes back.
    pub(crate) excludes: Vec<String>,
    /// Only what these paths and patterns lead to, links followed; empty is everything.
    pub(crate) follow: Vec<String>,
}

/// All sessions.
#[async_trait]
pub(crate) trait Sessions: Send + Sync + Debug {
    /// Speaks with a client until its connection ends.
    async fn serve(&self, offer: Offer, io: Box<dyn AttachIo>);

    /// Finds a session; waits some seconds for one that is not there yet.
    ///
    /// # Errors
    /// [`Code::NotFound`] when it does not come.
    async fn find(&self, id: &str) -> Result<Arc<dyn Session>, Status>;
}

/// A session. What it gives holds it: when the client goes, everything ends with an error.
#[async_trait]
pub(crate) trait Session: Send + Sync + Debug {
    /// Reads files of a directory, by path; what is not there is left out. For Dockerfiles and `.dockerignore`.
    ///
    /// # Errors
    /// [`Code::NotFound`] for a directory that the client does not have, those of the client, [`Code::ResourceExhausted`] for a file of
    /// more than 16 MiB.
    async fn read(
        &self,
        directory: &str,
        paths: &[String],
        loading: &Loading,
    ) -> Result<BTreeMap<String, Vec<u8>>, Status>;

    /// Makes a tree of a directory. It may go on loading behind the tree, whose calls wait for what they need; `loading` ends when all
    /// is there.
    ///
    /// # Errors
    /// As [`Session::read`].
    async fn tree(&self, wish: DirectoryWish, loading: Loading) -> Result<Arc<dyn Tree>, Status>;

    /// Reads what the client uploads under an address (`http://buildkit-session/ID`).
    ///
    /// # Errors
    /// Those of the client.
    async fn upload(&self, address: &str) -> Result<FileStream, Status>;

    /// Gives the client files: the sink takes a tree, which the client gets as a directory. `exporter` is its place among the outputs.
    ///
    /// # Errors
    /// Those of the client.
    async fn send_directory(&self, exporter: usize) -> Result<Box<dyn TreeSink>, Status>;

    /// Gives the client one file, as it is.
    ///
    /// # Errors
    /// Those of the client.
    async fn send_file(&self, exporter: usize) -> Result<OutputSink, Status>;

    /// Returns the client's secrets.
    fn secrets(&self) -> Arc<dyn Secrets>;

    /// Returns the client's SSH agents.
    fn ssh(&self) -> Arc<dyn SshAgents>;

    /// Returns the client's credentials.
    fn registries(&self) -> Arc<dyn RegistryAccess>;

    /// Waits until the client is gone.
    async fn ended(&self);

    /// Ends the connection with the client.
    fn end(&self);
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn offers_are_read() {
        let mut headers = HeaderMap::new();
        assert!(Offer::of(&headers).is_err());
        for (name, value) in [
            ("x-docker-expose-session-uuid", "u"),
            ("x-docker-expose-session-sharedkey", "k"),
            ("x-docker-expose-session-grpc-method", "/a/b"),
            ("x-docker-expose-session-grpc-method", "/c/d"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let offer = Offer::of(&headers).expect("offer");
        assert_eq!(offer.methods, ["/a/b", "/c/d"]);
        assert_eq!((offer.id.as_str(), offer.shared_key.as_str()), ("u", "k"));
    }
}
