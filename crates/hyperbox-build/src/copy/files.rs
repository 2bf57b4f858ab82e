// SPDX-License-Identifier: MIT
//! [`FileSteps`]: opens trees, hashes what steps read, and carries steps out. Work on files is done on threads that may block.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::image::ImageLayer;
use hyperbox_core::seam::{Registry, Snapshotter};
use hyperbox_core::time::Timestamp;
use hyperbox_types::DiffId;
use tokio_util::sync::CancellationToken;

use super::checksum::Checksum;
use super::digest::Hashing;
use super::entity_tags::EntityTags;
use super::fetch::{Fetcher, blocking};
use super::layer::Layer;
use super::mode::ModeChange;
use super::owner;
use super::ready::checksum_of;
use super::source::{self, Filter, Found, unreadable};
use super::target::Target;
use super::transfer::Changing;
use crate::StepError;
use crate::context::path::{self, as_path, resolve_in};
use crate::context::remote::{Address, file_name};
use crate::context::{DigestCache, Scratch, Tree};
use crate::request::ContextSource;
use crate::step::{AddFile, CopySource, CopyStep, FileStep, FileSteps, MakeDirectory, StepContext};

/// Carries out steps that only change files.
#[derive(Debug)]
pub struct Files {
    pub(super) snapshotter: Arc<dyn Snapshotter>,
    pub(super) scratch: Scratch,
    pub(super) digests: DigestCache,
    pub(super) fetcher: Fetcher,
}

impl Files {
    /// Makes one that keeps what it must below `directory`: in `files`, which is emptied, because a crash may have left something, and
    /// in `web` what is known of files of the web.
    ///
    /// # Errors
    /// I/O classes.
    pub fn open(directory: &Path, snapshotter: Arc<dyn Snapshotter>, registry: Arc<dyn Registry>) -> io::Result<Self> {
        let scratch = Scratch::open(&directory.join("files"))?;
        let tags = EntityTags::open(&directory.join("web"))?;
        let digests = DigestCache::default();
        Ok(Self {
            snapshotter,
            fetcher: Fetcher::new(registry, scratch.clone(), digests.clone(), tags),
            scratch,
            digests,
        })
    }

    async fn digest_copy(&self, step: &CopyStep, with: &StepContext) -> Result<[u8; 32], StepError> {
        let checksum = checksum_of(step)?;
        let mut hashing = Hashing::new("copy", with.cancel.clone());
        let mut local = step.clone();
        local.sources.clear();
        for wanted in &step.sources {
            let CopySource::Remote { address, content } = wanted else {
                local.sources.push(wanted.clone());
                continue;
            };
            match (Address::parse(address), &checksum) {
                (Some(Address::Git(address)), checksum) => {
                    let commit = self.fetcher.commit(&address, checksum.as_deref(), with).await?;
                    hashing.field(commit.as_bytes());
                    hashing.field(address.directory.as_deref().unwrap_or_default().as_bytes());
                }
                (Some(Address::Http(_)), Some(checksum)) => {
                    Checksum::parse(checksum)?;
                    hashing.field(checksum.as_bytes());
                }
                (Some(Address::Http(address)), None) => {
                    let content = match content {
                        Some(content) => *content,
                        None => self.fetcher.look_up(&address, with).await?,
                    };
                    hashing.field(file_name(&address).as_bytes());
                    hashing.field(&content);
                }
                (None, _) => return Err(StepError::invalid(format!("{address:?} is no address"))),
            }
        }
        // What is left is of trees, of which no checksum is asked.
        local.add = local.add.map(|add| AddFile { checksum: None, ..add });
        let ready = self.ready(&local, with).await?;
        let mode = step.mode.as_deref().map(ModeChange::parse).transpose()?;
        // Who it is does not matter here, only that it is not the source's.
        let owner = step.owner.as_ref().map(|_| (0, 0));
        let changing = Changing { owner, mode };
        blocking(move || {
            for one in &ready {
                hashing.field(b"source");
                for found in &one.found {
                    hashing.found(found, &one.filter, &changing)?;
                }
            }
            Ok(hashing.finish())
        })
        .await
    }

    async fn copy(&self, step: &CopyStep, root: &[DiffId], with: &StepContext) -> Result<ImageLayer, StepError> {
        let names_somebody = step.owner.as_ref().is_some_and(|owner| owner::needs_names(&owner.0));
        let below = if step.link && !names_somebody {
            None
        } else {
            self.root(root)?
        };
        let layer = self.copy_onto(below, step, with).await?;
        self.store(layer, with).await
    }

