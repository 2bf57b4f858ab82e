// SPDX-License-Identifier: MIT
//! Pushing: all blobs, then the manifest, which makes the image visible in the registry.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use hyperbox_types::{Digest, ImageReference};

use super::fetch::{Progress, progress_channel, status, stored, tell, tell_end};
use super::lease::LayerLease;
use super::manifest::MANIFEST_LIMIT;
use super::pull::run;
use super::record::ImageRecord;
use super::service::{Images, ProgressStream, TransferProgress, registry_failure};
use crate::seam::{Credentials, Descriptor, PushOutcome};
use crate::{Result, ServiceError};

/// How many blobs are claimed or uploaded at the same time.
const PARALLEL: usize = 4;

/// What the registry that is pushed to said of blobs that are not here.
#[derive(Debug, Default)]
struct Claims {
    /// It has them, so that they need not come.
    granted: HashSet<Digest>,
    /// They have to come, and to be sent.
    refused: HashSet<Digest>,
}

impl Images {
    /// Pushes an image under its name. Failures are told in the course of it, also when there is no such image.
    pub fn push(&self, reference: ImageReference, credentials: Option<Credentials>) -> ProgressStream {
        let (progress, receiver) = progress_channel();
        let images = self.clone();
        run(receiver, async move {
            let status = format!("The push refers to repository [{}]", reference.repository());
            tell(&progress, TransferProgress::Status { id: None, status });
            let pushed = async {
                let record = images.to_push(&reference)?;
                let lease = images.lease(&record).await?;
                images
                    .upload(&record, &reference, credentials.as_ref(), (&progress, &lease))
                    .await
            };
            let pushed = pushed.await;
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

    /// Uploads an image that a lease protects, whether it is in the list of images or not.
    pub(super) async fn upload(
        &self,
        record: &ImageRecord,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        (progress, lease): (&Progress, &LayerLease),
    ) -> Result<()> {
        let sources = |blob: &Descriptor| mount_sources(record, reference, &blob.digest);
        let claims = self.claim(record, reference, &sources, credentials, progress).await?;
        // They are for the registry that is pushed to: others do not get them.
        let own = credentials.map(|credentials| (reference.repository().host(), credentials));
        let record = &self.whole(record, own, progress, lease, &claims.granted).await?;
        // Nobody is told of the configuration, which is no layer.
        let (silence, _nobody) = progress_channel();
        let layers = record.layers.iter().map(|layer| (&layer.blob, progress));
        // Two layers may have one blob.
        let mut seen = HashSet::new();
        let uploads: Vec<_> = layers
            .filter(|(blob, _)| !claims.granted.contains(&blob.digest) && seen.insert(&blob.digest))
            .chain([(&record.configuration, &silence)])
            .map(|(blob, progress)| {
                let mount_from = (!claims.refused.contains(&blob.digest)).then(|| sources(blob));
                self.upload_blob(blob, reference, mount_from, credentials, progress)
            })
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
        // An image that went meanwhile does not come back.
        if self.has(&record.id) {
            self.publish_image(record.clone(), Some(reference), Some(reference.with_digest(digest)))
                .await?;
        }
        self.publish_transfer("push", &record.id, reference);
        Ok(())
    }

    /// Asks the registry that is pushed to for those blobs of an image that are not here.
    async fn claim(
        &self,
        record: &ImageRecord,
        reference: &ImageReference,
        sources: &(dyn Fn(&Descriptor) -> Vec<String> + Sync),
        credentials: Option<&Credentials>,
        progress: &Progress,
    ) -> Result<Claims> {
        let mut seen = HashSet::new();
        let mut asking = Vec::new();
        for layer in &record.layers {
            let blob = &layer.blob;
            if !seen.insert(&blob.digest) || self.has_blob(layer)? {
                continue;
            }
            let registry = &self.inner.with.registry;
            asking.push(async move {
                let outcome = registry.claim_blob(reference, blob, &sources(blob), credentials).await;
                outcome
                    .map(|outcome| (blob, outcome))
                    .map_err(|error| registry_failure("push", error))
            });
        }
        let mut answers = stream::iter(asking).buffer_unordered(PARALLEL);
        let mut claims = Claims::default();
        while let Some((blob, outcome)) = answers.try_next().await? {
            if let Some(outcome) = outcome {
                tell(progress, status(blob.digest.short(), "Preparing"));
                tell(progress, status(blob.digest.short(), told(outcome)));
                claims.granted.insert(blob.digest.clone());
            } else {
                claims.refused.insert(blob.digest.clone());
            }
        }
        Ok(claims)
    }

    async fn upload_blob(
        &self,
        blob: &Descriptor,
        reference: &ImageReference,
        mount_from: Option<Vec<String>>,
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
            .push_blob(reference, blob, file, mount_from.as_deref(), credentials, &advance)
            .await
            .map_err(|error| registry_failure("push", error))?;
        tell(progress, status(&id, told(outcome)));
        Ok(())
    }
}

fn told(outcome: PushOutcome) -> &'static str {
    match outcome {
        PushOutcome::Uploaded => "Pushed",
        PushOutcome::Existed => "Layer already exists",
        PushOutcome::Mounted => "Mounted from another repository",
    }
}

/// Returns other repositories of the same registry that are known to have this image or layers of it: first where this blob is, as the
/// registry is not asked for all of them.
fn mount_sources(record: &ImageRecord, target: &ImageReference, blob: &Digest) -> Vec<String> {
    let here = target.repository();
    let path = |name: &ImageReference| {
        let repository = name.repository();
        let is_source = repository.host() == here.host() && repository != here;
        is_source.then(|| repository.path().to_owned())
    };
    let of_blob = record.elsewhere.get(blob).and_then(path);
    let names = record.digests.iter().chain(record.elsewhere.values());
    let of_image: BTreeSet<String> = names.filter_map(path).collect();
    let others = of_image.into_iter().filter(|path| of_blob.as_ref() != Some(path));
    of_blob.iter().cloned().chain(others).collect()
}
