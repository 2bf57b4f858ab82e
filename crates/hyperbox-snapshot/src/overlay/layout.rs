// SPDX-License-Identifier: MIT
//! Where things are on disk; see the header of [`super`] for the layout and its commit points.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::{ActiveKey, SnapshotError};
use hyperbox_types::{ContainerId, DiffId};
use rustix::fs::{AtFlags, CWD, Mode};
use serde::{Deserialize, Serialize};

use crate::failure::on_path;

/// How many digits of a diff id name its directory: 128 bits.
const DIGITS: usize = 32;

/// What is known of a committed layer; the content of `layer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    /// The whole diff id.
    pub(super) diff_id: DiffId,
    /// Bytes on disk.
    pub(super) bytes: u64,
    /// Inodes.
    pub(super) inodes: u64,
    /// Whether layers below are not seen at all: overlayfs has no such mark for a layer's root.
    pub(super) opaque_root: bool,
}

/// The directories below one root.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes what is missing.
    pub(super) fn create(root: &Path) -> Result<Self, SnapshotError> {
        // Recipes name directories to other processes, whatever their working directory is.
        let root = std::path::absolute(root).map_err(|error| on_path("find", root, error))?;
        let layout = Self { root };
        for path in [
            layout.root.clone(),
            layout.layers(),
            layout.staging(),
            layout.root.join("active"),
            layout.trash(),
            layout.empty(),
        ] {
            create_directory(&path)?;
        }
        Ok(layout)
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(super) fn layer(&self, layer: &DiffId) -> PathBuf {
        self.layers().join(&layer.0.hex()[..DIGITS])
    }

    /// The tree of a committed layer.
    pub(super) fn diff(&self, layer: &DiffId) -> PathBuf {
        self.layer(layer).join("diff")
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(super) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    pub(super) fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    /// The tree below all layers of a container; see [`super::scaffold`].
    pub(super) fn scaffold(&self) -> PathBuf {
        self.root.join("scaffold")
    }

    pub(super) fn container(&self, key: &ContainerId) -> PathBuf {
        self.root.join("active").join(key.as_str())
    }

    /// The directories `upper` and `work` of a container.
    pub(super) fn writable(&self, key: &ContainerId) -> (PathBuf, PathBuf) {
        let container = self.container(key);
        (container.join("upper"), container.join("work"))
    }

    /// Reads the facts of all committed layers; also returns what looks like none.
    pub(super) fn load_layers(&self) -> Result<(HashMap<DiffId, Facts>, Vec<PathBuf>), SnapshotError> {
        let mut layers = HashMap::new();
        let mut unusable = Vec::new();
        for path in entries(&self.layers())? {
            match load_facts(&path) {
                Ok(facts) if self.layer(&facts.diff_id) == path => drop(layers.insert(facts.diff_id.clone(), facts)),
                Ok(_) => unusable.push(path),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "removing a directory that is no layer");
                    unusable.push(path);
                }
            }
        }
        Ok((layers, unusable))
    }

    /// Lists what an earlier process left staged.
    pub(super) fn staged(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        entries(&self.staging())
    }

    /// Makes the writable part of a container, with the owner and mode of `top` (the root of the topmost layer): overlayfs
    /// shows those of the upper directory.
    pub(super) fn create_writable(&self, key: &ContainerId, top: Option<&Path>) -> Result<(), SnapshotError> {
        let (upper, work) = self.writable(key);
        let container = self.container(key);
        for path in [&container, &work] {
            create_directory(path)?;
        }
        // Last, because its presence is what makes the snapshot exist.
        match rustix::fs::mkdirat(CWD, &upper, Mode::RWXU) {
            Ok(()) => copy_root_attributes(&upper, top).map_err(|error| on_path("prepare", &upper, error)),
            Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(on_path("create", &upper, error)),
        }
    }

    pub(super) fn containers(&self) -> Result<Vec<ActiveKey>, SnapshotError> {
        let mut keys = Vec::new();
        for path in entries(&self.root.join("active"))? {
            let name = path.file_name().and_then(|name| name.to_str());
            keys.extend(name.and_then(|name| ContainerId::parse(name).ok()).map(ActiveKey));
        }
        Ok(keys)
    }
}

fn copy_root_attributes(upper: &Path, top: Option<&Path>) -> Result<(), rustix::io::Errno> {
    let mut mode = Mode::from_raw_mode(0o755);
    if let Some(top) = top {
        let stat = rustix::fs::statat(CWD, top, AtFlags::SYMLINK_NOFOLLOW)?;
        if (stat.st_uid, stat.st_gid) != (0, 0) {
            let (uid, gid) = (
                rustix::fs::Uid::from_raw(stat.st_uid),
                rustix::fs::Gid::from_raw(stat.st_gid),
            );
            rustix::fs::chownat(CWD, upper, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    }
    rustix::fs::chmodat(CWD, upper, mode, AtFlags::empty())
}

fn create_directory(path: &Path) -> Result<(), SnapshotError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|error| on_path("create", path, error))
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let read = || {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()
    };
    read().map_err(|error| on_path("list", directory, error))
}

/// Reads the facts of the layer in `directory`.
pub(super) fn load_facts(directory: &Path) -> io::Result<Facts> {
    let text = std::fs::read(directory.join("layer.json"))?;
    if !directory.join("diff").is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    serde_json::from_slice(&text).map_err(io::Error::from)
}

/// Writes the facts of the layer in `directory`; the caller syncs.
pub(super) fn store_facts(directory: &Path, facts: &Facts) -> io::Result<()> {
    let file = File::create_new(directory.join("layer.json"))?;
    serde_json::to_writer(file, facts).map_err(io::Error::from)
}
