// SPDX-License-Identifier: MIT
//! Checking the store, and mending it: the database, every blob against its digest, every layer against its archive, what records refer
//! to and what nothing refers to.
//!
//! The engine serves meanwhile. Each image is leased while it is looked at, so it may be removed but its content stays; images that
//! come later are not looked at. One item is read at a time, on a blocking thread. Dropping the stream ends the check after the item it
//! is at; each repair is an ordinary commit of the stores, so nothing half-made is ever seen, also when the process dies.
//!
//! What is lost (no archive here, no registry that has it) is removed only when that is certain: a registry that cannot be reached, or
//! a container that uses the image, leaves everything as it was.

mod blob;
mod layer;
mod remains;
mod source;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{Stream, stream};
use hyperbox_types::check::{CheckEvent, CheckSummary, Finding, Outcome, Problem};
use hyperbox_types::{DiffId, Digest};
use tokio::sync::mpsc;

use self::blob::BlobKind;
use super::lease::LayerLease;
use super::record::ImageRecord;
use super::service::{ImageUser, Images};
use crate::Result;
use crate::seam::{Credentials, Descriptor};
use crate::volume::Volumes;

/// How to check.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Mend what is found.
    pub repair: bool,
    /// Credentials for registries, by host.
    pub credentials: HashMap<String, Credentials>,
}

/// The course of a check. Dropping it ends the check.
pub type CheckStream = Pin<Box<dyn Stream<Item = CheckEvent> + Send>>;

/// Messages that wait for a reader.
const NEWS: usize = 64;

impl Images {
    /// Checks the store; see the module's header. The last message is *finished* or *failed*.
    pub fn check(&self, options: CheckOptions, volumes: Volumes) -> CheckStream {
        let (news, receiver) = mpsc::channel(NEWS);
        let stop = Arc::new(AtomicBool::new(false));
        let mut check = Check {
            images: self.clone(),
            volumes,
            options,
            news: news.clone(),
            stop: Arc::clone(&stop),
            summary: CheckSummary::default(),
            done: 0,
            total: 0,
            seen_blobs: HashMap::new(),
            seen_layers: HashSet::new(),
            lost: HashSet::new(),
        };
        let task = tokio::spawn(async move {
            let last = match check.run().await {
                Ok(()) => CheckEvent::Finished(check.summary),
                Err(error) => CheckEvent::Failed {
                    message: error.message().to_owned(),
                },
            };
            // Nobody listens any more: there is nobody to tell.
            drop(news.send(last).await);
        });
        let running = Running { task, stop };
        Box::pin(stream::unfold(
            (receiver, running),
            |(mut receiver, running)| async move { receiver.recv().await.map(|event| (event, (receiver, running))) },
        ))
    }
}

/// Ends a check when it is dropped.
struct Running {
    task: tokio::task::JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

/// A check in progress.
struct Check {
    images: Images,
    volumes: Volumes,
    options: CheckOptions,
    news: mpsc::Sender<CheckEvent>,
    /// Tells blocking threads that nobody waits for them.
    stop: Arc<AtomicBool>,
    summary: CheckSummary,
    done: u64,
    total: u64,
    /// Blobs that were looked at, and whether they are whole by now.
    seen_blobs: HashMap<Digest, bool>,
    seen_layers: HashSet<DiffId>,
    /// Blobs that nobody has.
    lost: HashSet<Digest>,
}

impl Check {
    async fn run(&mut self) -> Result<()> {
        let (images, users) = (self.images.list(), self.images.users());
        self.total = count_items(&images, &users);
        self.database().await?;
        self.records().await?;
        for image in &images {
            // One that went meanwhile needs nothing any more.
            if let Ok(lease) = self.images.lease(image).await {
                self.image(image, &lease).await?;
            }
        }
        for user in &users {
            self.container(user).await?;
        }
        self.unowned_files().await?;
        self.volumes().await;
        self.unreferenced().await;
        self.strays().await
    }

    async fn image(&mut self, image: &ImageRecord, lease: &LayerLease) -> Result<()> {
        let documents = [
            (&image.manifest, BlobKind::Manifest),
            (&image.configuration, BlobKind::Other),
        ];
        for (descriptor, kind) in documents {
            self.blob(image, descriptor, kind, lease).await?;
        }
        for layer in &image.layers {
            let whole = self.blob(image, &layer.blob, BlobKind::Other, lease).await?;
            self.layer(&layer.diff_id, whole.then_some(&layer.blob), lease).await?;
            if !self.images.has(&image.id) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks at a blob once; tells whether it is whole (by now).
    async fn blob(
        &mut self,
        image: &ImageRecord,
        descriptor: &Descriptor,
        kind: BlobKind,
        lease: &LayerLease,
    ) -> Result<bool> {
        if let Some(whole) = self.seen_blobs.get(&descriptor.digest) {
            return Ok(*whole);
        }
        self.progress(descriptor.digest.to_string()).await;
        let whole = self.check_blob(image, descriptor, kind, lease).await?;
        self.seen_blobs.insert(descriptor.digest.clone(), whole);
        Ok(whole)
    }

    async fn layer(&mut self, layer: &DiffId, archive: Option<&Descriptor>, lease: &LayerLease) -> Result<()> {
        if !self.seen_layers.insert(layer.clone()) {
            return Ok(());
        }
        self.progress(format!("layer {layer}")).await;
        self.check_layer(layer, archive, lease).await
    }

    async fn progress(&mut self, item: String) {
        let (done, total) = (self.done, self.total.max(self.done + 1));
        self.done += 1;
        // A reader that went away ends the check elsewhere.
        drop(self.news.send(CheckEvent::Progress { done, total, item }).await);
    }

    async fn found(&mut self, finding: Finding) {
        self.summary.count(&finding);
        drop(self.news.send(CheckEvent::Finding(finding)).await);
    }

    /// Tells of something that only the user can settle.
    async fn left(&mut self, problem: Problem, subject: String, detail: String, needed_by: Vec<String>, why: &str) {
        let outcome = if self.options.repair {
            Outcome::Left { why: why.to_owned() }
        } else {
            Outcome::Nothing
        };
        self.found(Finding {
            problem,
            subject,
            detail,
            needed_by,
            outcome,
        })
        .await;
    }

    /// Returns the images that have a layer or blob.
    fn images_with(&self, has: impl Fn(&ImageRecord) -> bool) -> Vec<Arc<ImageRecord>> {
        self.images.list().into_iter().filter(|image| has(image)).collect()
    }
}

/// Returns the name by which people know an image.
fn name_of(image: &ImageRecord) -> String {
    let named = image.references.first().or(image.digests.first());
    named.map_or_else(|| image.id.short().to_owned(), |name| name.familiar())
}

fn count_items(images: &[Arc<ImageRecord>], users: &[ImageUser]) -> u64 {
    let blobs: HashSet<&Digest> = images.iter().flat_map(|image| image.blobs()).collect();
    let of_images = images
        .iter()
        .flat_map(|image| image.layers.iter().map(|layer| &layer.diff_id));
    let of_containers = users.iter().flat_map(|user| user.layers.iter());
    let layers: HashSet<&DiffId> = of_images.chain(of_containers).collect();
    (blobs.len() + layers.len()) as u64
}
