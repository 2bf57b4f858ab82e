// SPDX-License-Identifier: MIT
//! Which blobs nothing leads to: the marking half of garbage collection, as a pure function.
//!
//! The caller decides what the roots are (images, leases of pulls that run) and what a blob refers to, and sweeps. To be safe
//! against work that goes on meanwhile, list the blobs first and the roots afterwards: what appears in between is then either
//! not listed or already a root.

use std::collections::HashSet;

use hyperbox_types::Digest;

/// Returns those of `all` that cannot be reached from `roots` over `references`, in the order of `all`.
///
/// `references` is asked at most once per blob, also for blobs that are not in `all`. Cycles are fine.
pub fn unreachable(
    all: &[Digest],
    roots: impl IntoIterator<Item = Digest>,
    mut references: impl FnMut(&Digest) -> Vec<Digest>,
) -> Vec<Digest> {
    let mut reached = HashSet::new();
    let mut waiting: Vec<Digest> = roots.into_iter().collect();
    while let Some(digest) = waiting.pop() {
        if !reached.contains(&digest) {
            waiting.extend(references(&digest));
            reached.insert(digest);
        }
    }
    all.iter()
        .filter(|digest| !reached.contains(*digest))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(number: u8) -> Digest {
        Digest::from_sha256([number; 32])
    }

    #[test]
    fn follows_references_and_survives_cycles() {
        let edges = [(1, 2), (2, 3), (3, 1), (5, 6), (6, 6)];
        let references = |digest: &Digest| {
            edges
                .iter()
                .filter(|(from, _)| blob(*from) == *digest)
                .map(|(_, to)| blob(*to))
                .collect()
        };
        let all: Vec<Digest> = (1..=7).map(blob).collect();
        for (roots, left) in [
            (vec![1], vec![4, 5, 6, 7]),
            (vec![2, 5], vec![4, 7]),
            (vec![], vec![1, 2, 3, 4, 5, 6, 7]),
            (vec![9], vec![1, 2, 3, 4, 5, 6, 7]),
        ] {
            let left: Vec<Digest> = left.into_iter().map(blob).collect();
            assert_eq!(unreachable(&all, roots.into_iter().map(blob), references), left);
        }
    }
}
