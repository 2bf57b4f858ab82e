// SPDX-License-Identifier: MIT
//! The seam's implementation: each call delegates to the file of its operation and names it in errors.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_core::seam::{
    BlobStream, Credentials, Descriptor, FetchedManifest, PushOutcome, Registry, RegistryError, SearchResult,
};
use hyperbox_types::{Digest, ImageReference};

use crate::config::{Config, InvalidConfig};
use crate::failure::Operation;
use crate::session::Session;
use crate::upload::Push;
use crate::{login, pull, resolve, search};

/// A client of all registries; cheap to clone, meant to be shared.
#[derive(Debug, Clone)]
pub struct DistributionClient {
    session: Arc<Session>,
}

impl DistributionClient {
    /// Makes a client. Nothing is connected yet.
    ///
    /// # Errors
    /// [`InvalidConfig`] names what cannot be used.
    pub fn new(config: Config) -> Result<Self, InvalidConfig> {
        Ok(Self {
            session: Arc::new(Session::new(config)?),
        })
    }
}

/// Docker's clients send empty credentials where they have none.
fn given(credentials: Option<&Credentials>) -> Option<&Credentials> {
    credentials.filter(|credentials| **credentials != Credentials::default())
}

#[async_trait]
impl Registry for DistributionClient {
    async fn manifest(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<FetchedManifest, RegistryError> {
        resolve::fetch_manifest(&self.session, reference, given(credentials))
            .await
            .map_err(|failure| Operation::Resolve(reference).error(failure))
    }

    async fn blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        offset: u64,
        credentials: Option<&Credentials>,
    ) -> Result<BlobStream, RegistryError> {
        let session = Arc::clone(&self.session);
        pull::open(session, reference, descriptor, offset, given(credentials)).await
    }

    async fn push_blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        content: File,
        mount_from: &[String],
        credentials: Option<&Credentials>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<PushOutcome, RegistryError> {
        let push = Push {
            session: &self.session,
            reference,
            descriptor,
            content: Arc::new(content),
            mount_from,
            credentials: given(credentials),
            progress,
        };
        push.run()
            .await
            .map_err(|failure| Operation::PushBlob(reference, &descriptor.digest).error(failure))
    }

    async fn push_manifest(
        &self,
        reference: &ImageReference,
        media_type: &str,
        bytes: Bytes,
        credentials: Option<&Credentials>,
    ) -> Result<Digest, RegistryError> {
        resolve::push_manifest(&self.session, reference, media_type, bytes, given(credentials))
            .await
            .map_err(|failure| Operation::PushManifest(reference).error(failure))
    }

    async fn login(&self, host: &str, credentials: &Credentials) -> Result<Option<String>, RegistryError> {
        login::login(&self.session, host, credentials).await
    }

    async fn search(
        &self,
        host: &str,
        term: &str,
        limit: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<SearchResult>, RegistryError> {
        search::search(&self.session, host, term, limit, given(credentials)).await
    }
}
