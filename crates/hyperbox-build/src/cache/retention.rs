// SPDX-License-Identifier: MIT
//! What goes by itself: after builds, what nobody has used for a long time, then what is too much. Pure.
//!
//! BuildKit's default policy has the same two reasons (`DefaultGCPolicy`: 60 days, and a size), and one more for what can be fetched again
//! at no cost, of which nothing is kept here.

use std::time::Duration;

use hyperbox_core::time::Timestamp;
use hyperbox_types::ByteSize;

use super::sweep::{Candidate, Entry, Limits, choose};

/// So often it is looked for what has become too old.
const BETWEEN_LOOKS: Duration = Duration::from_secs(60 * 60);

/// What stays by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So much of the layers of steps stays, besides what images have anyway.
    pub size: ByteSize,
    /// What no build used for this time goes, cache mounts too; `None` lets everything grow old.
    pub age: Option<Duration>,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Something may be too old.
    pub(crate) by_age: bool,
    /// There may be too much.
    pub(crate) by_size: bool,
}

impl Retention {
    /// Tells whether it is worth looking closely: `blobs` bytes are in the blobs of all layers, and `looked_at` somebody last looked for
    /// what is too old. Looking measures everything, and what is old may stay nevertheless: images may have it too.
    pub(crate) fn due(&self, blobs: u64, looked_at: Timestamp, now: Timestamp) -> Due {
        let looks_after = |age| now.since(looked_at) >= BETWEEN_LOOKS.min(age);
        Due {
            by_age: self.age.is_some_and(looks_after),
            // A blob is smaller than its layer: less than a third of the limit in blobs is never too much.
            by_size: blobs > self.size.0 / 3,
        }
    }

    /// Chooses what is too old.
    pub(crate) fn too_old(&self, candidates: &[Candidate], now: Timestamp) -> Vec<Entry> {
        let limits = Limits {
            keep: None,
            unused_for: self.age,
            also_shared: false,
        };
        match self.age {
            Some(_) => choose(candidates, now, limits),
            None => Vec::new(),
        }
    }

    /// Chooses what is too much.
    pub(crate) fn too_much(&self, candidates: &[Candidate], now: Timestamp) -> Vec<Entry> {
        let limits = Limits {
            keep: Some(self.size),
            ..Limits::default()
        };
        choose(candidates, now, limits)
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::{DiffId, Digest};

    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn days(days: u64) -> Timestamp {
        Timestamp(i64::try_from(days * DAY).unwrap() * 1_000_000_000)
    }

    fn keeping(size: u64, age_days: Option<u64>) -> Retention {
        Retention {
            size: ByteSize(size),
            age: age_days.map(|days| Duration::from_secs(days * DAY)),
        }
    }

    fn step(number: u8, size: u64, used: u64, shared: bool) -> Candidate {
        let digest = Digest::from_sha256([number; 32]);
        Candidate {
            entry: Entry::Step {
                layer: DiffId(digest.clone()),
                key: digest,
            },
            size: ByteSize(size),
            used_at: days(used),
            shared,
            stays: false,
        }
    }

    fn mount(id: &str, used: u64, in_use: bool) -> Candidate {
        Candidate {
            entry: Entry::Mount(id.to_owned()),
            size: ByteSize(1000),
            used_at: days(used),
            shared: false,
            stays: in_use,
        }
    }

    #[test]
    fn what_is_old_goes_and_then_what_is_too_much() {
        let all = [
            step(1, 10, 1, false),
            step(2, 20, 50, false),
            step(3, 30, 90, false),
            step(4, 40, 1, true),
            mount("old", 2, false),
            mount("used", 2, true),
            mount("new", 80, false),
        ];
        let name = |entry: &Entry| match entry {
            Entry::Step { key, .. } => key.hex()[1..2].to_owned(),
            Entry::Mount(id) | Entry::Foreign(id) => id.clone(),
        };
        for (retention, now, expected) in [
            (keeping(60, Some(60)), 58, ""),
            (keeping(60, Some(60)), 59, "1"),
            (keeping(60, Some(60)), 60, "1 old"),
            (keeping(60, Some(60)), 111, "1 old 2"),
            (keeping(60, Some(60)), 1000, "1 old 2 new 3"),
            (keeping(60, None), 1000, ""),
            (keeping(60, Some(0)), 90, "1 old 2 new 3"),
        ] {
            let gone = retention.too_old(&all, days(now + 2));
            let gone: Vec<String> = gone.iter().map(name).collect();
            assert_eq!(gone.join(" "), expected, "{retention:?} {now}");
        }
        let steps = &all[..4];
        for (size, expected) in [(60, ""), (59, "1"), (49, "1 2"), (0, "1 2 3")] {
            let gone = keeping(size, Some(60)).too_much(steps, days(100));
            let gone: Vec<String> = gone.iter().map(name).collect();
            assert_eq!(gone.join(" "), expected, "{size}");
        }
    }

    #[test]
    fn nothing_is_looked_at_without_a_reason() {
        let now = days(100);
        let ago = |seconds: i64| Timestamp(now.0 - seconds * 1_000_000_000);
        let both = |by_age, by_size| Due { by_age, by_size };
        for (retention, blobs, looked_at, expected) in [
            (keeping(30, Some(60)), 10, ago(1), both(false, false)),
            (keeping(30, Some(60)), 11, ago(1), both(false, true)),
            (keeping(30, Some(60)), 10, ago(3599), both(false, false)),
            (keeping(30, Some(60)), 10, ago(3600), both(true, false)),
            (keeping(30, None), 11, days(1), both(false, true)),
            (keeping(30, Some(0)), 0, ago(0), both(true, false)),
        ] {
            let due = retention.due(blobs, looked_at, now);
            assert_eq!(due, expected, "{retention:?} {blobs} {looked_at:?}");
        }
    }
}
