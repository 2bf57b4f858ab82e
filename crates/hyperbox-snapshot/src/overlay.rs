// SPDX-License-Identifier: MIT
//! The overlay snapshotter: layers in one of two forms, joined by overlayfs.
//!
//! ```text
//! ROOT/                          mode 0700, like everything that is not part of a layer
//!   layers/<32 hex digits>/      a committed layer, named by the beginning of its diff id
//!     layer.json                 its form, whole diff id and size (see `layout::Facts`)
//!     diff/                      as a directory: its tree, a lower directory of overlayfs
//!     layer.tar                  as an index: its uncompressed tar …
//!     index.erofs                … and the EROFS image of its tree, whose data are in the tar
//!     odd.data                   … and data that the tar has at odd places, rarely there
//!     objects.list, rest.zst     instead of the tar when its files are in packs (see `packed/mod.rs`)
//!   staging/<random>/            layers being unpacked, with the same content
//!   active/<container id>/       upper/ and work/ of one container
//!   trash/<random>               what is being deleted
//!   ahead/<random>/{upper,work}  writable parts that no container has yet
//!   objects/, graves/            packs with the files of several layers, and layers that left them
//!   empty/                       the lower directory of an image without layers
//!   scaffold/                    the lowest directory of every container: what the engine mounts on, and `.dockerenv`
//! ```
//!
//! Names are short because `mount(2)` takes all options of an overlay in one page; whole diff ids are compared from memory.
//! Each layer tells its own form, and both can be joined in one overlay; the [`Settings`] say which form new ones get. Committing
//! a layer that is there in the other form converts it, in one step. Indexed layers are mounted by `mounts.rs`.
//!
//! **Commit point** of a layer: the rename from `staging` to `layers`, after what was staged is on the disk; then the directory is
//! synced. So a layer that is visible is complete, also after power was lost. **Removal** is a rename into `trash`. What a crash
//! leaves in `staging` and `trash` is deleted in the background by the next [`OverlaySnapshotter::open`].
//!
//! One process owns ROOT (the daemon locks its own root); inside it, everything may be called from any thread. Committed layers
//! are known in memory, so that preparing a container reads nothing.

mod form;
mod layout;
mod mounts;
mod opened;
mod packed;
mod probe;
mod scaffold;
mod spares;
mod stage;
mod verify;
mod writable;

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use hyperbox_core::seam::{
    ActiveKey, FileChange, FileStream, LayerCheck, LayerOptimizer, SnapshotError, Snapshotter, StagedLayer, Usage,
};
use hyperbox_types::{ByteSize, ContainerId, DiffId, RootMount, WritableLayer};
use rustix::fs::CWD;

pub use self::form::LayerForm;
use self::layout::{Facts, IndexedFiles, Layout};
pub use self::mounts::MountPlace;
use self::mounts::Mounts;
use self::opened::Opened;
use self::packed::Packed;
pub use self::probe::{probe, probe_erofs};
use self::spares::Spares;
use crate::failure::on_path;
use crate::trash::Trash;
use crate::unpack::Limits;

/// How an [`OverlaySnapshotter`] works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The form that new layers get. Those that are there keep theirs.
    pub form: LayerForm,
    /// Where indexed layers are mounted: what [`probe_erofs`] found.
    pub mounts: MountPlace,
    /// What layer archives may ask for.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            form: LayerForm::Directory,
            mounts: MountPlace::Detached,
            limits: Limits::default(),
        }
    }
}

/// Keeps layers and writable parts of containers.
#[derive(Debug)]
pub struct OverlaySnapshotter {
    state: Arc<State>,
}

/// What snapshotter and staged layers share.
#[derive(Debug)]
struct State {
    layout: Layout,
    form: LayerForm,
    limits: Limits,
    mounts: Mounts,
    /// Committed layers. Changed after the disk when a layer appears, before it when one goes.
    layers: RwLock<HashMap<DiffId, Facts>>,
    trash: Trash,
    spares: Arc<Spares>,
    packed: Packed,
}

impl OverlaySnapshotter {
    /// Opens the directory, made if it is missing, and starts to delete what an earlier process left unfinished.
    ///
    /// # Errors
    /// I/O classes.
    pub fn open(root: &Path, settings: Settings) -> Result<Self, SnapshotError> {
        let layout = Layout::create(root)?;
        let mounts = Mounts::open(settings.mounts).map_err(|error| on_path("mount layers of", root, error))?;
        let (layers, unusable) = layout.load_layers()?;
        scaffold::complete(&layout.scaffold()).map_err(|error| on_path("make", &layout.scaffold(), error))?;
        let spares = Arc::new(Spares::new(layout.ahead()));
        let filled = Arc::clone(&spares);
        let chore = move || filled.fill();
        let state = State {
            form: settings.form,
            limits: settings.limits,
            mounts,
            layers: RwLock::new(layers),
            trash: Trash::new(layout.trash(), Box::new(chore)),
            spares,
            packed: Packed::new(layout.objects(), layout.layers(), layout.graves()),
            layout,
        };
        let ahead = layout::entries(&state.layout.ahead())?;
        for path in state.layout.staged()?.into_iter().chain(unusable).chain(ahead) {
            state.discard(&path).map_err(|error| on_path("discard", &path, error))?;
        }
        state.trash.empty();
        let resumed = state.packed.resume();
        resumed.map_err(|error| on_path("look into", &state.layout.graves(), error))?;
        Ok(Self { state: Arc::new(state) })
    }

