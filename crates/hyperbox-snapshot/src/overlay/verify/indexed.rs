// SPDX-License-Identifier: MIT
//! Proving an indexed layer: its tar, or what it was taken apart into, must have the diff id, and give the same index again.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use hyperbox_core::seam::{LayerCheck, SnapshotError};
use hyperbox_types::DiffId;

use crate::failure::on_path;
use crate::inflate::Inflated;
use crate::overlay::State;
use crate::overlay::layout::IndexedFiles;
use crate::overlay::opened::Opened;
use crate::overlay::stage::{Staging, indexed};

/// Compares; blocks until the whole tar was read. The archive that the layer was made of is not needed.
pub(super) fn verify(state: Arc<State>, layer: &DiffId) -> Result<LayerCheck, SnapshotError> {
    let damaged = |reason: String| Ok(LayerCheck::Damaged { reason });
    let stored = match Opened::open(&state, layer)? {
        Ok(stored) => stored,
        Err(reason) => return damaged(reason),
    };
    let place = state.layout.layer(layer);
    let staging = Staging::create(Arc::clone(&state))?;
    let again = IndexedFiles::of(staging.path());
    let moved = stored.data.moved();
    let on_tar = |error| on_path("read", &place, error);
    let stream = stored.data.into_stream().map_err(on_tar)?;
    let stream = Inflated::plain(stream, state.limits.stream).map_err(on_tar)?;
    let made = match indexed::index(stream, &again, &state.limits, moved) {
        Ok(made) => made.facts,
        Err(SnapshotError::Archive { reason, .. }) => return damaged(format!("its tar is damaged: {reason}")),
        Err(SnapshotError::Io {
            operation: "read",
            source,
            ..
        }) => return damaged(format!("its tar cannot be read: {source}")),
        Err(error) => return Err(error),
    };
    if made.diff_id != *layer {
        return damaged(format!("its tar has the digest {}", made.diff_id));
    }
    if made.odd_data != stored.facts.odd_data {
        return damaged("its record does not fit its tar".to_owned());
    }
    let mut pairs = vec![(stored.index, &again.index, "its index")];
    pairs.extend(stored.odd.map(|odd| (odd, &again.odd, "the data beside its tar")));
    for (one, other, what) in pairs {
        match same(one, other) {
            Ok(true) => {}
            Ok(false) => return damaged(format!("{what} differs from what its tar gives")),
            Err(error) => return damaged(format!("{what} cannot be read: {error}")),
        }
    }
    Ok(LayerCheck::Intact)
}

fn same(mut one: File, other: &Path) -> io::Result<bool> {
    let mut other = File::open(other)?;
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 128 * 1024], vec![0; 128 * 1024]);
    loop {
        let length = one.read(&mut left)?;
        if length == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..length])?;
        if left[..length] != right[..length] {
            return Ok(false);
        }
    }
}
