// SPDX-License-Identifier: MIT
//! The service that doors call: builds, and what is kept of them.
//!
//! **A build** is the future of [`Builder::build`]; dropping it cancels the build: steps that no other build waits for are stopped, and
//! nothing is tagged. The image becomes visible in one transaction when all of it is there.
//!
//! **Concurrency.** Builds run side by side and share the cache; the same step is done once at a time. **Crashes** leave no process and
//! no file: what a crash leaves is swept when the runners are made and when the engine collects.

mod bases;
mod check;
mod describe;
mod export;
mod filter;
mod keeping;
mod sharing;
mod work;

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyperbox_core::ServiceError;
use hyperbox_core::image::Images;
use hyperbox_core::seam::Records;
use hyperbox_core::time::Timestamp;
use hyperbox_types::{ByteSize, ImageId};

pub use bases::BuiltBase;
pub use check::CheckedFile;
pub use describe::Described;
pub use filter::{FilterError, KeptFields, KeptFilter};

use crate::cache::{Cache, Retention};
use crate::digests::Digests;
use crate::solve::Flights;
use crate::step::{FileSteps, RunSteps};
use crate::{BuildError, BuildRequest, EventSender};

/// What the service stands on.
#[derive(Debug, Clone)]
pub struct BuilderDependencies {
    /// Where images and layers are.
    pub images: Images,
    /// Where the cache is recorded.
    pub records: Arc<dyn Records>,
    /// Carries out COPY, ADD and WORKDIR.
    pub files: Arc<dyn FileSteps>,
    /// Carries out RUN.
    pub runs: Arc<dyn RunSteps>,
    /// What of the cache stays after builds.
    pub retention: Retention,
}

/// What all builds share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) images: Images,
    pub(crate) cache: Arc<Cache>,
    pub(crate) files: Arc<dyn FileSteps>,
    pub(crate) runs: Arc<dyn RunSteps>,
    pub(crate) flights: Flights,
    pub(crate) digests: Digests,
    retention: Retention,
    /// When somebody last looked for what is too old, in nanoseconds since the epoch.
    looked_at: AtomicI64,
    next_build: AtomicU64,
    /// What somebody else keeps.
    foreign: OnceLock<Arc<dyn ForeignKept>>,
    /// Only one sweep at a time.
    sweeping: tokio::sync::Mutex<()>,
}

/// Builds images. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Builder {
    shared: Arc<Shared>,
}

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Built {
    /// The image, if one was asked for.
    pub image: Option<ImageId>,
    /// The names that it got.
    pub names: Vec<hyperbox_types::ImageReference>,
}

/// What something kept is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptKind {
    /// The layer of a step.
    Layer,
    /// The directory of a cache mount.
    CacheMount,
    /// Files of a client's directory.
    Context,
}

impl KeptKind {
    /// Returns what BuildKit's clients call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Layer => "regular",
            Self::CacheMount => "exec.cachemount",
            Self::Context => "source.local",
        }
    }

    /// Tells whether builds change what there is.
    pub fn is_mutable(self) -> bool {
        self != Self::Layer
    }
}

/// Something that is kept between builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What names it.
    pub id: String,
    /// What it is.
    pub kind: KeptKind,
    /// For people: the step that made it.
    pub description: String,
    /// What it occupies.
    pub size: ByteSize,
    /// Whether a step uses it now.
    pub in_use: bool,
    /// Whether an image has it too: then nothing is gained by removing it.
    pub shared: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
    /// How often it was used.
    pub uses: u64,
}

/// What a door keeps between builds for its clients: it is listed and removed with everything else.
pub trait ForeignKept: Send + Sync + std::fmt::Debug {
    /// Lists it.
    fn kept(&self) -> Vec<Kept>;

    /// Removes one by its name; returns what that frees, nothing for what is not there. What builds read of it stays until they are
    /// done. Blocks.
    fn remove(&self, id: &str) -> Option<ByteSize>;
}

/// What to remove of what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneOptions {
    /// Also what images have too.
    pub all: bool,
    /// So much may stay; `None` removes all.
    pub keep: Option<ByteSize>,
    /// What was used in this time stays.
    pub unused_for: Option<Duration>,
    /// Only what is named so; empty is everything.
    pub ids: Vec<String>,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrunedCache {
    /// The names of what went.
    pub ids: Vec<String>,
    /// Bytes on the disk.
    pub reclaimed: ByteSize,
}

impl Builder {
    /// Reads the cache and says to the image service what it holds; to be called before that collects anything.
    ///
    /// # Errors
    /// Those of the record store.
    pub fn open(with: BuilderDependencies) -> Result<Self, ServiceError> {
        let cache = Cache::open(with.records)
            .map_err(|error| ServiceError::from_mechanism("cannot read the build cache", error.kind, error))?;
        let cache = Arc::new(cache);
        let held = Arc::clone(&cache);
        with.images.set_holder(Box::new(move || held.layers()));
        let shared = Shared {
            images: with.images,
            cache,
            files: with.files,
            runs: with.runs,
            flights: Flights::default(),
            digests: Digests::default(),
            retention: with.retention,
            looked_at: AtomicI64::new(0),
            next_build: AtomicU64::new(0),
            foreign: OnceLock::new(),
            sweeping: tokio::sync::Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Builds. Dropping the future cancels the build.
    ///
    /// # Errors
    /// What is wrong with the request, the Dockerfile or the context; the first step that failed; those of the engine.
    pub async fn build(&self, request: BuildRequest, events: EventSender) -> Result<Built, BuildError> {
        self.build_base(request, events).await.map(|(built, _)| built)
    }

    /// Builds, and keeps the result as long as others may build upon it.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub async fn build_base(
        &self,
        request: BuildRequest,
        events: EventSender,
    ) -> Result<(Built, BuiltBase), BuildError> {
        let built = work::build(&self.shared, request, events).await;
        if let Err(error) = self.shared.cache.flush() {
            tracing::warn!(%error, "it is not recorded which steps were used");
        }
        self.sweep_later();
        built
    }
}
