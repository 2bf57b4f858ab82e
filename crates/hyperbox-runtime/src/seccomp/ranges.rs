// SPDX-License-Identifier: MIT
//! Verdicts over all system call numbers, as few ranges as possible. Pure.

use super::Architecture;
use super::rules::{Decision, Profile};

/// Numbers from `start` to the next range's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub start: u32,
    pub decision: Decision,
}

/// `SECCOMP_RET_ERRNO` with `ENOSYS`.
const NO_SUCH_CALL: u32 = 0x0005_0000 | 38;

/// Covers the numbers from `first` to `last`.
pub(super) fn cover(profile: &Profile, architecture: Architecture, first: u32, last: u32) -> Vec<Range> {
    let default = Decision::Always(profile.default);
    let mut ranges = vec![Range {
        start: first,
        decision: default.clone(),
    }];
    let decisions = profile.decisions(architecture);
    for (number, decision) in &decisions.by_number {
        ranges.push(Range {
            start: *number,
            decision: decision.clone(),
        });
        if *number < last {
            ranges.push(Range {
                start: number + 1,
                decision: default.clone(),
            });
        }
    }
    if let Some(highest) = decisions.highest_named.filter(|_| profile.hides_young_calls())
        && highest < last
    {
        ranges.push(Range {
            start: highest + 1,
            decision: Decision::Always(NO_SUCH_CALL),
        });
    }
    merge(ranges)
}

/// Drops ranges of no length (the later one at a place counts), and joins neighbours that are decided alike.
pub(super) fn merge(ranges: Vec<Range>) -> Vec<Range> {
    let mut merged: Vec<Range> = Vec::new();
    for range in ranges {
        if merged.last().is_some_and(|last| last.start == range.start) {
            merged.pop();
        }
        if merged.last().is_none_or(|last| last.decision != range.decision) {
            merged.push(range);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined() {
        let range = |start, verdict| Range {
            start,
            decision: Decision::Always(verdict),
        };
        let list = vec![
            range(0, 1),
            range(0, 2),
            range(1, 1),
            range(1, 2),
            range(2, 1),
            range(5, 1),
        ];
        assert_eq!(merge(list), [range(0, 2), range(2, 1)]);
    }
}
