// SPDX-License-Identifier: MIT
//! One layer from its tar to packs, and back.
//!
//! Both ways the new form is staged whole, proven by the layer's diff id, mounted for a trial and put on the disk; then it takes the
//! old one's place in one exchange. **Crashes**: before the exchange there are only a staged directory and objects that nobody refers
//! to; after it the old form is the staged one. The next open clears both away.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, PoisonError};

use hyperbox_core::seam::{Pace, SnapshotError};
use hyperbox_types::DiffId;
use rustix::fs::{CWD, RenameFlags};
use sha2::{Digest as _, Sha256};

use super::list::{List, Object, Place, Print};
use super::packs::{Writer, copy};
use super::rebuilt::Rebuilt;
use super::scan::Run;
use crate::failure::{on_path, refused};
use crate::inflate::Inflated;
use crate::overlay::State;
use crate::overlay::layout::{self, Facts, IndexedFiles, PackedFacts};
use crate::overlay::mounts::{Caching, MountPlace, Mounted};
use crate::overlay::opened::{Data, Opened};
use crate::overlay::stage::{Staging, indexed, sync_staged};

/// How well the rest of a tar is compressed: headers, which are much alike.
const LEVEL: i32 = 3;

/// What a run of the optimizer works with.
pub(super) struct Packing<'a> {
    pub(super) state: &'a Arc<State>,
    pub(super) writer: Writer,
    /// Objects that packs have.
    pub(super) known: HashMap<Print, Place>,
    pub(super) pace: &'a Pace,
}

impl Packing<'_> {
    /// Packs a layer. Returns whether it was: not when it went or changed meanwhile.
    pub(super) fn pack(&mut self, layer: &DiffId, runs: &[Run]) -> Result<bool, SnapshotError> {
        let Ok(opened) = Opened::open(self.state, layer)? else {
            return Ok(false);
        };
        let Data::Tar(tar) = &opened.data else {
            return Ok(false);
        };
        let staging = Staging::create(Arc::clone(self.state))?;
        let files = IndexedFiles::of(staging.path());
        let list = self.move_objects(tar, runs, &files)?;
        hyperbox_core::failpoint!("optimize.after-objects");
        let objects = self.state.layout.objects();
        self.writer
            .sync(&objects)
            .map_err(|error| on_path("sync", &objects, error))?;
        std::fs::write(&files.list, list.encode()).map_err(|error| on_path("write", &files.list, error))?;
        let facts = self.index(layer, list, &files)?;
        if facts.odd_data != opened.facts.odd_data || facts.inodes != opened.facts.inodes {
            return Err(refused(format!("layer {layer} is not what its record says")));
        }
        put(self.state, staging, &opened.facts, facts)
    }

    /// Copies what no pack has into the pack, and what is no object into the rest.
    fn move_objects(&mut self, tar: &File, runs: &[Run], files: &IndexedFiles) -> Result<List, SnapshotError> {
        let on_rest = |error| on_path("write", &files.rest, error);
        let tar_length = tar
            .metadata()
            .map_err(|error| on_path("read", &files.tar, error))?
            .len();
        let mut rest = rest_writer(files).map_err(on_rest)?;
        let mut list = List {
            tar_length,
            objects: Vec::with_capacity(runs.len()),
        };
        let mut reached = 0;
        for run in runs {
            self.keep_rest(tar, reached, run.at, &mut rest).map_err(on_rest)?;
            list.objects.push(self.object(tar, *run)?);
            reached = run.at + run.length;
        }
        self.keep_rest(tar, reached, tar_length, &mut rest).map_err(on_rest)?;
        let written = rest.finish().and_then(|mut rest| rest.flush());
        written.map_err(on_rest)?;
        Ok(list)
    }

    fn keep_rest(&self, tar: &File, from: u64, to: u64, rest: &mut impl Write) -> io::Result<()> {
        copy(tar, from, to - from, self.pace, &mut |bytes, _| rest.write_all(bytes))
    }

    fn object(&mut self, tar: &File, run: Run) -> Result<Object, SnapshotError> {
        let on_pack = |error| on_path("write objects in", &self.state.layout.objects(), error);
        let print = print(tar, run, self.pace).map_err(on_pack)?;
        let place = match self.known.get(&print) {
            Some(place) => *place,
            None => {
                let place = self
                    .writer
                    .append(tar, run.at, run.length, self.pace)
                    .map_err(on_pack)?;
                self.known.insert(print, place);
                place
            }
        };
        Ok(Object {
            tar_at: run.at,
            length: run.length,
            print,
            place,
        })
    }

    /// Reads the tar again from where it is now, which proves it, and writes its index.
    fn index(&self, layer: &DiffId, list: List, files: &IndexedFiles) -> Result<Facts, SnapshotError> {
        let unread = |error| on_path("read", &files.rest, error);
        let packs = list.packs();
        let (moved, bytes) = (list.moved(), list.objects.iter().map(Object::padded).sum());
        let opened = self.state.packed.packs().open(&packs).map_err(unread)?;
        let rest = File::open(&files.rest).map_err(unread)?;
        let stream = Rebuilt::new(list, opened, rest).map_err(unread)?;
        let stream = Inflated::plain(Box::new(stream), self.state.limits.stream).map_err(unread)?;
        let mut facts = indexed::index(stream, files, &self.state.limits, Some(moved))?.facts;
        if facts.diff_id != *layer {
            return Err(refused(format!("the objects of layer {layer} give {}", facts.diff_id)));
        }
        let own = [&files.rest, &files.list, &files.index, &files.odd];
        let own: u64 = own
            .iter()
            .filter_map(|path| path.metadata().ok())
            .map(|file| file.size())
            .sum();
        facts.bytes = own + bytes;
        facts.packed = Some(PackedFacts { packs, bytes });
        Ok(facts)
    }
}

