// SPDX-License-Identifier: MIT
//! Unpacking a layer into a directory.

use std::io::Read;

use hyperbox_core::seam::SnapshotError;

use super::{Staging, Unpacked};
use crate::failure::{on_path, on_stream};
use crate::inflate::Inflated;
use crate::overlay::form::LayerForm;
use crate::overlay::layout::Facts;
use crate::unpack::{self, disk::Disk};

/// Unpacks the stream into the staged directory's `diff`. Blocks until the stream ends.
pub(super) fn unpack(staging: &Staging, stream: Box<dyn Read + Send>) -> Result<Unpacked, SnapshotError> {
    let on_staging = |operation, error: std::io::Error| on_path(operation, staging.path(), error);
    let diff = staging.create_diff()?;
    let measured = diff.try_clone().map_err(|error| on_staging("open", error))?;
    let limits = staging.limits();
    let inflated = Inflated::start(stream, limits.stream).map_err(|error| on_staging("unpack into", error))?;
    let unpacked = unpack::unpack(Disk::new(diff), inflated, &limits)?;
    let summary = unpacked.summary;
    let (diff_id, size) = unpacked.stream.finish().map_err(on_stream)?;
    let (mut bytes, mut inodes) = (summary.bytes, summary.inodes);
    if summary.replaced {
        // Opened again for a position of its own.
        let root = hyperbox_sys::tree::open_directory(&measured, c".");
        let usage = root.and_then(hyperbox_sys::tree::usage);
        let usage = usage.map_err(|error| on_staging("measure", error))?;
        (bytes, inodes) = (usage.bytes, usage.inodes);
    }
    let facts = Facts {
        diff_id,
        bytes,
        inodes,
        opaque_root: summary.opaque_root,
        form: LayerForm::Directory,
        odd_data: false,
        packed: None,
    };
    Ok(Unpacked { facts, size })
}
