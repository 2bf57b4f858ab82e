// SPDX-License-Identifier: MIT
//! Packed layers: files that several layers have are stored once.
//!
//! ```text
//! ROOT/objects/00000001.pack      data of files, each once, one after the other (`packs.rs`)
//! ROOT/objects/unsettled          there while objects may be there that nobody refers to
//! ROOT/layers/<32 hex digits>/    a packed layer
//!   index.erofs                   its index, whose devices are packs
//!   objects.list                  which runs of its tar are where: its references (`list.rs`)
//!   rest.zst                      what else its tar has: headers, padding
//!   odd.data                      as beside a tar
//! ROOT/graves/<random>            packed layers that went while somebody read from them (`graves.rs`)
//! ```
//!
//! The tar is whole in packs and rest, byte for byte, so a packed layer proves itself by its diff id and gets its tar back at any time.
//! What is read through several layers comes from the same pages of a pack's cache. Layers that share too little stay as they are
//! (`plan.rs`). [`run`] is one pass over layers: at background priority, pausing for others, one layer after the other, each of which
//! changes its form in one exchange (`convert.rs`).
//!
//! **References** are the lists of committed layers and of graves, nothing else: there is no count that could be wrong.

mod convert;
mod graves;
mod list;
mod packs;
mod plan;
mod ranges;
mod rebuilt;
mod run;
mod scan;

pub(super) use graves::Packed;
pub(super) use list::List;
pub(super) use rebuilt::Rebuilt;
