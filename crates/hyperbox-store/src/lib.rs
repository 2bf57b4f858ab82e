// SPDX-License-Identifier: MIT
//! What the engine keeps on disk: blobs ([`FileContent`]), records ([`SqliteRecords`]) and volumes ([`LocalVolumes`]).
//!
//! Each implements a seam of `hyperbox_core::seam` and documents its layout in its header. One process owns the directories.

#![forbid(unsafe_code)]

mod content;
mod random;
mod records;
mod trash;
mod volumes;

pub use content::FileContent;
pub use records::SqliteRecords;
pub use volumes::LocalVolumes;
