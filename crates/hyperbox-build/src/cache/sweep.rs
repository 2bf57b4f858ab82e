// SPDX-License-Identifier: MIT
//! What of the cache goes: records of steps, and directories of cache mounts. Pure.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use hyperbox_core::time::Timestamp;
use hyperbox_types::{ByteSize, DiffId, Digest};

/// What can go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entry {
    /// The record of a step. Several can have the same layer.
    Step {
        /// What names the record.
        key: Digest,
        /// Its layer.
        layer: DiffId,
    },
    /// The directory of a cache mount.
    Mount(String),
    /// What somebody else keeps.
    Foreign(String),
}

impl Entry {
    /// Returns what names it.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Step { key, .. } => key.hex(),
            Self::Mount(id) | Self::Foreign(id) => id,
        }
    }

    /// Returns what occupies the space.
    fn content(&self) -> Content<'_> {
        match self {
            Self::Step { layer, .. } => Content::Layer(layer),
            Self::Mount(id) | Self::Foreign(id) => Content::Directory(id),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content<'a> {
    Layer(&'a DiffId),
    Directory(&'a str),
}

/// Something that could go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    /// What it is.
    pub(crate) entry: Entry,
    /// What it occupies.
    pub(crate) size: ByteSize,
    /// When it was last used.
    pub(crate) used_at: Timestamp,
    /// Whether an image has it too: then nothing is gained.
    pub(crate) shared: bool,
    /// Whether it stays whatever the limits are; it counts all the same.
    pub(crate) stays: bool,
}

/// What may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    /// So much may stay; `None` is no limit.
    pub(crate) keep: Option<ByteSize>,
    /// What was used in this time stays, whatever its size; `None` protects nothing.
    pub(crate) unused_for: Option<Duration>,
    /// Whether what images have too may go.
    pub(crate) also_shared: bool,
}

/// Says that everything stays but what is named so; no names are everything.
pub(crate) fn only(candidates: &mut [Candidate], ids: &[String]) {
    let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
    for candidate in candidates.iter_mut().filter(|_| !ids.is_empty()) {
        candidate.stays |= !ids.contains(candidate.entry.id());
    }
}

