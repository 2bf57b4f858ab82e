// SPDX-License-Identifier: MIT
//! What of layers is worth to be looked at: the files of their indexes, by length first, since files of different lengths differ;
//! those that are left are hashed.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

use hyperbox_core::seam::{Pace, SnapshotError};
use hyperbox_erofs::{Image, ImageError, Kind};
use hyperbox_types::DiffId;

use super::convert;
use super::list::{List, Place, Print};
use super::plan::{self, Candidate};
use crate::failure::on_path;
use crate::overlay::State;
use crate::overlay::form::LayerForm;
use crate::overlay::layout::IndexedFiles;
use crate::overlay::opened::{Data, Opened};

/// Objects that are remembered at most: about 60 bytes each. Files beyond are stored again.
const MOST_KNOWN: usize = 4 << 20;

/// A run of a tar that holds a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) at: u64,
    pub(super) length: u64,
}

/// A layer with its tar.
pub(super) struct Scanned {
    pub(super) layer: DiffId,
    pub(super) runs: Vec<Run>,
    tar: File,
}

/// What packs have.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) places: HashMap<Print, Place>,
    lengths: HashSet<u64>,
}

/// Reads which objects packed layers refer to.
pub(super) fn known(state: &State) -> Known {
    let packed: Vec<DiffId> = {
        let layers = state.committed();
        let packed = layers.values().filter(|facts| facts.packed.is_some());
        packed.map(|facts| facts.diff_id.clone()).collect()
    };
    let mut known = Known::default();
    for layer in packed {
        let path = IndexedFiles::of(&state.layout.layer(&layer)).list;
        match List::read(&path) {
            Ok(list) => {
                let places = list.objects.iter().map(|object| (object.print, object.place));
                known.places.extend(places);
                known.lengths.extend(list.objects.iter().map(|object| object.length));
            }
            // Whoever checks the store is told; nothing is shared with it meanwhile.
            Err(error) => tracing::warn!(path = %path.display(), %error, "a list of objects cannot be read"),
        }
        if known.places.len() > MOST_KNOWN {
            break;
        }
    }
    known
}

/// Finds the layers that are worth to be packed. `None` when it was told to end.
pub(super) fn worthy(
    state: &Arc<State>,
    layers: &[DiffId],
    known: &Known,
    pace: &Pace,
) -> Result<Option<Vec<Scanned>>, SnapshotError> {
    let mut scanned = Vec::new();
    for layer in layers {
        if pace.breathe().is_break() {
            return Ok(None);
        }
        scanned.extend(scan(state, layer)?);
    }
    let by_length: Vec<Candidate<u64>> = scanned
        .iter()
        .map(|layer| layer.candidate(layer.runs.iter().map(|run| (run.length, run.length)).collect()))
        .collect();
    keep(&mut scanned, &plan::choose(&by_length, &known.lengths));
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for run in scanned.iter().flat_map(|layer| &layer.runs) {
        *counts.entry(run.length).or_default() += 1;
    }
    let may_be_shared = |run: &&Run| counts.get(&run.length) > Some(&1) || known.lengths.contains(&run.length);
    let mut by_print = Vec::new();
    for layer in &scanned {
        let mut prints = Vec::new();
        for run in layer.runs.iter().filter(may_be_shared) {
            match convert::print(&layer.tar, *run, pace) {
                Ok(print) => prints.push((print, run.length)),
                Err(_) if pace.breathe().is_break() => return Ok(None),
                Err(error) => return Err(on_path("read", &state.layout.layer(&layer.layer), error)),
            }
        }
        by_print.push(layer.candidate(prints));
    }
    let stored: HashSet<Print> = known.places.keys().copied().collect();
    keep(&mut scanned, &plan::choose(&by_print, &stored));
    Ok(Some(scanned))
}

impl Scanned {
    fn candidate<K>(&self, shared: Vec<(K, u64)>) -> Candidate<K> {
        Candidate {
            shared,
            files: self.runs.len() as u64,
            bytes: self.runs.iter().map(|run| run.length).sum(),
        }
    }
}

fn keep(scanned: &mut Vec<Scanned>, chosen: &[bool]) {
    let mut chosen = chosen.iter();
    scanned.retain(|_| chosen.next().copied().unwrap_or_default());
}

/// Opens a layer that has a tar and lists its files. What cannot be opened or is damaged is left alone, for a check to find.
fn scan(state: &State, layer: &DiffId) -> Result<Option<Scanned>, SnapshotError> {
    if !state
        .committed()
        .get(layer)
        .is_some_and(|facts| facts.form == LayerForm::Erofs)
    {
        return Ok(None);
    }
    let opened = match Opened::open(state, layer) {
        Ok(Ok(opened)) => opened,
        Ok(Err(reason)) => {
            tracing::warn!(%layer, reason, "a damaged layer is left alone");
            return Ok(None);
        }
        Err(SnapshotError::LayerNotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Data::Tar(tar) = opened.data else {
        return Ok(None);
    };
    match runs(&opened.index) {
        Ok(runs) => Ok(Some(Scanned {
            layer: layer.clone(),
            runs,
            tar,
        })),
        Err(error) => {
            tracing::warn!(%layer, %error, "a layer whose index cannot be read is left alone");
            Ok(None)
        }
    }
}

/// Lists the runs of the tar that hold files, ascending, none over another.
fn runs(index: &File) -> Result<Vec<Run>, ImageError> {
    let image = Image::open(index.try_clone().map_err(|source| ImageError::Read {
        offset: 0,
        length: 0,
        source,
    })?)?;
    let mut runs = Vec::new();
    for entry in image.walk() {
        let inode = entry?.inode;
        if inode.kind != Kind::Regular {
            continue;
        }
        for extent in image.extents(&inode) {
            let extent = extent?;
            // The second device is what was laid out beside the tar.
            if extent.device == 1 {
                runs.push(Run {
                    at: extent.device_offset,
                    length: extent.length,
                });
            }
        }
    }
    runs.sort_unstable();
    // Names of one file have the same runs.
    runs.dedup();
    let mut reached = 0;
    runs.retain(|run| {
        let fits = run.at >= reached;
        if fits {
            reached = run.at + run.length;
        }
        fits
    });
    Ok(runs)
}

/// Reads the length of a file for callers that only count.
pub(super) fn blocks(path: &std::path::Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.blocks() * 512)
}
