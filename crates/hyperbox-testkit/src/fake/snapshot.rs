// SPDX-License-Identifier: MIT
//! Layers as plain directories in a temporary directory.

mod optimizer;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyperbox_core::seam::{
    ActiveKey, FileChange, FileChangeKind, FileStream, LayerCheck, LayerOptimizer, SnapshotError, Snapshotter,
    StagedLayer, Usage,
};
use hyperbox_types::{ByteSize, ContainerId, DiffId, Digest, RootMount, WritableLayer};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use self::optimizer::Archives;
use super::fault::{Faults, lock};

/// A [`Snapshotter`] that unpacks files, directories and links, and leaves out owners, devices, xattrs and whiteouts.
#[derive(Debug, Clone)]
pub struct FakeSnapshotter {
    root: Arc<TempDir>,
    layers: Arc<Mutex<BTreeMap<DiffId, Usage>>>,
    faults: Faults<SnapshotError>,
    archives: Arc<Archives>,
}

impl FakeSnapshotter {
    /// Makes a snapshotter with a directory of its own, removed with the last clone.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn new() -> Self {
        let root = TempDir::new().expect("temporary directory");
        for name in ["layers", "active"] {
            fs::create_dir(root.path().join(name)).expect("directory below the temporary one");
        }
        Self {
            root: Arc::new(root),
            layers: Arc::default(),
            faults: Faults::default(),
            archives: Arc::default(),
        }
    }

    /// Makes the next [`Snapshotter::stage_layer`] fail as if the disk were full.
    pub fn fail_next_stage(&self) {
        self.faults.push(SnapshotError::Io {
            operation: "write",
            path: self.root.path().display().to_string(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        });
    }

    fn layer_path(&self, layer: &DiffId) -> PathBuf {
        self.root.path().join("layers").join(layer.0.hex())
    }

    fn active_path(&self, key: &ActiveKey) -> PathBuf {
        self.root.path().join("active").join(key.0.as_str())
    }

    fn topmost_first(&self, layers: &[DiffId]) -> Result<Vec<PathBuf>, SnapshotError> {
        if let Some(layer) = layers.iter().find(|layer| !self.has_layer(layer)) {
            return Err(SnapshotError::LayerNotFound { layer: layer.clone() });
        }
        Ok(layers.iter().rev().map(|layer| self.layer_path(layer)).collect())
    }

    fn recipe(&self, layers: &[DiffId], writable: Option<&ActiveKey>) -> Result<RootMount, SnapshotError> {
        let lower = self.topmost_first(layers)?;
        Ok(match (writable.map(|key| self.active_path(key)), lower.is_empty()) {
            (Some(active), true) => RootMount::Bind {
                source: active.join("upper"),
                read_only: false,
            },
            (None, true) => RootMount::Bind {
                source: self.root.path().join("active"),
                read_only: true,
            },
            (active, false) => RootMount::Overlay {
                lower,
                writable: active.map(|active| WritableLayer {
                    upper: active.join("upper"),
                    work: active.join("work"),
                    volatile: false,
                }),
            },
        })
    }
}

impl Default for FakeSnapshotter {
    fn default() -> Self {
        Self::new()
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.display().to_string();
    move |source| SnapshotError::Io {
        operation,
        path,
        source,
    }
}

#[async_trait]
impl Snapshotter for FakeSnapshotter {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn has_layer(&self, layer: &DiffId) -> bool {
        lock(&self.layers).contains_key(layer)
    }

    fn has_archive(&self, layer: &DiffId) -> bool {
        self.archives.looks.fetch_add(1, Ordering::SeqCst);
        self.keeps_archives() && self.has_layer(layer)
    }

    fn keeps_archives(&self) -> bool {
        self.archives.kept.load(Ordering::SeqCst)
    }

    fn optimizer(&self) -> Option<&dyn LayerOptimizer> {
        self.keeps_archives().then_some(self)
    }

    async fn stage_layer(&self, stream: Box<dyn Read + Send>) -> Result<Box<dyn StagedLayer>, SnapshotError> {
        self.faults.check()?;
        let snapshotter = self.clone();
        let staging = tokio::task::spawn_blocking(move || stage(snapshotter, stream));
        let staged = staging.await.map_err(|panic| SnapshotError::Archive {
            reason: panic.to_string(),
            source: None,
        })??;
        Ok(Box::new(staged))
    }

    async fn remove_layer(&self, layer: &DiffId) -> Result<(), SnapshotError> {
        tokio::task::yield_now().await;
        lock(&self.layers).remove(layer);
        remove_tree(&self.layer_path(layer))
    }

