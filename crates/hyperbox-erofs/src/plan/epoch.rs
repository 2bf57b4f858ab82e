// SPDX-License-Identifier: MIT
//! The time of compact inodes: they are half as long as extended ones, but all have the superblock's time.

use super::Record;
use crate::layout::inode::fits_compact;
use crate::model::Timestamp;
use crate::tree::Tree;

/// How many candidates are followed: a time that more than one inode in nine has is always found.
const CANDIDATES: usize = 8;

/// The time that most inodes have of those that could be compact, or a frequent one (the algorithm of Misra and Gries, then counted).
/// Images that were made reproducibly have one time for nearly all.
pub(super) fn choose(tree: &Tree, records: &[Record]) -> Timestamp {
    let times = || {
        records.iter().filter_map(|record| {
            let attributes = &tree.inode(record.id).attributes;
            fits_compact(attributes.uid, attributes.gid, record.links, record.size).then_some(attributes.modified)
        })
    };
    let mut candidates: Vec<(Timestamp, u64)> = Vec::with_capacity(CANDIDATES);
    for time in times() {
        if let Some((_, weight)) = candidates.iter_mut().find(|(candidate, _)| *candidate == time) {
            *weight += 1;
        } else if candidates.len() < CANDIDATES {
            candidates.push((time, 1));
        } else {
            candidates.iter_mut().for_each(|(_, weight)| *weight -= 1);
            candidates.retain(|(_, weight)| *weight > 0);
        }
    }
    candidates.iter_mut().for_each(|(_, count)| *count = 0);
    for time in times() {
        if let Some((_, count)) = candidates.iter_mut().find(|(candidate, _)| *candidate == time) {
            *count += 1;
        }
    }
    let best = candidates.into_iter().max_by_key(|(time, count)| (*count, *time));
    best.map(|(time, _)| time).unwrap_or_default()
}
