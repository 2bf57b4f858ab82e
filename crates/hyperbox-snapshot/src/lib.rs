// SPDX-License-Identifier: MIT
//! Snapshotters: root filesystems from layers.
//!
//! [`OverlaySnapshotter`] keeps each layer as an EROFS index over its tar, or as a directory, and lets overlayfs join them. It
//! implements [`hyperbox_core::seam::Snapshotter`]; where the kernel allows, nothing here mounts anything that another process could
//! see. [`MountedFiles`] looks into containers from outside.

#![forbid(unsafe_code)]

mod archive;
mod changes;
mod failure;
mod files;
mod index;
mod inflate;
mod overlay;
mod trash;
mod unpack;

pub use files::MountedFiles;
pub use overlay::{LayerForm, MountPlace, OverlaySnapshotter, Settings, probe, probe_erofs};
pub use unpack::{Limits, UnpackSummary, unpack_into};
