// SPDX-License-Identifier: MIT
//! One pass over a layer's stream: its tar goes to the disk, its entries into a tree in memory, and that into an EROFS index.
//!
//! What each thread does: one decompresses (`inflate.rs`), this one writes and parses, a third one hashes. Memory: the tree, bounded by
//! [`Limits::names`](crate::Limits::names), and a few chunks.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::os::unix::fs::MetadataExt;

use hyperbox_core::seam::SnapshotError;
use hyperbox_types::DiffId;

use super::spool::Spool;
use super::{Staging, Unpacked};
use crate::failure::{on_path, on_stream};
use crate::index::{IndexTree, Moved, Odd};
use crate::inflate::Inflated;
use crate::overlay::form::LayerForm;
use crate::overlay::layout::{Facts, IndexedFiles};
use crate::unpack::{self, Limits};

/// Decompresses a stream. Blocks until it ends.
pub(super) fn unpack_compressed(staging: &Staging, stream: Box<dyn Read + Send>) -> Result<Unpacked, SnapshotError> {
    let inflated = Inflated::start(stream, staging.limits().stream);
    unpack(
        staging,
        inflated.map_err(|error| on_path("unpack into", staging.path(), error))?,
    )
}

/// Writes tar and index into the staged directory. Blocks until the stream ends.
pub(in crate::overlay) fn unpack(staging: &Staging, stream: Inflated) -> Result<Unpacked, SnapshotError> {
    let files = IndexedFiles::of(staging.path());
    let spool = Spool::create(&files.tar).map_err(|error| on_path("create", &files.tar, error))?;
    let failure = spool.failure();
    let limits = staging.limits();
    let read = read(stream.copied_to(Box::new(spool)), &files, &limits, None);
    // The reader of the stream knows only that the stream failed.
    if let Some(error) = failure.take() {
        return Err(on_path("write", &files.tar, error));
    }
    let read = read?;
    hyperbox_core::failpoint!("layer.after-tar");
    let unpacked = read.write(&files)?;
    hyperbox_core::failpoint!("layer.after-index");
    Ok(unpacked)
}

/// Reads the stream to its end and writes the index. The stream's bytes are on the disk already; `moved` tells where, when it is not a
/// tar.
pub(in crate::overlay) fn index(
    stream: Inflated,
    files: &IndexedFiles,
    limits: &Limits,
    moved: Option<Moved>,
) -> Result<Unpacked, SnapshotError> {
    read(stream, files, limits, moved)?.write(files)
}

/// A layer whose stream has ended.
struct Parsed {
    tree: IndexTree,
    diff_id: DiffId,
    size: u64,
    opaque_root: bool,
}

fn read(
    stream: Inflated,
    files: &IndexedFiles,
    limits: &Limits,
    moved: Option<Moved>,
) -> Result<Parsed, SnapshotError> {
    let tree = IndexTree::new(limits.names.saturating_mul(4), Odd::at(files.odd.clone()), moved);
    let unpacked = unpack::unpack(tree, stream, limits)?;
    let (diff_id, size) = unpacked.stream.finish().map_err(on_stream)?;
    Ok(Parsed {
        tree: unpacked.filesystem,
        diff_id,
        size,
        opaque_root: unpacked.summary.opaque_root,
    })
}

impl Parsed {
    fn write(self, files: &IndexedFiles) -> Result<Unpacked, SnapshotError> {
        let on_index = |error| on_path("write", &files.index, error);
        let index = File::create_new(&files.index).map_err(on_index)?;
        let mut out = BufWriter::with_capacity(256 * 1024, index);
        let written = self.tree.write(&mut out, self.size, &files.index)?;
        let index = out.into_inner().map_err(|error| on_index(error.into_error()))?;
        let facts = Facts {
            diff_id: self.diff_id,
            // Holes of the tar take nothing; what was not written back yet may not be counted, so the lengths are told.
            bytes: self.size + written.odd + index.metadata().map_err(on_index)?.size(),
            inodes: written.inodes,
            opaque_root: self.opaque_root,
            form: LayerForm::Erofs,
            odd_data: written.odd > 0,
            packed: None,
        };
        Ok(Unpacked { facts, size: self.size })
    }
}
