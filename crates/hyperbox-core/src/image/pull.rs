// SPDX-License-Identifier: MIT
//! Pulling: resolve, fetch all layers at once, then publish with one transaction.

use futures_util::stream;
use hyperbox_types::{ImageReference, Platform};
use tokio::sync::mpsc;

use super::fetch::{Progress, Source, progress_channel, status, stored, tell, tell_end};
use super::manifest::{self, CONFIG_LIMIT, ImageManifest, ParsedManifest, choose_platform};
use super::record::{ImageRecord, assemble, parse_configuration};
use super::service::{Images, ProgressStream, TransferProgress, registry_failure};
use crate::seam::{Credentials, Descriptor, FetchedManifest};
use crate::{Result, ServiceError, failpoint};

/// How deep an index may refer to other indexes.
const INDEX_DEPTH: usize = 3;

/// What to pull and with what.
struct Pull {
    images: Images,
    reference: ImageReference,
    platform: Platform,
    credentials: Option<Credentials>,
    progress: Progress,
}

impl Images {
    /// Pulls an image. The manifest is resolved before this returns, so that what cannot be found is an error and not a progress
    /// message.
    ///
    /// # Errors
    /// Those of resolving the reference.
    pub async fn pull(
        &self,
        reference: ImageReference,
        platform: Option<Platform>,
        credentials: Option<Credentials>,
    ) -> Result<ProgressStream> {
        let (progress, receiver) = progress_channel();
        let pull = Pull {
            images: self.clone(),
            reference,
            platform: platform.unwrap_or_else(Platform::host),
            credentials,
            progress,
        };
        let top = pull.manifest(&pull.reference).await?;
        Ok(run(receiver, async move {
            let progress = pull.progress.clone();
            if let Err(error) = pull.finish(top).await {
                tell_end(&progress, TransferProgress::Failed(error)).await;
            }
        }))
    }
}

/// Runs a transfer as long as somebody reads its progress.
pub(super) fn run(
    receiver: mpsc::Receiver<TransferProgress>,
    transfer: impl Future<Output = ()> + Send + 'static,
) -> ProgressStream {
    let task = Aborting(tokio::spawn(transfer));
    Box::pin(stream::unfold((receiver, task), |(mut receiver, task)| async move {
        receiver.recv().await.map(|message| (message, (receiver, task)))
    }))
}

