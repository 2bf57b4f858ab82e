// SPDX-License-Identifier: MIT
//! Which chunks are known, and where they are.
//!
//! Most chunks of a new stream are new; the Bloom filter in front answers for those without touching the table, which matters when
//! the table is larger than the processor's caches or is kept elsewhere. The filter is rebuilt, twice as large, when it is full, and
//! after removals have outnumbered what is left: a Bloom filter forgets nothing.

use std::cell::Cell;
use std::collections::HashMap;

use crate::{BloomFilter, ChunkId};

/// One wrong yes of the filter in so many questions.
const ONE_IN: u32 = 100;

/// How look-ups were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookUps {
    /// By the filter: not here.
    pub filtered: u64,
    /// By the table: here.
    pub found: u64,
    /// By the table, after a wrong yes of the filter.
    pub missed: u64,
}

/// Chunks and where they are; `P` is whatever the caller calls a place.
#[derive(Debug, Clone)]
pub struct ChunkIndex<P> {
    filter: BloomFilter,
    places: HashMap<ChunkId, P>,
    removed: usize,
    look_ups: Cell<LookUps>,
}

impl<P> Default for ChunkIndex<P> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl<P> ChunkIndex<P> {
    /// Makes an index that grows beyond `chunks` only at some cost.
    pub fn with_capacity(chunks: usize) -> Self {
        Self {
            filter: BloomFilter::new(chunks, ONE_IN),
            places: HashMap::with_capacity(chunks),
            removed: 0,
            look_ups: Cell::default(),
        }
    }

    /// Returns where a chunk is.
    pub fn get(&self, id: &ChunkId) -> Option<&P> {
        let mut look_ups = self.look_ups.get();
        let place = if self.filter.may_contain(id) {
            let place = self.places.get(id);
            match place {
                Some(_) => look_ups.found += 1,
                None => look_ups.missed += 1,
            }
            place
        } else {
            look_ups.filtered += 1;
            None
        };
        self.look_ups.set(look_ups);
        place
    }

    /// Adds a chunk; one that is known keeps its place. Tells whether it is new.
    pub fn insert(&mut self, id: ChunkId, place: P) -> bool {
        if self.get(&id).is_some() {
            return false;
        }
        self.places.insert(id, place);
        self.filter.insert(&id);
        if self.filter.is_full() {
            self.rebuild();
        }
        true
    }

    /// Forgets a chunk; returns where it was.
    pub fn remove(&mut self, id: &ChunkId) -> Option<P> {
        let place = self.places.remove(id)?;
        self.removed += 1;
        if self.removed > self.places.len() {
            self.rebuild();
        }
        Some(place)
    }

    /// Returns all places, in no order.
    pub fn places(&self) -> impl Iterator<Item = &P> {
        self.places.values()
    }

    /// Returns how many chunks are known.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Tells whether no chunk is known.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns how look-ups were answered until now.
    pub fn look_ups(&self) -> LookUps {
        self.look_ups.get()
    }

    fn rebuild(&mut self) {
        self.filter = BloomFilter::new(self.places.len() * 2, ONE_IN);
        self.places.keys().for_each(|id| self.filter.insert(id));
        self.removed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> ChunkId {
        ChunkId::of(&number.to_le_bytes())
    }

    #[test]
    fn grows_shrinks_and_never_forgets() {
        let mut index = ChunkIndex::default();
        assert!(index.is_empty());
        for number in 0..10_000 {
            assert!(index.insert(name(number), number));
            assert!(!index.insert(name(number), 0));
        }
        for number in 0..9_000 {
            assert_eq!(index.remove(&name(number)), Some(number));
        }
        assert_eq!(index.remove(&name(0)), None);
        assert_eq!(index.len(), 1_000);
        assert!((9_000..10_000).all(|number| index.get(&name(number)) == Some(&number)));
        assert!((0..9_000).all(|number| index.get(&name(number)).is_none()));
    }

    #[test]
    fn new_chunks_are_answered_by_the_filter() {
        let mut index = ChunkIndex::with_capacity(10_000);
        (0..10_000).for_each(|number| assert!(index.insert(name(number), ())));
        let before = index.look_ups();
        (10_000..20_000).for_each(|number| assert!(index.get(&name(number)).is_none()));
        let after = index.look_ups();
        assert!(after.filtered - before.filtered > 9_800, "{after:?}");
        assert!(after.missed - before.missed < 200, "{after:?}");
    }
}
