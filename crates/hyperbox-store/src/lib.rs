// SPDX-License-Identifier: MIT
//! What the engine keeps on disk: blobs ([`FileContent`]), records ([`SqliteRecords`]) and volumes ([`LocalVolumes`]), and the
//! pure walk that finds garbage ([`garbage`]).
//!
//! Each implements a seam of `hyperbox_core::seam` and documents its layout in its header. One process owns the directories.

#![forbid(unsafe_code)]

mod content;
pub mod garbage;
mod random;
mod records;
mod volumes;

pub use content::FileContent;
pub use records::SqliteRecords;
pub use volumes::LocalVolumes;