    /// Lists the layers that have another form than new ones get.
    pub fn layers_in_other_form(&self) -> Vec<DiffId> {
        let layers = self.state.layers.read().unwrap_or_else(PoisonError::into_inner);
        let others = layers.values().filter(|facts| facts.form != self.state.form);
        others.map(|facts| facts.diff_id.clone()).collect()
    }
}

impl State {
    /// The committed layers. While this is held none goes or changes its form.
    fn committed(&self) -> RwLockReadGuard<'_, HashMap<DiffId, Facts>> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a layer's directory, committed or staged, out of sight; it is deleted in the background, when nobody reads from it.
    fn discard(&self, directory: &Path) -> std::io::Result<()> {
        if IndexedFiles::of(directory).list.exists() {
            return self.packed.bury(directory);
        }
        self.trash.discard(directory).map(drop)
    }

    /// The files that hold data, in the order of the index's devices.
    fn devices(&self, files: &IndexedFiles, facts: &Facts) -> Vec<PathBuf> {
        let odd = facts.odd_data.then(|| files.odd.clone());
        let data = match &facts.packed {
            None => vec![files.tar.clone()],
            Some(packed) => {
                let packs = self.packed.packs();
                packed.packs.iter().map(|number| packs.path(*number)).collect()
            }
        };
        data.into_iter().chain(odd).collect()
    }

    fn facts(&self, layer: &DiffId) -> Result<Facts, SnapshotError> {
        self.committed()
            .get(layer)
            .cloned()
            .ok_or_else(|| SnapshotError::LayerNotFound { layer: layer.clone() })
    }

    /// Returns where a layer's tree is, and whether it hides those below.
    fn tree(&self, layer: &DiffId) -> Result<(PathBuf, bool), SnapshotError> {
        // Held until it is mounted.
        let layers = self.committed();
        let facts = layers.get(layer);
        let facts = facts.ok_or_else(|| SnapshotError::LayerNotFound { layer: layer.clone() })?;
        let tree = match facts.form {
            LayerForm::Directory => self.layout.diff(layer),
            LayerForm::Erofs => {
                let files = IndexedFiles::of(&self.layout.layer(layer));
                let devices = self.devices(&files, facts);
                let path = self.mounts.path(facts, &files.index, &devices);
                path.map_err(|error| on_path("mount the layer of", &files.index, error))?
            }
        };
        Ok((tree, facts.opaque_root))
    }

    /// Returns the lower directories, topmost first. Below a layer whose root is opaque nothing is seen.
    fn lower(&self, layers: &[DiffId]) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut lower = Vec::with_capacity(layers.len());
        let mut hidden = false;
        for layer in layers.iter().rev() {
            if hidden {
                // It is not seen, but it has to be there.
                self.facts(layer)?;
                continue;
            }
            let (tree, opaque_root) = self.tree(layer)?;
            // A layer that comes again hides all of itself further down, and overlayfs takes no directory twice (`ELOOP`).
            if lower.contains(&tree) {
                continue;
            }
            lower.push(tree);
            hidden = opaque_root;
        }
        Ok(lower)
    }

    /// Returns the lower directories of a container: those of its layers, then the scaffold.
    fn lower_of_container(&self, layers: &[DiffId]) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut lower = self.lower(layers)?;
        lower.push(self.layout.scaffold());
        Ok(lower)
    }

    fn recipe(&self, key: &ContainerId, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        let (upper, work) = self.layout.writable(key);
        Ok(RootMount::Overlay {
            lower: self.lower_of_container(layers)?,
            writable: Some(WritableLayer {
                upper,
                work,
                volatile: false,
            }),
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
        // What joins layers is overlayfs, whatever they are; Docker's clients know this name.
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
                state.mounts.forget(&layer);
                let path = state.layout.layer(&layer);
                state.discard(&path).map_err(|error| on_path("remove", &path, error))?;
            }
            Ok(())
        })
        .await
    }

    fn optimizer(&self) -> Option<&dyn LayerOptimizer> {
        Some(self)
    }

    async fn verify_layer(
        &self,
        layer: &DiffId,
        archive: Option<Box<dyn Read + Send>>,
    ) -> Result<LayerCheck, SnapshotError> {
        let (state, layer) = (Arc::clone(&self.state), layer.clone());
        blocking(move || verify::verify(state, &layer, archive)).await
    }

    fn has_archive(&self, layer: &DiffId) -> bool {
        matches!(self.state.facts(layer), Ok(facts) if facts.form != LayerForm::Directory)
    }

    fn keeps_archives(&self) -> bool {
        self.state.form != LayerForm::Directory
    }

    fn archive(&self, layer: &DiffId) -> Option<std::fs::File> {
        if !self.has_archive(layer) {
            return None;
        }
        let opened = Opened::open(&self.state, layer).ok()?.ok()?;
        opened.data.into_file(&self.state.layout.staging()).ok()
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
        // The scaffold comes last; above it the topmost layer is first.
        let top = match &recipe {
            RootMount::Overlay { lower, .. } if !layers.is_empty() => lower.first(),
            _ => None,
        };
        let state = &self.state;
        state
            .layout
            .create_writable(&key.0, top.map(PathBuf::as_path), &state.spares)?;
        // Whoever deletes makes the next one as well.
        state.trash.empty();
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
                // What Docker counts: the overlay's own directories are no content.
                size: ByteSize(usage.content),
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
