// SPDX-License-Identifier: MIT
//! COPY, ADD and WORKDIR: which files, where to, as which layer.
//!
//! ```text
//! sources ──source──▶ places of trees ──digest──▶ what the key of the step holds
//!                          └──transfer──▶ Target (root filesystem + changes) ──layer──▶ sorted tar ──▶ LayerSink
//! ```
//! Nothing is written to a root filesystem: the layer is an archive that is made while it is stored, straight from the bytes of the
//! sources. Links, of sources and of the root filesystem, are followed inside their own tree.
//!
//! **Concurrency.** Steps share nothing but caches. **Crashes** leave what [`crate::context`] says.

mod checksum;
mod contexts;
mod digest;
mod entity_tags;
mod fetch;
mod files;
mod layer;
mod mode;
mod owner;
mod pattern;
mod ready;
mod source;
mod target;
mod transfer;
mod whole;

pub use files::Files;
pub(crate) use whole::archive;

/// Tells whether an owner is called by name, so that it depends on the root filesystem who that is.
pub(crate) fn is_named(owner: &crate::step::FileOwner) -> bool {
    owner::needs_names(&owner.0)
}

#[cfg(test)]
mod tests;
