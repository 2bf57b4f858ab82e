// SPDX-License-Identifier: MIT
//! A registry in memory: what is pushed can be fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_core::seam::{
    BlobStream, Credentials, Descriptor, Download, FetchedManifest, PushOutcome, Registry, RegistryError,
    RegistryFault, SearchResult,
};
use hyperbox_types::{ByteSize, Digest, ImageReference, Tag};
use sha2::{Digest as _, Sha256};

use super::fault::{Faults, lock};

/// How many repositories are tried to take a blob from, as by the real one.
const MAX_MOUNTS: usize = 4;
/// Pieces of a blob are this long: small, so that every consumer sees several.
const PIECE: usize = 1000;

/// A [`Registry`] that stands for all hosts at once.
#[derive(Debug, Clone, Default)]
pub struct FakeRegistry {
    state: Arc<Mutex<State>>,
    faults: Faults<RegistryError>,
}

#[derive(Debug, Default)]
struct State {
    /// Manifests by `repository@digest`: media type and bytes.
    manifests: BTreeMap<String, (String, Bytes)>,
    /// Digests by `repository:tag`.
    tags: BTreeMap<String, Digest>,
    blobs: BTreeMap<Digest, Bytes>,
    /// Which repository holds which blob.
    links: BTreeSet<(String, Digest)>,
    /// Blobs that end early, with the number of bytes that are sent.
    truncated: BTreeMap<Digest, usize>,
    fetched: Vec<Digest>,
    /// Blobs that were asked for before they were pushed.
    asked: Vec<Digest>,
    claims: Claims,
    password: Option<String>,
}

/// How many blobs are being claimed, and were at most.
#[derive(Debug, Default)]
struct Claims {
    now: usize,
    most: usize,
}

impl State {
    fn claim(
        &mut self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        mount_from: &[String],
    ) -> Option<PushOutcome> {
        self.asked.push(descriptor.digest.clone());
        let here = reference.repository().to_string();
        let link = |repository: &str| (repository.to_owned(), descriptor.digest.clone());
        if self.links.contains(&link(&here)) {
            return Some(PushOutcome::Existed);
        }
        let host = reference.repository().host();
        let mountable = mount_from
            .iter()
            .take(MAX_MOUNTS)
            .any(|path| self.links.contains(&link(&format!("{host}/{path}"))));
        if !mountable {
            return None;
        }
        self.links.insert(link(&here));
        Some(PushOutcome::Mounted)
    }
}

impl FakeRegistry {
    /// Makes an empty registry that asks nobody who they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, only credentials with this password are accepted.
    pub fn require_password(&self, password: &str) {
        lock(&self.state).password = Some(password.to_owned());
    }

    /// Makes the next call fail like this.
    pub fn fail_next(&self, fault: RegistryFault, message: &str) {
        self.faults.push(failure(fault, message));
    }

    /// Makes the stream of a blob break off after so many bytes.
    pub fn truncate_blob(&self, digest: &Digest, after: usize) {
        lock(&self.state).truncated.insert(digest.clone(), after);
    }

    /// Sends other bytes for a blob from now on, as a broken proxy does.
    pub fn damage_blob(&self, digest: &Digest, bytes: impl Into<Bytes>) {
        lock(&self.state).blobs.insert(digest.clone(), bytes.into());
    }

    /// Puts a blob into a repository and returns its digest.
    pub fn insert_blob(&self, reference: &ImageReference, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = digest_of(&bytes);
        let mut state = lock(&self.state);
        state.links.insert((reference.repository().to_string(), digest.clone()));
        state.blobs.insert(digest.clone(), bytes);
        digest
    }

    /// Puts a manifest under a reference and returns its digest.
    pub fn insert_manifest(&self, reference: &ImageReference, media_type: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = digest_of(&bytes);
        let repository = reference.repository().to_string();
        let mut state = lock(&self.state);
        if let Some(tag) = reference.tag() {
            state
                .tags
                .insert(format!("{repository}:{}", tag.as_str()), digest.clone());
        }
        state
            .manifests
            .insert(format!("{repository}@{digest}"), (media_type.to_owned(), bytes));
        digest
    }

    /// Returns the bytes of a blob that was pushed or inserted.
    pub fn blob_bytes(&self, digest: &Digest) -> Option<Bytes> {
        lock(&self.state).blobs.get(digest).cloned()
    }

    /// Returns the digests of the blobs that were fetched, in order, repetitions included.
    pub fn fetched(&self) -> Vec<Digest> {
        lock(&self.state).fetched.clone()
    }

    /// Returns the blobs that this registry was asked for before a push, in order, repetitions included.
    pub fn asked(&self) -> Vec<Digest> {
        lock(&self.state).asked.clone()
    }

    /// Returns how many blobs were claimed at the same time, at most.
    pub fn claims_at_once(&self) -> usize {
        lock(&self.state).claims.most
    }

    async fn enter(&self, credentials: Option<&Credentials>) -> Result<(), RegistryError> {
        tokio::task::yield_now().await;
        self.faults.check()?;
        let state = lock(&self.state);
        match &state.password {
            Some(password) if credentials.is_none_or(|given| given.password != *password) => Err(failure(
                RegistryFault::Unauthorized,
                "unauthorized: authentication required",
            )),
            _ => Ok(()),
        }
    }
}