/// Chooses what goes: what was not used for the longest time first, until no more is there than may stay. Without a limit of size
/// everything goes that may.
pub(crate) fn choose(candidates: &[Candidate], now: Timestamp, limits: Limits) -> Vec<Entry> {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by(|one, other| (one.used_at.cmp(&other.used_at)).then_with(|| one.entry.cmp(&other.entry)));
    let mut holders: BTreeMap<Content<'_>, usize> = BTreeMap::new();
    let mut total = 0;
    for candidate in candidates {
        let holders = holders.entry(candidate.entry.content()).or_default();
        if *holders == 0 && !candidate.shared {
            total += candidate.size.0;
        }
        *holders += 1;
    }
    let mut gone = Vec::new();
    for candidate in order {
        if limits.keep.is_some_and(|keep| total <= keep.0) {
            break;
        }
        let recent = limits
            .unused_for
            .is_some_and(|time| now.since(candidate.used_at) < time);
        if recent || candidate.stays || (candidate.shared && !limits.also_shared) {
            continue;
        }
        gone.push(candidate.entry.clone());
        let left = holders.entry(candidate.entry.content()).or_default();
        *left = left.saturating_sub(1);
        if *left == 0 && !candidate.shared {
            total = total.saturating_sub(candidate.size.0);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::from_sha256([number; 32])
    }

    #[test]
    fn only_what_is_named_may_go() {
        let named = |ids: &[&str]| {
            let mut all: Vec<Candidate> = ["a1", "a1-1", "a1-2", "b"]
                .map(|id| Candidate {
                    entry: Entry::Mount(id.to_owned()),
                    size: ByteSize(1),
                    used_at: Timestamp(0),
                    shared: false,
                    stays: id == "b",
                })
                .into();
            let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            only(&mut all, &ids);
            all.retain(|candidate| !candidate.stays);
            all.iter()
                .map(|candidate| candidate.entry.id().to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(named(&[]), "a1 a1-1 a1-2");
        assert_eq!(named(&["a1"]), "a1");
        assert_eq!(named(&["a1-2", "b", "none"]), "a1-2");
    }

    /// Key, layer, size, seconds of the last use, shared.
    fn candidates(rows: &[(u8, u8, u64, i64, bool)]) -> Vec<Candidate> {
        rows.iter()
            .map(|(key, layer, size, used, shared)| Candidate {
                entry: Entry::Step {
                    key: digest(*key),
                    layer: DiffId(digest(*layer)),
                },
                size: ByteSize(*size),
                used_at: Timestamp(used * 1_000_000_000),
                shared: *shared,
                stays: false,
            })
            .collect()
    }

    fn mount(id: &str, size: u64, used: i64) -> Candidate {
        Candidate {
            entry: Entry::Mount(id.to_owned()),
            size: ByteSize(size),
            used_at: Timestamp(used * 1_000_000_000),
            shared: false,
            stays: false,
        }
    }

    fn ids(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(Entry::id).collect()
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let now = Timestamp(1_000 * 1_000_000_000);
        let rows = [
            (1, 1, 10, 100, false),
            (2, 2, 20, 50, false),
            (3, 3, 30, 900, false),
            (4, 4, 40, 10, true),
        ];
        let all = candidates(&rows);
        let limits = |keep: Option<u64>, seconds: Option<u64>, also_shared| Limits {
            keep: keep.map(ByteSize),
            unused_for: seconds.map(Duration::from_secs),
            also_shared,
        };
        for (limits, gone) in [
            (limits(Some(60), None, false), vec![]),
            (limits(Some(40), None, false), vec![2]),
            (limits(Some(35), None, false), vec![2, 1]),
            (limits(Some(0), None, false), vec![2, 1, 3]),
            (limits(Some(0), None, true), vec![4, 2, 1, 3]),
            (limits(None, None, false), vec![2, 1, 3]),
            (limits(None, None, true), vec![4, 2, 1, 3]),
            (limits(None, Some(200), false), vec![2, 1]),
            (limits(None, Some(2_000), true), vec![]),
        ] {
            let expected: Vec<Digest> = gone.iter().map(|key| digest(*key)).collect();
            let expected: Vec<&str> = expected.iter().map(Digest::hex).collect();
            assert_eq!(ids(&choose(&all, now, limits)), expected, "{limits:?}");
        }
    }

    #[test]
    fn a_layer_of_two_records_goes_with_the_second() {
        let all = candidates(&[(1, 9, 10, 1, false), (2, 9, 10, 2, false), (3, 3, 10, 3, false)]);
        let limits = Limits {
            keep: Some(ByteSize(10)),
            ..Limits::default()
        };
        let chosen = choose(&all, Timestamp(0), limits);
        assert_eq!(ids(&chosen), [digest(1).hex(), digest(2).hex()]);
    }

    #[test]
    fn cache_mounts_count_and_go_in_their_turn() {
        let mut all = candidates(&[(1, 1, 10, 2, false), (2, 2, 10, 4, false)]);
        all.extend([mount("old", 100, 1), mount("used", 100, 0), mount("new", 100, 3)]);
        all[3].stays = true;
        let step = digest(1);
        for (keep, gone) in [
            (Some(320), vec![]),
            (Some(230), vec!["old"]),
            (Some(215), vec!["old", step.hex()]),
            (Some(150), vec!["old", step.hex(), "new"]),
            (Some(320 - 200), vec!["old", step.hex(), "new"]),
        ] {
            let limits = Limits {
                keep: keep.map(ByteSize),
                ..Limits::default()
            };
            assert_eq!(ids(&choose(&all, Timestamp(0), limits)), gone, "{keep:?}");
        }
    }
}
