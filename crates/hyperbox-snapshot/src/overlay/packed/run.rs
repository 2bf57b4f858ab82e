// SPDX-License-Identifier: MIT
//! A pass of the optimizer over layers, on a thread of its own with the lowest priority of processor and disk.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::seam::{LayerOptimizer, Optimized, Pace, SharedUsage, SnapshotError};
use hyperbox_types::{ByteSize, DiffId};

use super::convert::{self, Packing};
use super::list::{List, Place};
use super::scan;
use crate::failure::on_path;
use crate::overlay::form::LayerForm;
use crate::overlay::layout::{IndexedFiles, entries};
use crate::overlay::{OverlaySnapshotter, State};

/// The lowest priority of processors.
const NICEST: i32 = 19;

#[async_trait]
impl LayerOptimizer for OverlaySnapshotter {
    async fn optimize(&self, layers: &[DiffId], pace: Arc<Pace>) -> Result<Optimized, SnapshotError> {
        let (state, layers) = (Arc::clone(&self.state), layers.to_vec());
        in_background(&self.state, move || {
            pass(&state, &pace, |count| pack(&state, &layers, &pace, count))
        })
        .await
    }

    async fn restore(&self, layers: &[DiffId], pace: Arc<Pace>) -> Result<Optimized, SnapshotError> {
        let (state, layers) = (Arc::clone(&self.state), layers.to_vec());
        in_background(&self.state, move || {
            pass(&state, &pace, |count| {
                for layer in &layers {
                    if pace.breathe().is_break() {
                        break;
                    }
                    if is_packed(&state, layer) {
                        *count += usize::from(convert::restore(&state, layer)?);
                    }
                }
                Ok(())
            })
        })
        .await
    }

    fn shared(&self) -> SharedUsage {
        let mut usage = SharedUsage::default();
        for facts in self.state.committed().values() {
            if let Some(packed) = &facts.packed {
                usage.layers += 1;
                usage.referenced.0 += packed.bytes;
            }
        }
        usage.stored = ByteSize(self.state.packed.packs().occupied().unwrap_or_default());
        usage
    }

    async fn own(&self) -> Result<HashMap<DiffId, ByteSize>, SnapshotError> {
        let state = Arc::clone(&self.state);
        let measured = tokio::task::spawn_blocking(move || own(&state)).await;
        measured.unwrap_or_else(|error| {
            Err(on_path(
                "measure",
                &self.state.layout.objects(),
                io::Error::other(error),
            ))
        })
    }
}

/// Returns what of each layer no other layer has.
fn own(state: &State) -> Result<HashMap<DiffId, ByteSize>, SnapshotError> {
    let mut own = HashMap::new();
    let mut users: HashMap<Place, (DiffId, u64)> = HashMap::new();
    let mut shared: HashSet<Place> = HashSet::new();
    let layers = state.committed().clone();
    for (layer, facts) in layers {
        let Some(packed) = facts.packed else {
            own.insert(layer, ByteSize(facts.bytes));
            continue;
        };
        let path = IndexedFiles::of(&state.layout.layer(&layer)).list;
        let list = match List::read(&path) {
            Ok(list) => list,
            // It went, or changed its form.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(on_path("read", &path, error)),
        };
        own.insert(layer.clone(), ByteSize(facts.bytes.saturating_sub(packed.bytes)));
        for object in &list.objects {
            let user = users.entry(object.place);
            let user = user.or_insert_with(|| (layer.clone(), object.padded()));
            if user.0 != layer {
                shared.insert(object.place);
            }
        }
    }
    for (place, (layer, bytes)) in users {
        if !shared.contains(&place)
            && let Some(size) = own.get_mut(&layer)
        {
            size.0 += bytes;
        }
    }
    Ok(own)
}

fn is_packed(state: &State, layer: &DiffId) -> bool {
    state.committed().get(layer).is_some_and(|facts| facts.packed.is_some())
}

/// Does work that counts layers, with the turn, and gives back what came to nothing whatever its outcome is.
fn pass(
    state: &Arc<State>,
    pace: &Pace,
    work: impl FnOnce(&mut usize) -> Result<(), SnapshotError>,
) -> Result<Optimized, SnapshotError> {
    let packed = &state.packed;
    let objects = state.layout.objects();
    let on_objects = |error| on_path("settle", &objects, error);
    let _turn = packed.turn();
    let mut done = Optimized {
        before: occupied(state)?,
        ..Optimized::default()
    };
    File::create(packed.packs().marker())
        .and_then(|_| File::open(&objects)?.sync_all())
        .map_err(on_objects)?;
    let worked = work(&mut done.layers);
    let settled = packed.settle();
    match worked {
        // What was broken off because it should end is no failure.
        Err(_) if pace.breathe().is_break() => {}
        worked => worked?,
    }
    settled.map_err(on_objects)?;
    done.after = occupied(state)?;
    Ok(done)
}

fn pack(state: &Arc<State>, layers: &[DiffId], pace: &Pace, count: &mut usize) -> Result<(), SnapshotError> {
    let known = scan::known(state);
    let Some(worthy) = scan::worthy(state, layers, &known, pace)? else {
        return Ok(());
    };
    if worthy.is_empty() {
        return Ok(());
    }
    let objects = state.layout.objects();
    let writer = state.packed.packs().writer();
    let mut packing = Packing {
        state,
        writer: writer.map_err(|error| on_path("open a pack in", &objects, error))?,
        known: known.places,
        pace,
    };
    for scanned in worthy {
        match packing.pack(&scanned.layer, &scanned.runs) {
            Ok(packed) => *count += usize::from(packed),
            Err(SnapshotError::LayerNotFound { .. }) => {}
            // A damaged layer keeps nobody else from being packed; a check finds it.
            Err(error @ SnapshotError::Archive { .. }) => {
                tracing::warn!(layer = %scanned.layer, %error, "a layer is not packed");
            }
            Err(error) => return Err(error),
        }
        if pace.breathe().is_break() {
            break;
        }
    }
    Ok(())
}

/// Returns what all indexed layers and packs occupy on the disk.
fn occupied(state: &State) -> Result<ByteSize, SnapshotError> {
    let indexed: Vec<DiffId> = {
        let layers = state.committed();
        let indexed = layers.values().filter(|facts| facts.form == LayerForm::Erofs);
        indexed.map(|facts| facts.diff_id.clone()).collect()
    };
    let mut sum = state
        .packed
        .packs()
        .occupied()
        .map_err(|error| on_path("measure", &state.layout.objects(), error))?;
    for layer in indexed {
        for file in entries(&state.layout.layer(&layer)).unwrap_or_default() {
            // One that went meanwhile occupies nothing.
            sum += scan::blocks(&file).unwrap_or_default();
        }
    }
    Ok(ByteSize(sum))
}

/// Runs work on a thread that is served last. It goes on when the caller stops waiting.
async fn in_background<T: Send + 'static>(
    state: &State,
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, SnapshotError> {
    let objects = state.layout.objects();
    let failed = |error| on_path("work on", &objects, error);
    let (done, result) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("layer-optimize".to_owned());
    thread
        .spawn(move || {
            // Where this is not allowed the work is done all the same.
            rustix::process::setpriority_process(None, NICEST).unwrap_or_default();
            hyperbox_sys::priority::idle_disk().unwrap_or_default();
            // Nobody may wait any more.
            drop(done.send(work()));
        })
        .map_err(failed)?;
    result
        .await
        .unwrap_or_else(|_| Err(failed(io::Error::other("the thread that optimizes layers died"))))
}