    async fn verify_layer(
        &self,
        layer: &DiffId,
        archive: Option<Box<dyn Read + Send>>,
    ) -> Result<LayerCheck, SnapshotError> {
        if !self.has_layer(layer) {
            return Err(SnapshotError::LayerNotFound { layer: layer.clone() });
        }
        let damaged = |reason: &str| LayerCheck::Damaged {
            reason: reason.to_owned(),
        };
        let Ok(found) = contents(&self.layer_path(layer)) else {
            return Ok(damaged("its directory cannot be read"));
        };
        let Some(archive) = archive else {
            return Ok(LayerCheck::Plausible {
                compared: "that its directory is there",
            });
        };
        let staged = stage(self.clone(), archive)?;
        if staged.diff_id != *layer {
            return Err(SnapshotError::Archive {
                reason: format!("it is not the archive of layer {layer}"),
                source: None,
            });
        }
        Ok(if contents(staged.aside.path())? == found {
            LayerCheck::Intact
        } else {
            damaged("its files differ")
        })
    }

    async fn layers(&self) -> Result<Vec<(DiffId, Usage)>, SnapshotError> {
        tokio::task::yield_now().await;
        Ok(lock(&self.layers)
            .iter()
            .map(|(layer, usage)| (layer.clone(), *usage))
            .collect())
    }

    async fn prepare(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        tokio::task::yield_now().await;
        let recipe = self.recipe(layers, Some(key))?;
        for name in ["upper", "work"] {
            let path = self.active_path(key).join(name);
            fs::create_dir_all(&path).map_err(failed("create", &path))?;
        }
        Ok(recipe)
    }

    fn mount(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        require_active(&self.active_path(key), key)?;
        self.recipe(layers, Some(key))
    }

    fn view(&self, layers: &[DiffId]) -> Result<RootMount, SnapshotError> {
        self.recipe(layers, None)
    }

    async fn remove(&self, key: &ActiveKey) -> Result<(), SnapshotError> {
        tokio::task::yield_now().await;
        remove_tree(&self.active_path(key))
    }

    fn active(&self) -> Result<Vec<ActiveKey>, SnapshotError> {
        let path = self.root.path().join("active");
        let mut keys = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed("read", &path))? {
            let entry = entry.map_err(failed("read", &path))?;
            if let Ok(container) = ContainerId::parse(&entry.file_name().to_string_lossy()) {
                keys.push(ActiveKey(container));
            }
        }
        Ok(keys)
    }

    async fn usage(&self, key: &ActiveKey) -> Result<Usage, SnapshotError> {
        tokio::task::yield_now().await;
        require_active(&self.active_path(key), key)?;
        measure(&self.active_path(key).join("upper"))
    }

    async fn changes(&self, key: &ActiveKey, layers: &[DiffId]) -> Result<Vec<FileChange>, SnapshotError> {
        tokio::task::yield_now().await;
        require_active(&self.active_path(key), key)?;
        let lower = self.topmost_first(layers)?;
        let upper = self.active_path(key).join("upper");
        let mut changes = Vec::new();
        walk(&upper, &mut |path, _| {
            let relative = path.strip_prefix(&upper).unwrap_or(path);
            let existed = lower
                .iter()
                .any(|layer| layer.join(relative).symlink_metadata().is_ok());
            changes.push(FileChange {
                path: Path::new("/").join(relative),
                kind: if existed {
                    FileChangeKind::Modified
                } else {
                    FileChangeKind::Added
                },
            });
        })?;
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(changes)
    }

    async fn pack_changes(&self, key: &ActiveKey) -> Result<FileStream, SnapshotError> {
        tokio::task::yield_now().await;
        require_active(&self.active_path(key), key)?;
        let upper = self.active_path(key).join("upper");
        let mut builder = tar::Builder::new(Vec::new());
        builder.follow_symlinks(false);
        builder.append_dir_all("", &upper).map_err(failed("read", &upper))?;
        let bytes = builder.into_inner().map_err(failed("read", &upper))?;
        Ok(Box::pin(futures_util::stream::iter([Ok(bytes.into())])))
    }
}

fn require_active(path: &Path, key: &ActiveKey) -> Result<(), SnapshotError> {
    if path.is_dir() {
        Ok(())
    } else {
        Err(SnapshotError::ActiveNotFound {
            container: key.0.clone(),
        })
    }
}

fn remove_tree(path: &Path) -> Result<(), SnapshotError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn measure(path: &Path) -> Result<Usage, SnapshotError> {
    let mut usage = Usage::default();
    walk(path, &mut |_, metadata| {
        usage.inodes += 1;
        usage.size.0 += if metadata.is_file() { metadata.len() } else { 0 };
    })?;
    Ok(usage)
}

fn walk(path: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata)) -> Result<(), SnapshotError> {
    for entry in fs::read_dir(path).map_err(failed("read", path))? {
        let entry = entry.map_err(failed("read", path))?;
        let metadata = entry.metadata().map_err(failed("read", path))?;
        visit(&entry.path(), &metadata);
        if metadata.is_dir() {
            walk(&entry.path(), visit)?;
        }
    }
    Ok(())
}

