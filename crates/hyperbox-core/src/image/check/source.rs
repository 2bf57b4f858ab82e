// SPDX-License-Identifier: MIT
//! Where a blob can be had again: the repositories under whose digests the images are known.
//!
//! The bytes arrive aside and are verified like those of a pull; only then are the damaged ones replaced.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use hyperbox_types::ImageReference;

use super::Check;
use super::blob::BlobKind;
use crate::image::lease::LayerLease;
use crate::image::record::ImageRecord;
use crate::seam::{Credentials, Descriptor, RegistryError, RegistryFault};

/// What came of fetching.
pub(super) enum Fetched {
    /// It is here, from there.
    From(String),
    /// Nobody has it.
    Nowhere(String),
    /// Somebody may have it, but does not give it now.
    NotNow(String),
}

enum Failure {
    Registry(RegistryError),
    Here(String),
}

impl Check {
    /// Tries each repository that is known to have had an image with the blob.
    pub(super) async fn fetch<'a>(
        &self,
        owners: impl Iterator<Item = &'a ImageRecord>,
        descriptor: &Descriptor,
        kind: BlobKind,
        lease: &LayerLease,
    ) -> Fetched {
        let sources: BTreeMap<String, ImageReference> = owners
            .flat_map(|image| image.digests.iter().chain(image.elsewhere.get(&descriptor.digest)))
            .map(|reference| (reference.repository().to_string(), reference.clone()))
            .collect();
        if sources.is_empty() {
            return Fetched::Nowhere("no registry is known to have it".to_owned());
        }
        let mut hopes = Vec::new();
        for (repository, reference) in &sources {
            match self.fetch_from(reference, descriptor, kind, lease).await {
                Ok(()) => return Fetched::From(repository.clone()),
                Err(Failure::Registry(error)) if error.fault == RegistryFault::NotFound => {}
                Err(Failure::Registry(error)) => hopes.push(error.message),
                Err(Failure::Here(message)) => hopes.push(message),
            }
        }
        if hopes.is_empty() {
            let names: Vec<&str> = sources.keys().map(String::as_str).collect();
            return Fetched::Nowhere(format!("{} has it no more", names.join(", ")));
        }
        Fetched::NotNow(hopes.join("; "))
    }

    async fn fetch_from(
        &self,
        reference: &ImageReference,
        descriptor: &Descriptor,
        kind: BlobKind,
        lease: &LayerLease,
    ) -> Result<(), Failure> {
        let with = &self.images.inner.with;
        let here = |error: crate::seam::ContentError| Failure::Here(error.to_string());
        let credentials = self.credentials_for(reference);
        let mut writer = with.content.writer(&descriptor.digest).await.map_err(here)?;
        match kind {
            BlobKind::Manifest => {
                let named = reference.with_digest(descriptor.digest.clone());
                let fetched = with.registry.manifest(&named, credentials).await;
                let bytes = fetched.map_err(Failure::Registry)?.bytes;
                writer.write(&bytes).await.map_err(here)?;
            }
            BlobKind::Other => {
                let stream = with.registry.blob(reference, descriptor, 0, credentials).await;
                let mut stream = stream.map_err(Failure::Registry)?;
                while let Some(chunk) = stream.next().await {
                    writer.write(&chunk.map_err(Failure::Registry)?).await.map_err(here)?;
                }
            }
        }
        if writer.offset() != descriptor.size.0 {
            return Err(Failure::Here(format!(
                "{} sent {} bytes instead of {}",
                reference.repository(),
                writer.offset(),
                descriptor.size.0
            )));
        }
        let size = descriptor.size;
        let committed = lease.during(async move { writer.replace(Some(size)).await });
        match committed.await {
            Ok(result) => result.map(drop).map_err(here),
            Err(error) => Err(Failure::Here(error.message().to_owned())),
        }
    }

    fn credentials_for(&self, reference: &ImageReference) -> Option<&Credentials> {
        self.options.credentials.get(&reference.repository().host().to_string())
    }
}
