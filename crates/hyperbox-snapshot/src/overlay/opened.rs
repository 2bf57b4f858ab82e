// SPDX-License-Identifier: MIT
//! An indexed layer with all its files open: whatever becomes of the layer meanwhile, these are of one form and stay readable.
//!
//! The open index also keeps the objects of a packed layer from being reclaimed (`packed/graves.rs`).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use hyperbox_core::seam::SnapshotError;
use hyperbox_types::DiffId;
use rustix::fs::{Mode, OFlags};

use super::State;
use super::layout::{Facts, IndexedFiles};
use super::packed::{List, Rebuilt};
use crate::index::Moved;

/// The files of an indexed layer.
pub(super) struct Opened {
    pub(super) facts: Facts,
    pub(super) index: File,
    pub(super) odd: Option<File>,
    pub(super) data: Data,
}

/// What has its data.
pub(super) enum Data {
    /// Its tar.
    Tar(File),
    /// Packs, and the rest of the tar.
    Packed {
        list: List,
        packs: HashMap<u32, File>,
        rest: File,
    },
}

impl Opened {
    /// Opens the files of a committed layer that is indexed. What is wrong with one of them is the inner error.
    pub(super) fn open(state: &State, layer: &DiffId) -> Result<Result<Self, String>, SnapshotError> {
        // While this is held no layer changes its form.
        let layers = state.committed();
        let facts = layers.get(layer).cloned();
        let facts = facts.ok_or_else(|| SnapshotError::LayerNotFound { layer: layer.clone() })?;
        Ok(Self::files(state, layer, facts))
    }

    fn files(state: &State, layer: &DiffId, facts: Facts) -> Result<Self, String> {
        let files = IndexedFiles::of(&state.layout.layer(layer));
        let unopened = |what: &str, error: &io::Error| format!("{what} cannot be opened: {error}");
        let data = match &facts.packed {
            None => Data::Tar(File::open(&files.tar).map_err(|error| unopened("its tar", &error))?),
            Some(packed) => Data::Packed {
                list: List::read(&files.list)
                    .map_err(|error| format!("its list of objects cannot be read: {error}"))?,
                packs: state
                    .packed
                    .packs()
                    .open(&packed.packs)
                    .map_err(|error| unopened("a pack", &error))?,
                rest: File::open(&files.rest).map_err(|error| unopened("the rest of its tar", &error))?,
            },
        };
        let odd = facts.odd_data.then(|| File::open(&files.odd)).transpose();
        Ok(Self {
            index: File::open(&files.index).map_err(|error| unopened("its index", &error))?,
            odd: odd.map_err(|error| unopened("the data beside its tar", &error))?,
            data,
            facts,
        })
    }
}

impl Data {
    /// Returns what an index over these data has to know.
    pub(super) fn moved(&self) -> Option<Moved> {
        match self {
            Self::Tar(_) => None,
            Self::Packed { list, .. } => Some(list.moved()),
        }
    }

    /// Returns the tar as a file, positioned at its start. That of a packed layer is written anew into a file without a name, in a directory
    /// of the store.
    pub(super) fn into_file(self, directory: &Path) -> io::Result<File> {
        let mut stream = match self {
            Self::Tar(tar) => return Ok(tar),
            packed @ Self::Packed { .. } => packed.into_stream()?,
        };
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mut file: File = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR)?.into();
        io::copy(&mut stream, &mut file)?;
        file.rewind()?;
        Ok(file)
    }

    /// Reads the tar.
    pub(super) fn into_stream(self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Tar(tar) => Box::new(tar),
            Self::Packed { list, packs, rest } => Box::new(Rebuilt::new(list, packs, rest)?),
        })
    }
}
