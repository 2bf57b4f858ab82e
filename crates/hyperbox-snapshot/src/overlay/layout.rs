// SPDX-License-Identifier: MIT
//! Where things are on disk; see the header of [`super`] for the layout and its commit points.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::SnapshotError;
use hyperbox_types::{ContainerId, DiffId};
use serde::{Deserialize, Serialize};

use super::form::LayerForm;
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
    /// Inodes of its tree.
    pub(super) inodes: u64,
    /// Whether layers below are not seen at all: overlayfs has no such mark for a layer's root.
    pub(super) opaque_root: bool,
    /// What it is on disk. Earlier versions knew only directories.
    #[serde(default)]
    pub(super) form: LayerForm,
    /// Whether an indexed layer has data beside its tar.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) odd_data: bool,
    /// Set when an indexed layer has its data in packs instead of a tar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) packed: Option<PackedFacts>,
}

/// What is known of a packed layer besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackedFacts {
    /// The packs that it refers to, in the order of the index's devices.
    pub(super) packs: Vec<u32>,
    /// Bytes of its objects, whoever else refers to them.
    pub(super) bytes: u64,
}

/// The files of an indexed layer.
#[derive(Debug, Clone)]
pub(super) struct IndexedFiles {
    /// The uncompressed tar.
    pub(super) tar: PathBuf,
    /// Data that the tar has at odd places; rarely there.
    pub(super) odd: PathBuf,
    /// The EROFS index.
    pub(super) index: PathBuf,
    /// Instead of the tar of a packed layer: which of its data are in packs …
    pub(super) list: PathBuf,
    /// … and what else it has.
    pub(super) rest: PathBuf,
}

impl IndexedFiles {
    /// Those in a layer's directory.
    pub(super) fn of(directory: &Path) -> Self {
        Self {
            tar: directory.join("layer.tar"),
            odd: directory.join("odd.data"),
            index: directory.join("index.erofs"),
            list: directory.join("objects.list"),
            rest: directory.join("rest.zst"),
        }
    }

    /// All files that a layer has by itself.
    pub(super) fn of_form(&self, facts: &Facts) -> Vec<&Path> {
        let odd = facts.odd_data.then_some(self.odd.as_path());
        let data: &[&Path] = match facts.packed {
            None => &[&self.tar],
            Some(_) => &[&self.list, &self.rest],
        };
        data.iter().copied().chain(odd).chain([self.index.as_path()]).collect()
    }
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
            layout.active(),
            layout.ahead(),
            layout.trash(),
            layout.empty(),
            layout.objects(),
            layout.graves(),
        ] {
            create_directory(&path)?;
        }
        Ok(layout)
    }

    /// Writable parts that no container has yet.
    pub(super) fn ahead(&self) -> PathBuf {
        self.root.join("ahead")
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(super) fn layer(&self, layer: &DiffId) -> PathBuf {
        self.layers().join(&layer.0.hex()[..DIGITS])
    }

    /// The tree of a committed layer that is a directory.
    pub(super) fn diff(&self, layer: &DiffId) -> PathBuf {
        self.layer(layer).join("diff")
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(super) fn active(&self) -> PathBuf {
        self.root.join("active")
    }

    pub(super) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// The packs.
    pub(super) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// Packed layers that went while somebody read from them.
    pub(super) fn graves(&self) -> PathBuf {
        self.root.join("graves")
    }

    pub(super) fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    /// The tree below all layers of a container; see [`super::scaffold`].
    pub(super) fn scaffold(&self) -> PathBuf {
        self.root.join("scaffold")
    }

    pub(super) fn container(&self, key: &ContainerId) -> PathBuf {
        self.active().join(key.as_str())
    }

    /// The directories `upper` and `work` of a container.
    pub(super) fn writable(&self, key: &ContainerId) -> (PathBuf, PathBuf) {
        let container = self.container(key);
        (
            container.join(super::spares::UPPER),
            container.join(super::spares::WORK),
        )
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
}

pub(super) fn create_directory(path: &Path) -> Result<(), SnapshotError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|error| on_path("create", path, error))
}

pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let read = || {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()
    };
    read().map_err(|error| on_path("list", directory, error))
}

/// Reads the facts of the layer in `directory`; its parts must be there.
pub(super) fn load_facts(directory: &Path) -> io::Result<Facts> {
    let text = std::fs::read(directory.join("layer.json"))?;
    let facts: Facts = serde_json::from_slice(&text)?;
    let complete = match facts.form {
        LayerForm::Directory => directory.join("diff").is_dir(),
        LayerForm::Erofs => {
            let files = IndexedFiles::of(directory);
            files.of_form(&facts).iter().all(|part| part.is_file())
        }
    };
    if !complete {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(facts)
}

/// Writes the facts of the layer in `directory`; the caller syncs.
pub(super) fn store_facts(directory: &Path, facts: &Facts) -> io::Result<File> {
    let file = File::create_new(directory.join("layer.json"))?;
    serde_json::to_writer(&file, facts).map_err(io::Error::from)?;
    Ok(file)
}
