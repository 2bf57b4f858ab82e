// SPDX-License-Identifier: MIT
//! Pulling: resolve, fetch all layers at once, then publish with one transaction.

mod unlisted;

use futures_util::stream;
use hyperbox_types::{ImageReference, Platform};
use tokio::sync::mpsc;

use super::delta::Delta;
use super::fetch::{Blobs, Progress, Source, progress_channel, status, stored, tell, tell_end};
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
    delta: Option<Delta>,
    blobs: Blobs,
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
        self.pull_with(reference, platform, credentials, None).await
    }

    /// Pulls an image; what its layers consist of comes from another HyperBox where that has them (see `delta`). `host` is written
    /// like `DOCKER_HOST`.
    ///
    /// # Errors
    /// As [`Images::pull`].
    pub async fn pull_delta(
        &self,
        reference: ImageReference,
        platform: Option<Platform>,
        credentials: Option<Credentials>,
        host: &str,
    ) -> Result<ProgressStream> {
        let delta = Delta::new(self.clone(), reference.clone(), host.to_owned());
        self.pull_with(reference, platform, credentials, Some(delta)).await
    }

    async fn pull_with(
        &self,
        reference: ImageReference,
        platform: Option<Platform>,
        credentials: Option<Credentials>,
        delta: Option<Delta>,
    ) -> Result<ProgressStream> {
        let (mut pull, receiver) = Pull::new(self, reference, platform, credentials);
        pull.delta = delta;
        let top = pull.manifest(&pull.reference).await?;
        Ok(run(receiver, async move {
            match pull.finish(top).await {
                Ok(done) => pull.tell_done(&pull.reference.familiar(), &[done]),
                Err(error) => pull.tell_failure(error).await,
            }
        }))
    }

    /// Pulls all tags of the reference's repository, one after another. The tags are listed before this returns; the first failure
    /// ends the transfer, and what was pulled before it stays.
    ///
    /// # Errors
    /// Those of listing the tags.
    pub async fn pull_all(
        &self,
        reference: ImageReference,
        platform: Option<Platform>,
        credentials: Option<Credentials>,
    ) -> Result<ProgressStream> {
        let registry = &self.inner.with.registry;
        let tags = registry
            .tags(&reference, credentials.as_ref())
            .await
            .map_err(|error| registry_failure("pull", error))?;
        let (mut pull, receiver) = Pull::new(self, reference, platform, credentials);
        Ok(run(receiver, async move {
            let mut done = Vec::new();
            for tag in tags {
                pull.reference = pull.reference.with_tag(tag);
                let pulled = async { pull.finish(pull.manifest(&pull.reference).await?).await };
                match pulled.await {
                    Ok(image) => done.push(image),
                    Err(error) => return pull.tell_failure(error).await,
                }
            }
            pull.tell_done(&pull.reference.repository().familiar(), &done);
        }))
    }
}

/// What became of one reference.
struct Pulled {
    /// The name meant this image before.
    known: bool,
    /// What its user should know.
    warning: Option<String>,
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
    /// Makes a pull of what is missing from the registry alone, and the other end of its progress.
    fn new(
        images: &Images,
        reference: ImageReference,
        platform: Option<Platform>,
        credentials: Option<Credentials>,
    ) -> (Self, mpsc::Receiver<TransferProgress>) {
        let (progress, receiver) = progress_channel();
        let pull = Self {
            images: images.clone(),
            reference,
            platform: platform.unwrap_or_else(Platform::host),
            credentials,
            progress,
            delta: None,
            blobs: Blobs::of_pull(&images.inner),
        };
        (pull, receiver)
    }

    async fn manifest(&self, reference: &ImageReference) -> Result<FetchedManifest> {
        let registry = &self.images.inner.with.registry;
        registry
            .manifest(reference, self.credentials.as_ref())
            .await
            .map_err(|error| registry_failure("pull", error))
    }

    async fn tell_failure(&self, error: ServiceError) {
        self.images.give_back_after(&error).await;
        tell_end(&self.progress, TransferProgress::Failed(error)).await;
    }

    fn tell_done(&self, name: &str, all: &[Pulled]) {
        let state = if all.iter().all(|pulled| pulled.known) {
            "Image is up to date"
        } else {
            "Downloaded newer image"
        };
        let warnings = all.iter().filter_map(|pulled| pulled.warning.clone());
        for text in std::iter::once(format!("Status: {state} for {name}")).chain(warnings) {
            tell(&self.progress, TransferProgress::Status { id: None, status: text });
        }
    }

    async fn finish(&self, top: FetchedManifest) -> Result<Pulled> {
        let lease = self.images.inner.leases.open().await;
        let pulled = self.finish_under(top, &lease).await;
        if pulled.is_err() {
            // What is being committed would come after the collection that gives everything back.
            lease.settle().await;
        }
        pulled
    }

