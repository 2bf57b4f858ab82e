// SPDX-License-Identifier: MIT
//! Steps as they are carried out, and who carries them out.
//!
//! By the time that a step gets here everything is evaluated: variables, defaults, relative paths. The solver ([`crate`]) decides
//! whether it is carried out at all; a runner only does it, and knows nothing of keys and caches.
//!
//! **Life of a step.** The solver asks for the digests of what the step reads, looks into the cache, and if nothing is there calls the
//! runner once for all builds that wait for it. The runner makes the layer as a tar and hands it to [`LayerSink`], which stores it and
//! protects it. The future of a runner is *not* dropped in the middle: who has to stop is told by [`StepContext::cancel`], and
//! returns [`StepError::Cancelled`] soon, when nothing of the step is left. What a crash leaves is swept when the runner is made.

mod file;
mod process;

use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::image::ImageLayer;
use hyperbox_core::seam::FileStream;
use hyperbox_core::time::Timestamp;
use hyperbox_types::{ByteSize, DiffId};
use tokio_util::sync::CancellationToken;

pub use file::{AddFile, CopySource, CopyStep, FileOwner, FileStep, MakeDirectory, Unpacking};
pub use process::{BindMount, CacheMount, MountSource, RunFile, RunMount, RunStep, SecretMount, SshMount, TmpfsMount};

use crate::context::Tree;
use crate::request::{ContextSource, RegistryAccess, Secrets, SshAgents};
use crate::{StepError, StepReporter};

/// What a step has besides its own instruction. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StepContext {
    /// Tells what happens.
    pub reporter: StepReporter,
    /// Tells that nobody waits any more.
    pub cancel: CancellationToken,
    /// Where its layer goes.
    pub layers: Arc<dyn LayerSink>,
    /// No file of the layer is younger; `None` leaves times as they are.
    pub source_date_epoch: Option<Timestamp>,
    /// Asked for secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Asked for SSH agents.
    pub ssh: Arc<dyn SshAgents>,
    /// Asked for credentials of registries.
    pub registries: Arc<dyn RegistryAccess>,
    /// Whether a context from a repository has its `.git`.
    pub keeps_git_directory: bool,
}

/// Stores layers that steps make: in the content store and, unpacked, in the snapshotter. What it returns is protected from collection
/// as long as the build goes on.
#[async_trait]
pub trait LayerSink: Send + Sync + std::fmt::Debug {
    /// Stores the layer that is read here, an uncompressed tar, to its end.
    ///
    /// # Errors
    /// Those of the reader and of the stores.
    async fn store_reader(&self, tar: Box<dyn std::io::Read + Send>) -> Result<ImageLayer, StepError>;

    /// Stores a layer that arrives as a stream.
    ///
    /// # Errors
    /// Those of the stream and of the stores.
    async fn store_stream(&self, tar: FileStream) -> Result<ImageLayer, StepError>;
}

/// Carries out COPY, ADD and what else only changes files, and opens what they read.
#[async_trait]
pub trait FileSteps: Send + Sync + std::fmt::Debug {
    /// Makes a tree of a context. What it had to spool goes when the tree is dropped.
    ///
    /// # Errors
    /// `InvalidArgument` for hostile and malformed archives, `NotFound` and `Unavailable` for addresses.
    async fn open_context(&self, source: ContextSource, with: &StepContext) -> Result<Arc<dyn Tree>, StepError>;

    /// Makes a tree of committed layers, lowest first; they are protected by the caller.
    ///
    /// # Errors
    /// `NotFound` when one is missing.
    async fn open_layers(&self, layers: &[DiffId]) -> Result<Arc<dyn Tree>, StepError>;

    /// Finds out what file is behind an address now: the SHA-256 of it. What has to be fetched for that is kept for
    /// [`FileSteps::run`]. `None` for repositories, whose commit [`FileSteps::digest`] looks up.
    ///
    /// # Errors
    /// `NotFound` and `Unavailable` in BuildKit's words.
    async fn look_up(&self, address: &str, with: &StepContext) -> Result<Option<[u8; 32]>, StepError>;

    /// Returns the digest of all that a step reads, by content and by metadata that get into the layer: never times. Patterns are
    /// resolved; names in the layer count as they are. Of a file of the web the content counts that was looked up, or the checksum.
    ///
    /// # Errors
    /// `NotFound` in BuildKit's words for sources that match nothing.
    async fn digest(&self, step: &FileStep, with: &StepContext) -> Result<[u8; 32], StepError>;

    /// Returns the digest of what is at a path of a tree and below, for bind mounts; links on the way are followed inside.
    ///
    /// # Errors
    /// `NotFound` when nothing is there.
    async fn digest_path(&self, tree: &Arc<dyn Tree>, path: &str, with: &StepContext) -> Result<[u8; 32], StepError>;

    /// Carries the step out on a root filesystem of `root` layers, lowest first (which a step with `link` does not look at).
    ///
    /// # Errors
    /// As [`FileSteps::digest`], and those of the stores.
    async fn run(&self, step: &FileStep, root: &[DiffId], with: &StepContext) -> Result<ImageLayer, StepError>;
}

/// Carries out RUN.
#[async_trait]
pub trait RunSteps: Send + Sync + std::fmt::Debug {
    /// Runs the process in a root filesystem of `root` layers, lowest first, and makes a layer of what it changed.
    ///
    /// # Errors
    /// [`StepError::Exit`]; `NotFound` for a required secret; those of the engine.
    async fn run(&self, step: &RunStep, root: &[DiffId], with: &StepContext) -> Result<ImageLayer, StepError>;

    /// Lists the directories of cache mounts.
    ///
    /// # Errors
    /// I/O classes.
    async fn caches(&self) -> Result<Vec<CacheDirectory>, StepError>;

    /// Removes the directory of a cache mount, unless it is in use; tells whether it is gone.
    ///
    /// # Errors
    /// I/O classes.
    async fn remove_cache(&self, id: &str) -> Result<bool, StepError>;
}

/// The directory of a cache mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDirectory {
    /// What names it among all that the builder keeps: hexadecimal digits.
    pub id: String,
    /// For people: the id of the mount and where it is mounted.
    pub description: String,
    /// What it occupies.
    pub size: ByteSize,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
    /// How often it was used.
    pub uses: u64,
    /// Whether a step uses it now.
    pub in_use: bool,
}
