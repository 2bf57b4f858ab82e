// SPDX-License-Identifier: MIT
//! The overlay snapshotter: one directory per layer, joined by overlayfs.
//!
//! ```text
//! ROOT/                          mode 0700, like everything that is not part of a layer
//!   layers/<32 hex digits>/      a committed layer, named by the beginning of its diff id
//!     diff/                      its tree: a lower directory of overlayfs
//!     layer.json                 its whole diff id and size (see `layout::Facts`)
//!   staging/<random>/            layers being unpacked, with the same content
//!   active/<container id>/       upper/ and work/ of one container
//!   trash/<random>               what is being deleted
//!   empty/                       the lower directory of an image without layers
//!   scaffold/                    the lowest directory of every container: what the engine mounts on, and `.dockerenv`
//! ```
//!
//! Names are short because `mount(2)` takes all options of an overlay in one page; whole diff ids are compared from memory.
//!
//! **Commit point** of a layer: the rename from `staging` to `layers`, after the filesystem was synced once; then the directory
//! is synced. So a layer that is visible is complete, also after power was lost, and one syncfs(2) instead of one fsync(2) per
//! file is paid for it. **Removal** is a rename into `trash`. What a crash leaves in `staging` and `trash` is deleted in the
//! background by the next [`OverlaySnapshotter::open`].
//!
//! One process owns ROOT (the daemon locks its own root); inside it, everything may be called from any thread. Committed layers
//! are known in memory, so that preparing a container reads nothing.

mod layout;
mod probe;
mod scaffold;
mod stage;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use hyperbox_core::seam::{ActiveKey, FileChange, FileStream, SnapshotError, Snapshotter, StagedLayer, Usage};
use hyperbox_types::{ByteSize, ContainerId, DiffId, RootMount, WritableLayer};
use rustix::fs::CWD;

use self::layout::{Facts, Layout};
pub use self::probe::probe;
use crate::failure::on_path;
use crate::trash::Trash;
use crate::unpack::Limits;

/// Keeps layers and writable parts as directories.
#[derive(Debug)]
pub struct OverlaySnapshotter {
    state: Arc<State>,
}

/// What snapshotter and staged layers share.
#[derive(Debug)]
struct State {
    layout: Layout,
    limits: Limits,
    /// Committed layers. Changed after the disk when a layer appears, before it when one goes.
    layers: RwLock<HashMap<DiffId, Facts>>,
    trash: Trash,
}

impl OverlaySnapshotter {
    /// Opens the directory, made if it is missing, and starts to delete what an earlier process left unfinished.
    ///
    /// # Errors
    /// I/O classes.
    pub fn open(root: &Path) -> Result<Self, SnapshotError> {
        Self::open_with_limits(root, Limits::default())
    }

    /// [`OverlaySnapshotter::open`] with other limits for layer archives.
    ///
    /// # Errors
    /// I/O classes.
    pub fn open_with_limits(root: &Path, limits: Limits) -> Result<Self, SnapshotError> {
        let layout = Layout::create(root)?;
        let trash = Trash::new(layout.trash());
        let (layers, unusable) = layout.load_layers()?;
        scaffold::complete(&layout.scaffold()).map_err(|error| on_path("make", &layout.scaffold(), error))?;
        for path in layout.staged()?.into_iter().chain(unusable) {
            trash.discard(&path).map_err(|error| on_path("discard", &path, error))?;
        }
        trash.empty();
        Ok(Self {
            state: Arc::new(State {
                layout,
                limits,
                layers: RwLock::new(layers),
                trash,
            }),
        })
    }
}

impl State {
    fn facts(&self, layer: &DiffId) -> Result<Facts, SnapshotError> {
        let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner);
        layers
            .get(layer)
            .cloned()
            .ok_or_else(|| SnapshotError::LayerNotFound { layer: layer.clone() })
    }

    /// Returns the lower directories, topmost first. Below a layer whose root is opaque nothing is seen.
    fn lower(&self, layers: &[DiffId]) -> Result<Vec<std::path::PathBuf>, SnapshotError> {
        let mut lower = Vec::with_capacity(layers.len());
        let mut hidden = false;
        for layer in layers.iter().rev() {
            let facts = self.facts(layer)?;
            if !hidden {
                lower.push(self.layout.diff(layer));
            }
            hidden |= facts.opaque_root;
        }
        Ok(lower)
    }

    /// Returns the lower directories of a container: those of its layers, then the scaffold.
    fn lower_of_container(&self, layers: &[DiffId]) -> Result<Vec<std::path::PathBuf>, SnapshotError> {
        let mut lower = self.lower(layers)?;
        lower.push(self.layout.scaffold());
        Ok(lower)
    }

    fn recipe(&self, key: &ContainerId, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        let (upper, work) = self.layout.writable(key);
        Ok(RootMount::Overlay {
            lower: self.lower_of_container(layers)?,
            writable: Some(WritableLayer { upper, work }),
        })
    }

    fn view(&self, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        let lower = self.lower(layers)?;
        if lower.is_empty() {
            return Ok(RootMount::Bind {
                source: self.layout.empty(),
                read_only: true,
            });
        }
        Ok(RootMount::Overlay { lower, writable: None })
    }

    /// Opens the writable directory of a container.
    fn upper(&self, key: &ContainerId) -> Result<std::os::fd::OwnedFd, SnapshotError> {
        let (upper, _) = self.layout.writable(key);
        hyperbox_sys::tree::open_directory(CWD, &upper).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SnapshotError::ActiveNotFound { container: key.clone() },
            _ => on_path("open", &upper, error),
        })
    }
}

