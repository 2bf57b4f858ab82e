// SPDX-License-Identifier: MIT
//! Which layers are worth to be packed: pure.
//!
//! Packing a layer costs its list of objects and some files, and saves what another layer or a pack has already. Layers that save too
//! little keep their tars; then others save less, so it is decided again until nothing changes.

use std::collections::{HashMap, HashSet};

/// What an object of a list takes, and what each layer takes besides.
const COST: (u64, u64) = (64, 16 << 10);
/// At least one part in so many of a layer's data has to be saved.
const LEAST_PART: u64 = 32;

/// A layer that may be packed.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidate<K> {
    /// What identifies those of its files that may be somewhere else too, with their lengths.
    pub(super) shared: Vec<(K, u64)>,
    /// How many files it has.
    pub(super) files: u64,
    /// Bytes of all its files.
    pub(super) bytes: u64,
}

/// Tells of each candidate whether it is worth to be packed. `stored` tells what packs have already.
pub(super) fn choose<K: Copy + Eq + std::hash::Hash>(candidates: &[Candidate<K>], stored: &HashSet<K>) -> Vec<bool> {
    let mut counts: HashMap<K, u64> = HashMap::new();
    for (key, _) in candidates.iter().flat_map(|candidate| &candidate.shared) {
        *counts.entry(*key).or_default() += 1;
    }
    let mut chosen = vec![true; candidates.len()];
    loop {
        let mut changed = false;
        for (number, candidate) in candidates.iter().enumerate() {
            if chosen[number] && !is_worth(candidate, &counts, stored) {
                (chosen[number], changed) = (false, true);
                for (key, _) in &candidate.shared {
                    counts.entry(*key).and_modify(|count| *count -= 1);
                }
            }
        }
        if !changed {
            return chosen;
        }
    }
}

fn is_worth<K: Eq + std::hash::Hash>(candidate: &Candidate<K>, counts: &HashMap<K, u64>, stored: &HashSet<K>) -> bool {
    let saved = |(key, length): &(K, u64)| {
        if stored.contains(key) {
            return *length;
        }
        // One of those that have it pays; in the end each pays its part.
        length - length / counts.get(key).copied().unwrap_or(1).max(1)
    };
    let saved: u64 = candidate.shared.iter().map(saved).sum();
    saved > COST.0 * candidate.files + COST.1 && saved * LEAST_PART >= candidate.bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(shared: &[(char, u64)], own: u64) -> Candidate<char> {
        Candidate {
            shared: shared.to_vec(),
            files: shared.len() as u64 + 1,
            bytes: own + shared.iter().map(|(_, length)| length).sum::<u64>(),
        }
    }

    #[test]
    fn layers_are_packed_that_save_something() {
        let mega = 1 << 20;
        for (name, candidates, stored, expected) in [
            ("alone", vec![candidate(&[], mega)], "", vec![false]),
            (
                "its own double",
                vec![candidate(&[('a', mega), ('a', mega)], 0)],
                "",
                vec![true],
            ),
            (
                "two versions and a stranger",
                vec![
                    candidate(&[('a', mega)], mega),
                    candidate(&[('a', mega)], mega),
                    candidate(&[('b', mega)], 0),
                ],
                "",
                vec![true, true, false],
            ),
            (
                "too little",
                vec![candidate(&[('a', 9000)], 0), candidate(&[('a', 9000)], 0)],
                "",
                vec![false, false],
            ),
            (
                "a small part of much",
                vec![candidate(&[('a', mega)], 100 * mega), candidate(&[('a', mega)], 0)],
                "",
                // The small one would have shared with the large one only.
                vec![false, false],
            ),
            ("with a pack", vec![candidate(&[('a', mega)], 0)], "a", vec![true]),
        ] {
            let stored = stored.chars().collect();
            assert_eq!(choose(&candidates, &stored), expected, "{name}");
        }
    }
}
