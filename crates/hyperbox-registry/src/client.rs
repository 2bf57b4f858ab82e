// SPDX-License-Identifier: MIT
//! The seam's implementation: each call delegates to the file of its operation and names it in errors.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_core::seam::{
    BlobStream, Credentials, Descriptor, Download, FetchedManifest, PushOutcome, Registry, RegistryError, SearchResult,
};
use hyperbox_types::{Digest, ImageReference, Tag};

use crate::claim::Claim;
use crate::config::{Config, InvalidConfig};
use crate::failure::Operation;
use crate::session::Session;
use crate::upload::Push;
use crate::{download, login, pull, resolve, search, tags};

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

    async fn tags(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Tag>, RegistryError> {
        tags::list(&self.session, reference, given(credentials))
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
        mount_from: Option<&[String]>,
        credentials: Option<&Credentials>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<PushOutcome, RegistryError> {
        let push = Push {
            claim: Claim {
                session: &self.session,
                reference,
                descriptor,
                mount_from,
                credentials: given(credentials),
            },
            content: Arc::new(content),
            progress,
        };
        push.run()
            .await
            .map_err(|failure| Operation::PushBlob(reference, &descriptor.digest).error(failure))
    }

    async fn claim_blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        mount_from: &[String],
        credentials: Option<&Credentials>,
    ) -> Result<Option<PushOutcome>, RegistryError> {
        let claim = Claim {
            session: &self.session,
            reference,
            descriptor,
            mount_from: Some(mount_from),
            credentials: given(credentials),
        };
        claim
            .run()
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

    async fn download(&self, url: &str, known: &[String]) -> Result<Download, RegistryError> {
        download::open(Arc::clone(&self.session), url, known).await
    }
}