/// Ends a task when it is dropped.
struct Aborting(tokio::task::JoinHandle<()>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pull {
    async fn manifest(&self, reference: &ImageReference) -> Result<FetchedManifest> {
        let registry = &self.images.inner.with.registry;
        registry
            .manifest(reference, self.credentials.as_ref())
            .await
            .map_err(|error| registry_failure("pull", error))
    }

    async fn finish(self, top: FetchedManifest) -> Result<()> {
        let tag = self
            .reference
            .tag()
            .map_or_else(|| "latest".to_owned(), |tag| tag.as_str().to_owned());
        let message = format!("Pulling from {}", self.reference.repository().path());
        tell(
            &self.progress,
            TransferProgress::Status {
                id: Some(tag),
                status: message,
            },
        );
        let top_digest = top.descriptor.digest.clone();
        let (chosen, parsed) = self.choose(top).await?;
        let lease = self.images.inner.leases.open().await;
        let blobs = parsed.layers.iter().map(|layer| layer.digest.clone());
        let own = [chosen.descriptor.digest.clone(), parsed.config.digest.clone()];
        lease.protect(blobs.chain(own), []).await;
        let record = self.fetch(&chosen, parsed, &lease).await?;
        let known = self.images.get(&record.id.to_string()).is_ok();
        failpoint!("pull.before-record");
        let name = (self.reference.digest().is_none()).then_some(&self.reference);
        let digest_name = self.reference.with_digest(top_digest.clone());
        let id = record.id.clone();
        self.images.publish_image(record, name, Some(digest_name)).await?;
        failpoint!("pull.after-record");
        self.images.publish("pull", &id, &self.reference.familiar());
        for text in [
            format!("Digest: {top_digest}"),
            if known {
                format!("Status: Image is up to date for {}", self.reference.familiar())
            } else {
                format!("Status: Downloaded newer image for {}", self.reference.familiar())
            },
        ] {
            tell(&self.progress, TransferProgress::Status { id: None, status: text });
        }
        Ok(())
    }

    /// Follows indexes to the manifest of the wished platform.
    async fn choose(&self, mut fetched: FetchedManifest) -> Result<(FetchedManifest, ImageManifest)> {
        for _ in 0..INDEX_DEPTH {
            match self.parse(&fetched)? {
                ParsedManifest::Image(image) => return Ok((fetched, image)),
                ParsedManifest::Index(entries) => {
                    let entry = choose_platform(&entries, &self.platform).ok_or_else(|| {
                        ServiceError::not_found(format!(
                            "no matching manifest for {} in the manifest list entries of {}",
                            self.platform,
                            self.reference.familiar()
                        ))
                    })?;
                    fetched = self.manifest(&self.reference.with_digest(entry.digest.clone())).await?;
                }
            }
        }
        Err(ServiceError::invalid(format!(
            "{}: indexes are nested too deeply",
            self.reference.familiar()
        )))
    }

    fn parse(&self, fetched: &FetchedManifest) -> Result<ParsedManifest> {
        manifest::parse(&fetched.descriptor.media_type, &fetched.bytes)
            .map_err(|error| ServiceError::from_mechanism(self.reference.familiar(), error.kind(), error))
    }

    async fn fetch(
        &self,
        chosen: &FetchedManifest,
        parsed: ImageManifest,
        lease: &super::LayerLease,
    ) -> Result<ImageRecord> {
        let source = Source {
            inner: &self.images.inner,
            reference: &self.reference,
            credentials: self.credentials.as_ref(),
            progress: &self.progress,
        };
        let bytes = source.small_blob(&parsed.config, CONFIG_LIMIT).await?;
        let configuration = parse_configuration(&bytes)
            .map_err(|error| ServiceError::invalid(format!("{}: {}", self.reference.familiar(), error.message())))?;
        if self.platform.rank(&configuration.platform).is_none() {
            return Err(ServiceError::not_found(format!(
                "image {} has the platform {}, not the wanted {}",
                self.reference.familiar(),
                configuration.platform,
                self.platform
            )));
        }
        let size = hyperbox_types::ByteSize(0);
        let mut record = assemble(chosen.descriptor.clone(), parsed, configuration, size)?;
        lease
            .protect([], record.layers.iter().map(|layer| layer.diff_id.clone()))
            .await;
        for layer in &record.layers {
            tell(&self.progress, status(layer.blob.digest.short(), "Waiting"));
        }
        // Equal layers wait for one another inside (the same blob is never fetched twice).
        let fetches = record.layers.iter().map(|layer| source.layer(layer));
        futures_util::future::try_join_all(fetches).await?;
        store_manifest(&self.images, &chosen.descriptor, &chosen.bytes).await?;
        record.size = self.images.unpacked_size(&record).await?;
        Ok(record)
    }
}

/// Puts a manifest into the content store.
pub(super) async fn store_manifest(images: &Images, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
    let content = &images.inner.with.content;
    if content.info(&descriptor.digest).map_err(stored)?.is_some() {
        return Ok(());
    }
    let mut writer = content.writer(&descriptor.digest).await.map_err(stored)?;
    writer.write(bytes).await.map_err(stored)?;
    writer.commit(Some(descriptor.size)).await.map_err(stored)?;
    Ok(())
}

impl Images {
    /// Returns what an image's layers occupy unpacked.
    pub(super) async fn unpacked_size(&self, record: &ImageRecord) -> Result<hyperbox_types::ByteSize> {
        let layers = self
            .inner
            .with
            .snapshotter
            .layers()
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot measure layers", error.kind(), error))?;
        let sizes: std::collections::HashMap<_, _> = layers.into_iter().collect();
        let own = record.layers.iter().filter_map(|layer| sizes.get(&layer.diff_id));
        Ok(hyperbox_types::ByteSize(own.map(|usage| usage.size.0).sum()))
    }
}
