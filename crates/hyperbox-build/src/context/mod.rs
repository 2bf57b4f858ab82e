// SPDX-License-Identifier: MIT
//! What steps read: trees of files, wherever they come from.
//!
//! ```text
//! archive ──archive──▶ members ──index──▶ SpooledTree       (nothing of a foreign archive becomes a name on this machine)
//! directory, checkout, layers ───────────▶ DirectoryTree    (through one descriptor, no link followed)
//! address ──remote──▶ git checkout or download ──▶ one of both
//! ```

pub(crate) mod archive;
mod digests;
pub(crate) mod directory;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub(crate) mod git;
pub(crate) mod index;
pub(crate) mod path;
pub(crate) mod remote;
mod scratch;
pub(crate) mod spooled;
pub(crate) mod stream;
mod tree;

pub(crate) use digests::{DigestCache, Scope};
pub(crate) use directory::DirectoryTree;
pub use path::resolve_in;
pub(crate) use scratch::Scratch;
pub(crate) use spooled::SpooledTree;
pub use tree::{Entry, EntryKind, FileReader, Tree, TreeError, TreePlace};

/// Tells whether layers keep an extended attribute: not those of overlayfs and of the host's own security modules.
pub fn keeps_attribute(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"user.")
}

/// Copies what is at a path of a tree, and below, to `to`, which is made. Blocks.
///
/// # Errors
/// Those of the tree and of the disk; what was made so far stays.
pub fn unpack(tree: &dyn Tree, from: &std::path::Path, to: &std::path::Path) -> Result<(), crate::StepError> {
    crate::run::materialise::tree(tree, from, to)
}

#[cfg(test)]
mod tests;