fn rest_writer(files: &IndexedFiles) -> io::Result<zstd::stream::write::Encoder<'static, File>> {
    let mut rest = zstd::stream::write::Encoder::new(File::create_new(&files.rest)?, LEVEL)?;
    rest.include_checksum(true)?;
    Ok(rest)
}

/// Hashes a run.
pub(super) fn print(tar: &File, run: Run, pace: &Pace) -> io::Result<Print> {
    let mut hasher = Sha256::new();
    copy(tar, run.at, run.length, pace, &mut |bytes, _| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(hasher.finalize().into())
}

/// Gives a packed layer its tar back. Returns whether it did: not when it went or changed meanwhile.
pub(super) fn restore(state: &Arc<State>, layer: &DiffId) -> Result<bool, SnapshotError> {
    let opened =
        Opened::open(state, layer)?.map_err(|reason| refused(format!("layer {layer} is damaged: {reason}")))?;
    if opened.facts.packed.is_none() {
        return Ok(false);
    }
    let before = opened.facts.clone();
    let staging = Staging::create(Arc::clone(state))?;
    let on_staging = |error| on_path("unpack into", staging.path(), error);
    let stream = opened.data.into_stream().map_err(on_staging)?;
    let stream = Inflated::plain(stream, state.limits.stream).map_err(on_staging)?;
    let facts = indexed::unpack(&staging, stream)?.facts;
    if facts.diff_id != *layer {
        return Err(refused(format!(
            "layer {layer} is damaged: its objects give {}",
            facts.diff_id
        )));
    }
    put(state, staging, &before, facts)
}

/// Puts a staged form in the place of the one that is there, if that is still the one it was made of.
fn put(state: &Arc<State>, mut staging: Staging, before: &Facts, facts: Facts) -> Result<bool, SnapshotError> {
    layout::store_facts(staging.path(), &facts).map_err(|error| on_path("describe", staging.path(), error))?;
    sync_staged(staging.path(), &facts)?;
    let files = IndexedFiles::of(staging.path());
    let devices = state.devices(&files, &facts);
    let mounted = Mounted::new(&files.index, &devices, Caching::Through, &MountPlace::Detached, "")
        .map_err(|error| on_path("mount the layer of", &files.index, error))?;
    hyperbox_core::failpoint!("optimize.before-exchange");
    let layer = facts.diff_id.clone();
    let target = state.layout.layer(&layer);
    let replaced = {
        let mut layers = state.layers.write().unwrap_or_else(PoisonError::into_inner);
        if layers.get(&layer) != Some(before) {
            return Ok(false);
        }
        rustix::fs::renameat_with(CWD, staging.path(), CWD, &target, RenameFlags::EXCHANGE)
            .map_err(|error| on_path("commit", &target, error))?;
        layers.insert(layer.clone(), facts);
        state.mounts.replace(&layer, &mounted)
    };
    // The kernel waits when it takes a mount apart: not under the lock.
    match replaced {
        Ok(old) => drop(old),
        // It shows the same, and goes with the layer or the process.
        Err(error) => tracing::warn!(%layer, %error, "a layer's mount stays one of its former form"),
    }
    let layers = state.layout.layers();
    let synced = File::open(&layers).and_then(|directory| directory.sync_all());
    if let Err(error) = synced {
        // After a power failure either form may be there: both stay until the next start.
        staging.keep();
        return Err(on_path("sync", &layers, error));
    }
    hyperbox_core::failpoint!("optimize.after-exchange");
    Ok(true)
}