    async fn finish_under(&self, top: FetchedManifest, lease: &super::LayerLease) -> Result<Pulled> {
        let tag = match (self.reference.tag(), self.reference.digest()) {
            (_, Some(_)) => self.reference.familiar(),
            (Some(tag), None) => tag.as_str().to_owned(),
            (None, None) => "latest".to_owned(),
        };
        let message = format!("Pulling from {}", self.reference.repository().path());
        tell(
            &self.progress,
            TransferProgress::Status {
                id: Some(tag),
                status: message,
            },
        );
        let top_digest = top.descriptor.digest.clone();
        let (record, _kept) = self.obtain(top, lease).await?;
        let (wish, reference) = (self.platform.clone(), self.reference.familiar());
        // Whoever published one manifest for one platform gets it pulled for any, as with Docker.
        let warning = wish.rank(&record.platform).is_none().then(|| {
            format!(
                "WARNING: image with reference {reference} was found but its platform ({}) does not match the specified platform ({wish})",
                record.platform
            )
        });
        let known = self
            .images
            .get(&self.reference.to_string())
            .is_ok_and(|known| known.id == record.id);
        failpoint!("pull.before-record");
        let name = (self.reference.digest().is_none()).then_some(&self.reference);
        let digest_name = self.reference.with_digest(top_digest.clone());
        let id = record.id.clone();
        self.images.publish_image(record, name, Some(digest_name)).await?;
        failpoint!("pull.after-record");
        self.images.publish_transfer("pull", &id, &self.reference);
        let digest = format!("Digest: {top_digest}");
        tell(
            &self.progress,
            TransferProgress::Status {
                id: None,
                status: digest,
            },
        );
        Ok(Pulled { known, warning })
    }

    /// Brings here what an image consists of, protected by a lease; one that is here already comes with the lease that keeps it.
    async fn obtain(
        &self,
        top: FetchedManifest,
        lease: &super::LayerLease,
    ) -> Result<(ImageRecord, Option<super::LayerLease>)> {
        let (chosen, parsed) = self.choose(top).await?;
        let blobs = parsed.layers.iter().map(|layer| layer.digest.clone());
        let own = [chosen.descriptor.digest.clone(), parsed.config.digest.clone()];
        lease.protect(blobs.chain(own), []).await;
        Ok(match self.present(&parsed).await {
            Some((record, kept)) => (record, Some(kept)),
            None => (self.fetch(&chosen, parsed, lease).await?, None),
        })
    }

    /// Returns the image when it is here already, and keeps it here: then nothing of it is fetched.
    async fn present(&self, parsed: &ImageManifest) -> Option<(ImageRecord, super::LayerLease)> {
        let id = hyperbox_types::ImageId(parsed.config.digest.clone());
        let known = self.images.table().get(&id).cloned()?;
        let lease = self.images.lease(&known).await.ok()?;
        Some((ImageRecord::clone(&known), lease))
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
            lease,
            delta: self.delta.as_ref(),
            blobs: self.blobs,
        };
        let config = parsed.config.clone();
        // Held until it is stored: whoever pulls the same image now finds it here.
        let fetched = source.small_blob(&config, CONFIG_LIMIT).await?;
        let configuration = parse_configuration(&fetched.bytes)
            .map_err(|error| ServiceError::invalid(format!("{}: {}", self.reference.familiar(), error.message())))?;
        let size = hyperbox_types::ByteSize(0);
        let mut record = assemble(chosen.descriptor.clone(), parsed, configuration, size)?;
        lease
            .protect([], record.layers.iter().map(|layer| layer.diff_id.clone()))
            .await;
        for layer in &record.layers {
            tell(&self.progress, status(layer.blob.digest.short(), "Waiting"));
        }
        // Equal layers wait for one another inside (the same blob is never fetched twice).
        let fetches = record.layers.iter().map(|layer| source.layer(layer, &record.layers));
        let layers = futures_util::future::try_join_all(fetches);
        // Beside them, because they wait for the disk as well.
        let config = store_document(&self.images, &config, &fetched.bytes, lease);
        let manifest = store_document(&self.images, &chosen.descriptor, &chosen.bytes, lease);
        futures_util::future::try_join3(layers, config, manifest).await?;
        record.elsewhere = self.images.left_behind(&record, Some(&self.reference));
        if let Some(delta) = &self.delta {
            let status = delta.summary();
            tell(&self.progress, TransferProgress::Status { id: None, status });
        }
        record.size = self.images.unpacked_size(&record).await?;
        Ok(record)
    }
}

/// Puts a manifest or a configuration into the content store.
pub(super) async fn store_document(
    images: &Images,
    descriptor: &Descriptor,
    bytes: &[u8],
    lease: &super::LayerLease,
) -> Result<()> {
    let content = &images.inner.with.content;
    if content.info(&descriptor.digest).map_err(stored)?.is_some() {
        return Ok(());
    }
    let mut writer = content.writer(&descriptor.digest).await.map_err(stored)?;
    writer.write(bytes).await.map_err(stored)?;
    let size = descriptor.size;
    let committed = lease.during(async move { writer.commit(Some(size)).await }).await?;
    committed.map_err(stored)?;
    Ok(())
}

impl Images {
    /// Returns what an image's layers occupy unpacked.
    pub(super) async fn unpacked_size(&self, record: &ImageRecord) -> Result<hyperbox_types::ByteSize> {
        let sizes = self.layer_sizes().await?;
        let own = record.layers.iter().filter_map(|layer| sizes.get(&layer.diff_id));
        Ok(hyperbox_types::ByteSize(own.map(|size| size.0).sum()))
    }
}
