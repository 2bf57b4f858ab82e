// SPDX-License-Identifier: MIT
//! Pushing: all blobs, then the manifest, which makes the image visible in the registry.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use hyperbox_types::ImageReference;

use super::fetch::{Progress, progress_channel, status, stored, tell, tell_end};
use super::manifest::MANIFEST_LIMIT;
use super::pull::run;
use super::record::ImageRecord;
use super::service::{Images, ProgressStream, TransferProgress, registry_failure};
use crate::seam::{Credentials, Descriptor, PushOutcome};
use crate::{Result, ServiceError};

/// How many blobs are uploaded at the same time.
const PARALLEL: usize = 4;

impl Images {
    /// Pushes an image under its name. Failures are told in the course of it, also when there is no such image.
    pub fn push(&self, reference: ImageReference, credentials: Option<Credentials>) -> ProgressStream {
        let (progress, receiver) = progress_channel();
        let images = self.clone();
        run(receiver, async move {
            let status = format!("The push refers to repository [{}]", reference.repository());
            tell(&progress, TransferProgress::Status { id: None, status });
            let pushed = match images.to_push(&reference) {
                Ok(record) => {
                    images
                        .upload(&record, &reference, credentials.as_ref(), &progress)
                        .await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = pushed {
                tell_end(&progress, TransferProgress::Failed(error)).await;
            }
        })
    }

    /// Finds the image of a name; the refusals tell an unknown repository from an unknown tag, as Docker's do.
    fn to_push(&self, reference: &ImageReference) -> Result<Arc<ImageRecord>> {
        self.get(&reference.to_string()).map_err(|_| {
            let repository = reference.repository();
            let known = |image: &ImageRecord| image.references.iter().any(|name| name.repository() == repository);
            ServiceError::not_found(if self.list().iter().any(|image| known(image)) {
                format!("tag does not exist: {}", reference.familiar())
            } else {
                format!(
                    "An image does not exist locally with the tag: {}",
                    repository.familiar()
                )
            })
        })
    }

    async fn upload(
        &self,
        record: &ImageRecord,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        progress: &Progress,
    ) -> Result<()> {
        let _lease = self.lease(record).await;
        let mount_from = mount_sources(record, reference);
        let layers = record.layers.iter().map(|layer| &layer.blob);
        let uploads: Vec<_> = layers
            .chain([&record.configuration])
            .map(|blob| self.upload_blob(blob, reference, &mount_from, credentials, progress))
            .collect();
        stream::iter(uploads)
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await?;
        let bytes = self
            .inner
            .with
            .content
            .read(&record.manifest.digest, MANIFEST_LIMIT)
            .await
            .map_err(stored)?;
        let size = bytes.len();
        let digest = self
            .inner
            .with
            .registry
            .push_manifest(reference, &record.manifest.media_type, bytes.into(), credentials)
            .await
            .map_err(|error| registry_failure("push", error))?;
        let tag = reference
            .tag()
            .map_or_else(|| "latest".to_owned(), |tag| tag.as_str().to_owned());
        let text = format!("{tag}: digest: {digest} size: {size}");
        tell(progress, TransferProgress::Status { id: None, status: text });
        let facts = serde_json::json!({ "Tag": tag, "Digest": digest.to_string(), "Size": size });
        tell(progress, TransferProgress::Aux(facts));
        self.publish_image(record.clone(), Some(reference), Some(reference.with_digest(digest)))
            .await?;
        self.publish("push", &record.id, &reference.familiar());
        Ok(())
    }

    async fn upload_blob(
        &self,
        blob: &Descriptor,
        reference: &ImageReference,
        mount_from: &[String],
        credentials: Option<&Credentials>,
        progress: &Progress,
    ) -> Result<()> {
        let id = blob.digest.short().to_owned();
        tell(progress, status(&id, "Preparing"));
        let file = self.inner.with.content.open(&blob.digest).map_err(stored)?;
        let advance = |current: u64| {
            let message = TransferProgress::Advance {
                id: id.clone(),
                status: "Pushing",
                current,
                total: blob.size.0,
            };
            tell(progress, message);
        };
        let outcome = self
            .inner
            .with
            .registry
            .push_blob(reference, blob, file, mount_from, credentials, &advance)
            .await
            .map_err(|error| registry_failure("push", error))?;
        let text = match outcome {
            PushOutcome::Uploaded => "Pushed".to_owned(),
            PushOutcome::Existed => "Layer already exists".to_owned(),
            PushOutcome::Mounted => "Mounted from another repository".to_owned(),
        };
        tell(progress, status(&id, &text));
        Ok(())
    }
}

/// Returns other repositories of the same registry that are known to have this image.
fn mount_sources(record: &ImageRecord, target: &ImageReference) -> Vec<String> {
    let mut sources: Vec<String> = record
        .digests
        .iter()
        .map(ImageReference::repository)
        .filter(|repository| repository.host() == target.repository().host() && *repository != target.repository())
        .map(|repository| repository.path().to_owned())
        .collect();
    sources.sort();
    sources.dedup();
    sources
}
