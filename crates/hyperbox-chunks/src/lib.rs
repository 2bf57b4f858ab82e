// SPDX-License-Identifier: MIT
//! What is not file-shaped (checkpoints, snapshots of volumes, archives on their way to another machine) as chunks.
//!
//! [`chunks`] cuts a stream where its content says so (FastCDC), so that an insertion moves no later boundary. [`ChunkIndex`] knows
//! which chunks are where; a [`BloomFilter`] in front of it answers for most of those that are new. [`MerkleTree`] holds an ordered
//! set of entries such that two sets are compared in time proportional to their difference. A [`Recipe`] says which chunks of a list
//! are here and which have to come from elsewhere.
//!
//! Pure but for the reader that the caller gives: where chunks are kept, when, and for whom is the caller's decision.

#![forbid(unsafe_code)]

mod bloom;
mod chunk;
mod index;
mod list;
mod merkle;
mod recipe;

pub use bloom::BloomFilter;
pub use chunk::{Chunk, ChunkError, ChunkId, ChunkSizes, Chunks, chunks};
pub use index::{ChunkIndex, LookUps};
pub use list::{
    LONGEST_LIST, LONGEST_RANGES, ListError, ListedChunk, MOST_CHUNKS, MOST_RANGES, Range, decode_list, decode_ranges,
    encode_list, encode_ranges,
};
pub use merkle::{Difference, MerkleTree};
pub use recipe::{Origin, Recipe, Step};