/// Reads all files of a tree.
fn contents(root: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, SnapshotError> {
    let mut files = BTreeMap::new();
    walk(root, &mut |path, metadata| {
        let bytes = if metadata.is_file() {
            fs::read(path).unwrap_or_default()
        } else {
            Vec::new()
        };
        files.insert(path.strip_prefix(root).unwrap_or(path).to_owned(), bytes);
    })?;
    Ok(files)
}

/// Unpacks one layer aside.
fn stage(snapshotter: FakeSnapshotter, stream: Box<dyn Read + Send>) -> Result<FakeStaged, SnapshotError> {
    let refused = |source: io::Error| SnapshotError::Archive {
        reason: "malformed archive".to_owned(),
        source: Some(source),
    };
    let aside = tempfile::Builder::new()
        .prefix("staged-")
        .tempdir_in(snapshotter.root.path())
        .map_err(failed("create", snapshotter.root.path()))?;
    let mut hashing = Hashing {
        inner: decompressed(stream).map_err(refused)?,
        hash: Sha256::new(),
        length: 0,
    };
    let mut archive = tar::Archive::new(&mut hashing);
    for entry in archive.entries().map_err(refused)? {
        let mut entry = entry.map_err(refused)?;
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_dir() || kind.is_symlink() || kind.is_hard_link() {
            // `unpack_in` skips, rather than refuses, what would leave the directory.
            if !entry.unpack_in(aside.path()).map_err(refused)? {
                return Err(SnapshotError::Archive {
                    reason: format!("{}: outside the root", String::from_utf8_lossy(&entry.path_bytes())),
                    source: None,
                });
            }
        }
    }
    io::copy(&mut hashing, &mut io::sink()).map_err(refused)?;
    Ok(FakeStaged {
        diff_id: DiffId(Digest::from_sha256(hashing.hash.finalize().into())),
        size: ByteSize(hashing.length),
        aside,
        snapshotter,
    })
}

/// Finds the compression by its magic bytes.
fn decompressed(mut stream: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    stream.by_ref().take(4).read_to_end(&mut magic)?;
    let gzip = magic.starts_with(&[0x1f, 0x8b]);
    let zstd = magic == [0x28, 0xb5, 0x2f, 0xfd];
    let whole = io::Cursor::new(magic).chain(stream);
    Ok(if gzip {
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else if zstd {
        Box::new(zstd::stream::read::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    })
}

struct Hashing {
    inner: Box<dyn Read + Send>,
    hash: Sha256,
    length: u64,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.length += count as u64;
        Ok(count)
    }
}

#[derive(Debug)]
struct FakeStaged {
    diff_id: DiffId,
    size: ByteSize,
    aside: TempDir,
    snapshotter: FakeSnapshotter,
}

impl StagedLayer for FakeStaged {
    fn diff_id(&self) -> &DiffId {
        &self.diff_id
    }

    fn size(&self) -> ByteSize {
        self.size
    }

    fn commit(self: Box<Self>) -> Result<(), SnapshotError> {
        let table = Arc::clone(&self.snapshotter.layers);
        let mut layers = lock(&table);
        if layers.contains_key(&self.diff_id) {
            return Ok(());
        }
        self.put(&mut layers)
    }

    fn replace(self: Box<Self>) -> Result<(), SnapshotError> {
        let table = Arc::clone(&self.snapshotter.layers);
        let mut layers = lock(&table);
        layers.remove(&self.diff_id);
        remove_tree(&self.snapshotter.layer_path(&self.diff_id))?;
        self.put(&mut layers)
    }
}

impl FakeStaged {
    fn put(self, layers: &mut BTreeMap<DiffId, Usage>) -> Result<(), SnapshotError> {
        let usage = measure(self.aside.path())?;
        let target = self.snapshotter.layer_path(&self.diff_id);
        let aside = self.aside.keep();
        fs::rename(&aside, &target).map_err(failed("rename", &aside))?;
        layers.insert(self.diff_id, usage);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container_id;

    fn archive(name: &str) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(5);
        header.set_mode(0o644);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, &b"hello"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    #[tokio::test]
    async fn staged_layers_are_invisible_until_committed() {
        let snapshotter = FakeSnapshotter::new();
        let staged = snapshotter
            .stage_layer(Box::new(io::Cursor::new(archive("a"))))
            .await
            .unwrap();
        let layer = staged.diff_id().clone();
        assert!(!snapshotter.has_layer(&layer));
        staged.commit().unwrap();
        let key = ActiveKey(container_id());
        let RootMount::Overlay { lower, writable } = snapshotter.prepare(&key, &[layer]).await.unwrap() else {
            panic!("an overlay was expected");
        };
        assert_eq!(fs::read(lower[0].join("a")).unwrap(), b"hello");
        fs::write(writable.unwrap().upper.join("b"), "x").unwrap();
        assert_eq!(snapshotter.usage(&key).await.unwrap().inodes, 1);
        snapshotter.remove(&key).await.unwrap();
        assert!(snapshotter.active().unwrap().is_empty());
    }

    #[tokio::test]
    async fn escaping_names_are_refused() {
        let snapshotter = FakeSnapshotter::new();
        let stream = Box::new(io::Cursor::new(archive("../a")));
        assert!(matches!(
            snapshotter.stage_layer(stream).await,
            Err(SnapshotError::Archive { .. })
        ));
        assert!(snapshotter.layers().await.unwrap().is_empty());
    }
}
