// SPDX-License-Identifier: MIT
//! How to make a stream out of chunks that are here and chunks that are elsewhere. Pure.

use crate::list::{ListedChunk, MOST_RANGES, Range};
use crate::{ChunkId, ChunkIndex};

/// Where the bytes of a chunk come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<P> {
    /// From here, from that place.
    Here(P),
    /// From elsewhere.
    Elsewhere,
}

/// One chunk of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<P> {
    /// Its name: what its bytes must hash to.
    pub id: ChunkId,
    /// Where it begins in the stream.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u32,
    /// Where they come from.
    pub origin: Origin<P>,
}

/// All chunks of a stream in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe<P> {
    steps: Vec<Step<P>>,
    total: u64,
    missing: u64,
}

impl<P: Copy> Recipe<P> {
    /// Looks up each chunk of a list.
    pub fn new(list: &[ListedChunk], known: &ChunkIndex<P>) -> Self {
        let (mut total, mut missing) = (0, 0);
        let mut steps = Vec::with_capacity(list.len());
        for chunk in list {
            let origin = match known.get(&chunk.id) {
                Some(place) => Origin::Here(*place),
                None => {
                    missing += u64::from(chunk.length);
                    Origin::Elsewhere
                }
            };
            steps.push(Step {
                id: chunk.id,
                offset: total,
                length: chunk.length,
                origin,
            });
            total += u64::from(chunk.length);
        }
        Self { steps, total, missing }
    }

    /// Returns the chunks in order.
    pub fn steps(&self) -> &[Step<P>] {
        &self.steps
    }

    /// Returns the length of the stream in bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns how many bytes come from elsewhere.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Returns what is to be asked for from the step `first` on: as many ranges as one question may have. Neighbours are one range.
    pub fn ranges_from(&self, first: usize) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        let steps = self.steps.get(first..).unwrap_or_default();
        for step in steps.iter().filter(|step| matches!(step.origin, Origin::Elsewhere)) {
            let is_full = ranges.len() == MOST_RANGES;
            match ranges.last_mut() {
                Some(last) if last.offset + last.length == step.offset => last.length += u64::from(step.length),
                _ if is_full => break,
                _ => ranges.push(Range {
                    offset: step.offset,
                    length: u64::from(step.length),
                }),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of chunks `1..=count`, each 10 bytes long; those in `here` are known at their number.
    fn recipe(count: u32, here: &[u32]) -> Recipe<u32> {
        let name = |number: &u32| ChunkId::of(&number.to_le_bytes());
        let mut known = ChunkIndex::default();
        for number in here {
            assert!(known.insert(name(number), *number));
        }
        let list: Vec<ListedChunk> = (1..=count)
            .map(|number| ListedChunk {
                id: name(&number),
                length: 10,
            })
            .collect();
        Recipe::new(&list, &known)
    }

    #[test]
    fn what_is_missing_is_asked_for_in_as_few_ranges_as_possible() {
        for (count, here, first, ranges) in [
            (0, &[][..], 0, &[][..]),
            (3, &[1, 2, 3], 0, &[]),
            (3, &[], 0, &[(0, 30)]),
            (5, &[2, 3], 0, &[(0, 10), (30, 20)]),
            (5, &[2, 3], 1, &[(30, 20)]),
            (5, &[2, 3], 4, &[(40, 10)]),
            (5, &[2, 3], 9, &[]),
        ] {
            let recipe = recipe(count, here);
            let found: Vec<(u64, u64)> = recipe
                .ranges_from(first)
                .iter()
                .map(|range| (range.offset, range.length))
                .collect();
            assert_eq!(found, ranges, "{count} {here:?} {first}");
            assert_eq!(recipe.total(), u64::from(count) * 10);
            assert_eq!(recipe.missing(), (u64::from(count) - here.len() as u64) * 10);
        }
    }

    #[test]
    fn a_question_has_an_end() {
        let here: Vec<u32> = (1..=40_000).filter(|number| number % 2 == 0).collect();
        let recipe = recipe(40_000, &here);
        assert_eq!(recipe.ranges_from(0).len(), MOST_RANGES);
        assert_eq!(recipe.ranges_from(2 * MOST_RANGES).len(), 20_000 - MOST_RANGES);
    }
}