#[async_trait]
impl Snapshotter for OverlaySnapshotter {
    fn name(&self) -> &'static str {
        "overlay2"
    }

    fn has_layer(&self, layer: &DiffId) -> bool {
        self.state.facts(layer).is_ok()
    }

    async fn stage_layer(&self, stream: Box<dyn Read + Send>) -> Result<Box<dyn StagedLayer>, SnapshotError> {
        let state = Arc::clone(&self.state);
        blocking(move || stage::stage(state, stream)).await
    }

    async fn remove_layer(&self, layer: &DiffId) -> Result<(), SnapshotError> {
        let (state, layer) = (Arc::clone(&self.state), layer.clone());
        blocking(move || {
            if state
                .layers
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&layer)
                .is_some()
            {
                let path = state.layout.layer(&layer);
                state
                    .trash
                    .discard(&path)
                    .map_err(|error| on_path("remove", &path, error))?;
            }
            Ok(())
        })
        .await
    }

    async fn layers(&self) -> Result<Vec<(DiffId, Usage)>, SnapshotError> {
        let layers = self.state.layers.read().unwrap_or_else(PoisonError::into_inner);
        let usage = |facts: &Facts| Usage {
            size: ByteSize(facts.bytes),
            inodes: facts.inodes,
        };
        Ok(layers
            .iter()
            .map(|(layer, facts)| (layer.clone(), usage(facts)))
            .collect())
    }

    async fn prepare(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        // A handful of system calls on directories: a thread of the blocking pool would cost more than they do.
        let recipe = self.state.recipe(&key.0, layers)?;
        let top = layers.last().map(|layer| self.state.layout.diff(layer));
        self.state.layout.create_writable(&key.0, top.as_deref())?;
        Ok(recipe)
    }

    fn mount(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        self.state.upper(&key.0)?;
        self.state.recipe(&key.0, layers)
    }

    fn view(&self, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        self.state.view(layers)
    }

    async fn remove(&self, key: &ActiveKey) -> Result<(), SnapshotError> {
        let path = self.state.layout.container(&key.0);
        self.state
            .trash
            .discard(&path)
            .map_err(|error| on_path("remove", &path, error))?;
        Ok(())
    }

    fn active(&self) -> Result<Vec<ActiveKey>, SnapshotError> {
        self.state.layout.containers()
    }

    async fn usage(&self, key: &ActiveKey) -> Result<Usage, SnapshotError> {
        let (state, key) = (Arc::clone(&self.state), key.0.clone());
        blocking(move || {
            let usage = hyperbox_sys::tree::usage(state.upper(&key)?)
                .map_err(|error| on_path("measure", &state.layout.container(&key), error))?;
            Ok(Usage {
                size: ByteSize(usage.bytes),
                inodes: usage.inodes,
            })
        })
        .await
    }

    async fn changes(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<Vec<FileChange>, SnapshotError> {
        let (state, key, layers) = (Arc::clone(&self.state), key.0.clone(), layers.to_vec());
        blocking(move || {
            let upper = state.upper(&key)?;
            let failed = |error| on_path("compare", &state.layout.container(&key), error);
            let before = RootMount::Overlay {
                lower: state.lower_of_container(&layers)?,
                writable: None,
            };
            let lower = hyperbox_sys::detached_mount::open(&before).map_err(failed)?;
            crate::changes::changes(upper, &lower).map_err(failed)
        })
        .await
    }

    async fn pack_changes(&self, key: &ActiveKey) -> Result<FileStream, SnapshotError> {
        let upper = self.state.upper(&key.0)?;
        Ok(crate::files::archive_of_layer(upper))
    }
}

/// Runs blocking work on a thread made for it. When the caller stops waiting, the work still ends in order.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, SnapshotError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(SnapshotError::Io {
            operation: "work on",
            path: "a snapshot".to_owned(),
            source: std::io::Error::other(error),
        }),
    }
}