    /// Makes the layer of COPY and ADD; `below` is the root filesystem, if there is one that matters.
    pub(super) async fn copy_onto(
        &self,
        below: Option<Arc<dyn Tree>>,
        step: &CopyStep,
        with: &StepContext,
    ) -> Result<Layer, StepError> {
        let ready = self.ready(step, with).await?;
        let mode = step.mode.as_deref().map(ModeChange::parse).transpose()?;
        let owner = step.owner.as_ref().map(|owner| owner.0.clone());
        let (destination, link, scratch) = (step.destination.clone(), step.link, self.scratch.clone());
        let (cancel, epoch) = (with.cancel.clone(), with.source_date_epoch);
        blocking(move || {
            let owner = owner.map(|text| owner::find(&text, below.as_deref())).transpose()?;
            let changing = Changing { owner, mode };
            let mut target = Target::new(below.filter(|_| !link), now(epoch));
            let mut number = 0;
            for one in &ready {
                for found in &one.found {
                    if cancel.is_cancelled() {
                        return Err(StepError::Cancelled);
                    }
                    number += 1;
                    one.apply(&mut target, found, &destination, &changing, number, &scratch)?;
                }
            }
            Ok(Layer::new(target.finish()?, epoch))
        })
        .await
    }

    async fn make_directory(
        &self,
        step: &MakeDirectory,
        root: &[DiffId],
        with: &StepContext,
    ) -> Result<ImageLayer, StepError> {
        let below = self.root(root)?;
        let (step, epoch) = (step.clone(), with.source_date_epoch);
        let layer = blocking(move || {
            let owner = step.owner.as_ref().map(|owner| owner::find(&owner.0, below.as_deref()));
            let owner = owner.transpose()?.unwrap_or((0, 0));
            let mut target = Target::new(below, now(epoch));
            let place = target.resolve(step.path.as_bytes())?;
            target.make_directories(&place, 0o755, owner)?;
            Ok(Layer::new(target.finish()?, epoch))
        });
        self.store(layer.await?, with).await
    }

    fn root(&self, layers: &[DiffId]) -> Result<Option<Arc<dyn Tree>>, StepError> {
        if layers.is_empty() {
            return Ok(None);
        }
        self.layers(layers).map(Some)
    }

    async fn store(&self, layer: Layer, with: &StepContext) -> Result<ImageLayer, StepError> {
        let stoppable = Stoppable {
            inner: layer,
            cancel: with.cancel.clone(),
        };
        let stored = with.layers.store_reader(Box::new(stoppable)).await;
        if with.cancel.is_cancelled() && stored.is_err() {
            return Err(StepError::Cancelled);
        }
        stored
    }
}

#[async_trait]
impl FileSteps for Files {
    async fn open_context(&self, source: ContextSource, with: &StepContext) -> Result<Arc<dyn Tree>, StepError> {
        self.context(source, with).await
    }

    async fn open_layers(&self, layers: &[DiffId]) -> Result<Arc<dyn Tree>, StepError> {
        self.layers(layers)
    }

    async fn digest(&self, step: &FileStep, with: &StepContext) -> Result<[u8; 32], StepError> {
        match step {
            FileStep::Copy(step) => self.digest_copy(step, with).await,
            // It reads nothing.
            FileStep::MakeDirectory(_) => Ok(Hashing::new("directory", with.cancel.clone()).finish()),
        }
    }

    async fn digest_path(&self, tree: &Arc<dyn Tree>, path: &str, with: &StepContext) -> Result<[u8; 32], StepError> {
        let (tree, path, cancel) = (Arc::clone(tree), path.to_owned(), with.cancel.clone());
        blocking(move || {
            let failed = |error| unreadable(path.as_bytes(), error);
            let place = resolve_in(tree.as_ref(), path.as_bytes()).map_err(failed)?;
            let entry = tree.entry(&as_path(&place)).map_err(failed)?;
            let entry = entry.ok_or_else(|| source::missing(&path::clean(path.as_bytes())))?;
            let found = Found {
                tree,
                entry,
                name: Vec::new(),
            };
            let mut hashing = Hashing::new("path", cancel);
            hashing.found(&found, &Filter::default(), &Changing::default())?;
            Ok(hashing.finish())
        })
        .await
    }

    async fn look_up(&self, address: &str, with: &StepContext) -> Result<Option<[u8; 32]>, StepError> {
        match Address::parse(address) {
            Some(Address::Http(address)) => self.fetcher.look_up(&address, with).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn run(&self, step: &FileStep, root: &[DiffId], with: &StepContext) -> Result<ImageLayer, StepError> {
        match step {
            FileStep::Copy(step) => self.copy(step, root, with).await,
            FileStep::MakeDirectory(step) => self.make_directory(step, root, with).await,
        }
    }
}

/// Returns the time of what is made now: whole seconds, no later than the epoch that was asked for.
fn now(epoch: Option<Timestamp>) -> Timestamp {
    let now = Timestamp::now();
    epoch.map_or(now, |epoch| epoch.min(now))
}

/// Stops in the middle when nobody waits any more.
struct Stoppable<R> {
    inner: R,
    cancel: CancellationToken,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("context canceled"));
        }
        self.inner.read(buffer)
    }
}