fn failure(fault: RegistryFault, message: &str) -> RegistryError {
    RegistryError {
        fault,
        message: message.to_owned(),
        source: None,
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

#[async_trait]
impl Registry for FakeRegistry {
    async fn manifest(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<FetchedManifest, RegistryError> {
        self.enter(credentials).await?;
        let state = lock(&self.state);
        let missing = || failure(RegistryFault::NotFound, &format!("{reference}: manifest unknown"));
        let repository = reference.repository().to_string();
        let digest = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.clone(),
            (None, Some(tag)) => {
                let found = state.tags.get(&format!("{repository}:{}", tag.as_str()));
                found.ok_or_else(missing)?.clone()
            }
            (None, None) => return Err(missing()),
        };
        let (media_type, bytes) = state
            .manifests
            .get(&format!("{repository}@{digest}"))
            .ok_or_else(missing)?;
        Ok(FetchedManifest {
            descriptor: Descriptor {
                media_type: media_type.clone(),
                digest,
                size: ByteSize(bytes.len() as u64),
                annotations: BTreeMap::new(),
            },
            bytes: bytes.clone(),
        })
    }

    async fn tags(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Tag>, RegistryError> {
        self.enter(credentials).await?;
        let prefix = format!("{}:", reference.repository());
        let state = lock(&self.state);
        let tags: Vec<Tag> = state
            .tags
            .keys()
            .filter_map(|name| Tag::parse(name.strip_prefix(&prefix)?).ok())
            .collect();
        if tags.is_empty() {
            let message = format!("repository {prefix} name unknown");
            return Err(failure(RegistryFault::NotFound, &message));
        }
        Ok(tags)
    }

    async fn blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        offset: u64,
        credentials: Option<&Credentials>,
    ) -> Result<BlobStream, RegistryError> {
        self.enter(credentials).await?;
        let mut state = lock(&self.state);
        let bytes = state.blobs.get(&descriptor.digest).cloned();
        let bytes = bytes.ok_or_else(|| {
            failure(
                RegistryFault::NotFound,
                &format!("{reference}: blob {} unknown", descriptor.digest),
            )
        })?;
        state.fetched.push(descriptor.digest.clone());
        let truncated = state.truncated.get(&descriptor.digest).copied();
        let end = truncated.unwrap_or(bytes.len()).min(bytes.len());
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(end);
        let sent = bytes.slice(start..end);
        let mut pieces: Vec<Result<Bytes, RegistryError>> = (0..sent.len())
            .step_by(PIECE)
            .map(|at| Ok(sent.slice(at..(at + PIECE).min(sent.len()))))
            .collect();
        if truncated.is_some() {
            pieces.push(Err(failure(
                RegistryFault::Unavailable,
                &format!("{reference}: connection lost"),
            )));
        }
        Ok(Box::pin(futures_util::stream::iter(pieces)))
    }

    async fn push_blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        mut content: File,
        mount_from: Option<&[String]>,
        credentials: Option<&Credentials>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<PushOutcome, RegistryError> {
        self.enter(credentials).await?;
        let mut state = lock(&self.state);
        if let Some(mount_from) = mount_from
            && let Some(outcome) = state.claim(reference, descriptor, mount_from)
        {
            return Ok(outcome);
        }
        let mut bytes = Vec::new();
        content
            .read_to_end(&mut bytes)
            .map_err(|error| failure(RegistryFault::Unavailable, &error.to_string()))?;
        if digest_of(&bytes) != descriptor.digest {
            return Err(failure(
                RegistryFault::Protocol,
                &format!("{reference}: digest invalid"),
            ));
        }
        progress(bytes.len() as u64);
        state.blobs.insert(descriptor.digest.clone(), bytes.into());
        let here = reference.repository().to_string();
        state.links.insert((here, descriptor.digest.clone()));
        Ok(PushOutcome::Uploaded)
    }

    async fn claim_blob(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        mount_from: &[String],
        credentials: Option<&Credentials>,
    ) -> Result<Option<PushOutcome>, RegistryError> {
        {
            let claims = &mut lock(&self.state).claims;
            claims.now += 1;
            claims.most = claims.most.max(claims.now);
        }
        let entered = self.enter(credentials).await;
        let mut state = lock(&self.state);
        state.claims.now -= 1;
        entered?;
        Ok(state.claim(reference, descriptor, mount_from))
    }

    async fn push_manifest(
        &self,
        reference: &ImageReference,
        media_type: &str,
        bytes: Bytes,
        credentials: Option<&Credentials>,
    ) -> Result<Digest, RegistryError> {
        self.enter(credentials).await?;
        Ok(self.insert_manifest(reference, media_type, bytes))
    }

    async fn login(&self, _host: &str, credentials: &Credentials) -> Result<Option<String>, RegistryError> {
        self.enter(Some(credentials)).await?;
        Ok(None)
    }

    /// No web server is behind it.
    async fn download(&self, url: &str, _known: &[String]) -> Result<Download, RegistryError> {
        Err(RegistryError {
            fault: RegistryFault::NotFound,
            message: format!("failed to GET {url} with status 404 Not Found: "),
            source: None,
        })
    }

    async fn search(
        &self,
        _host: &str,
        term: &str,
        limit: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<SearchResult>, RegistryError> {
        self.enter(credentials).await?;
        let state = lock(&self.state);
        let names: BTreeSet<&str> = state
            .tags
            .keys()
            .filter_map(|name| name.rsplit_once(':'))
            .map(|(name, _)| name)
            .collect();
        let found = names.into_iter().filter(|name| name.contains(term)).take(limit.into());
        Ok(found
            .map(|name| SearchResult {
                name: name.to_owned(),
                ..SearchResult::default()
            })
            .collect())
    }
}
