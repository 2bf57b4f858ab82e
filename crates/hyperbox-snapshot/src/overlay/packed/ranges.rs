// SPDX-License-Identifier: MIT
//! Sets of ranges of a file: what of a pack is referred to, and the gaps that are not. Pure.

use std::ops::Range;

/// Ranges, ascending, none touching another once [`Ranges::settle`] was called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds a range, which may lie anywhere.
    pub(super) fn add(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            // What comes in order, as objects were written, needs no sorting.
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.0.push(range),
        }
    }

    /// Sorts, and joins what touches.
    pub(super) fn settle(&mut self) {
        self.0.sort_unstable_by_key(|range| range.start);
        self.0.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what of `0..length` is in none; the ranges are settled.
    pub(super) fn gaps(&self, length: u64) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut reached = 0;
        for range in &self.0 {
            if range.start > reached {
                gaps.push(reached..range.start.min(length));
            }
            reached = reached.max(range.end);
        }
        if reached < length {
            gaps.push(reached..length);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_no_range_has() {
        type Pairs<'a> = &'a [(u64, u64)];
        let cases: &[(Pairs<'_>, u64, Pairs<'_>)] = &[
            (&[], 10, &[(0, 10)]),
            (&[(0, 10)], 10, &[]),
            (&[(4, 6), (0, 2), (6, 8)], 10, &[(2, 4), (8, 10)]),
            (&[(4, 6), (4, 6), (5, 9), (0, 1)], 9, &[(1, 4)]),
            (&[(0, 5), (5, 7)], 20, &[(7, 20)]),
        ];
        for (ranges, length, expected) in cases {
            let mut set = Ranges::default();
            ranges.iter().for_each(|(start, end)| set.add(*start..*end));
            set.settle();
            let gaps: Vec<_> = set.gaps(*length).iter().map(|gap| (gap.start, gap.end)).collect();
            assert_eq!(gaps, *expected);
        }
    }
}
