// SPDX-License-Identifier: MIT
//! The registry: resolves references, streams blobs in and out.

use std::collections::BTreeMap;
use std::fs::File;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use hyperbox_types::{ByteSize, Digest, ErrorKind, ImageReference, Tag};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// An OCI content descriptor, as far as the engine needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Media type as sent.
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Length of the content.
    pub size: ByteSize,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Credentials for one registry, as `docker login` keeps them. `Debug` hides the secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password or personal access token.
    pub password: String,
    /// OAuth2 refresh token (`identitytoken`), used instead of the password.
    pub identity_token: Option<String>,
    /// Bearer token that is sent as it is (`registrytoken`).
    pub registry_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A manifest or index as the registry sent it: verified bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    /// Media type, digest and length of `bytes`.
    pub descriptor: Descriptor,
    /// The exact bytes.
    pub bytes: Bytes,
}

/// The bytes of a blob, in order, from the wished offset. Ends with an error when the connection is lost for good.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, RegistryError>> + Send>>;

/// A repository that a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    /// Its name.
    pub name: String,
    /// What its owner says of it.
    pub description: String,
    /// How many users marked it.
    pub star_count: i64,
    /// Whether the registry's own people keep it.
    pub is_official: bool,
    /// Whether it is built by the registry.
    pub is_automated: bool,
}

/// What a push did with one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushOutcome {
    /// It was uploaded.
    Uploaded,
    /// The registry had it.
    Existed,
    /// The registry took it over from another of its repositories.
    Mounted,
}

/// Speaks the OCI distribution protocol with any registry.
///
/// All calls are cancel-safe (dropping the future ends the transfer) and retry by themselves what may be retried: dropped and
/// refused connections, 429 and 5xx with back-off, honouring `Retry-After`; a blob resumes where it stopped. Authentication
/// (Basic, Bearer with scopes, refresh tokens) is answered by itself from the given credentials and never leaves the host it is
/// meant for, not even by a redirect. Plain HTTP is spoken only with loopback and with hosts named in the configuration; mirrors
/// from the configuration are asked first. Nothing is verified here but manifests: a blob's stream is what the network said.
#[async_trait]
pub trait Registry: Send + Sync + std::fmt::Debug {
    /// Fetches the manifest or index that a reference (by tag or digest) names, at most 4 MiB long.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Unavailable`, or `InvalidArgument` for something that is no manifest.
    async fn manifest(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<FetchedManifest, RegistryError>;

    /// Lists the tags of the reference's repository, in the registry's order; its own tag means nothing.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied` or `Unavailable`.
    async fn tags(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Tag>, RegistryError>;

    /// Streams a blob from `offset` on.
    async fn blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        offset: u64,
        credentials: Option<&Credentials>,
    ) -> Result<BlobStream, RegistryError>;

    /// Uploads a blob unless the registry has it; `mount_from` names other repositories of that registry to take it from, the likeliest
    /// first: not all of them may be tried. `None` sends it without asking, after a [claim](Self::claim_blob) in vain.
    /// `progress` is called with the number of bytes sent so far.
    async fn push_blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        content: File,
        mount_from: Option<&[String]>,
        credentials: Option<&Credentials>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<PushOutcome, RegistryError>;

    /// Has the registry say that it has a blob, or take it over from another of its repositories (`mount_from`, the likeliest first);
    /// `None` when it has to be uploaded.
    async fn claim_blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        mount_from: &[String],
        credentials: Option<&Credentials>,
    ) -> Result<Option<PushOutcome>, RegistryError>;

    /// Uploads a manifest under the reference's tag (or digest) and returns its digest: the commit point of a push.
    async fn push_manifest(
        &self,
        reference: &ImageReference,
        media_type: &str,
        bytes: Bytes,
        credentials: Option<&Credentials>,
    ) -> Result<Digest, RegistryError>;

    /// Checks credentials (`docker login`). Returns an identity token where the registry gives one.
    async fn login(&self, host: &str, credentials: &Credentials) -> Result<Option<String>, RegistryError>;

    /// Searches a registry that can be searched (by the API before version 2, which Docker Hub has) for at most `limit` repositories.
    async fn search(
        &self,
        host: &str,
        term: &str,
        limit: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<SearchResult>, RegistryError>;

    /// Opens a file that somebody named by its URL (`http` or `https`; `http` where there is no scheme). It is no part of a registry,
    /// but the same web: nothing is sent but the request, and the entity tags that are known already (RFC 9110, section 13.1.2): when
    /// the server names one of them, nothing is transferred.
    async fn download(&self, url: &str, known: &[String]) -> Result<Download, RegistryError>;
}

/// A file on its way from a web server.
pub struct Download {
    /// Its length, where the server says it.
    pub length: Option<u64>,
    /// What the server calls this content (`ETag`, RFC 9110, section 8.8.3), where it does.
    pub entity_tag: Option<String>,
    /// When it was changed last, where the server says it.
    pub modified_at: Option<Timestamp>,
    /// Whether [`Self::entity_tag`] is one of those that were known: then no piece comes.
    pub unchanged: bool,
    /// Its bytes in order.
    pub pieces: std::pin::Pin<Box<dyn futures_util::Stream<Item = std::io::Result<Bytes>> + Send>>,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Download");
        shown.field("length", &self.length);
        shown.field("entity_tag", &self.entity_tag);
        shown.field("unchanged", &self.unchanged).finish_non_exhaustive()
    }
}

/// Why a registry call failed. The sentence names the reference or host.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RegistryError {
    /// What kind of failure.
    pub fault: RegistryFault,
    /// One sentence that names the image or the registry.
    pub message: String,
    /// The cause below, if any.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The situations that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryFault {
    /// No such repository, tag or blob (404, or 401 where the registry hides what is missing).
    NotFound,
    /// Credentials are missing or wrong (401).
    Unauthorized,
    /// Credentials do not suffice (403).
    Denied,
    /// Too many requests (429), also after waiting.
    RateLimited,
    /// The registry cannot be reached or fails (5xx, connection, timeout), also after trying again.
    Unavailable,
    /// The registry answered something that the protocol does not allow (redirect loop, wrong digest, oversized manifest).
    Protocol,
    /// Refused before anything was sent, such as plain HTTP to a host that is not allowed it.
    Refused,
}

impl RegistryError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        match self.fault {
            RegistryFault::NotFound => ErrorKind::NotFound,
            RegistryFault::Unauthorized | RegistryFault::Denied => ErrorKind::PermissionDenied,
            RegistryFault::RateLimited => ErrorKind::ResourceExhausted,
            RegistryFault::Unavailable | RegistryFault::Protocol => ErrorKind::Unavailable,
            RegistryFault::Refused => ErrorKind::InvalidArgument,
        }
    }
}
