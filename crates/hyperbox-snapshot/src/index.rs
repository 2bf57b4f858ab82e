// SPDX-License-Identifier: MIT
//! A layer as an EROFS index over its uncompressed tar.
//!
//! [`IndexTree`] is the tree that unpacking makes entry by entry, without a file: `hyperbox_erofs` holds it in memory and writes the
//! index at the end. Data stay where they are in the tar; a file knows the extents. What cannot be mapped, because a sparse file's
//! pieces are not aligned to blocks, is laid out anew in a second file ([`Odd`]). What was moved out of the tar is found where it is now
//! ([`Moved`]).
//!
//! What no entry describes (directories that are implied, whiteouts) is of the epoch, so that the same tar always gives the same
//! index: a stored layer can be proven by making its index again.

mod extents;
mod moved;
mod odd;
mod tree;
mod xattrs;

pub(crate) use moved::{Moved, Piece};
pub(crate) use odd::Odd;
pub(crate) use tree::IndexTree;

#[cfg(test)]
mod tests;
