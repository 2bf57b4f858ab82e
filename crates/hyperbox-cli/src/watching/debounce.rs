// SPDX-License-Identifier: MIT
//! When changed files are worked on: as soon as there is quiet, at the latest after a while. Pure; time comes in.
//!
//! An editor writes a file in several steps, a checkout writes hundreds: each is one batch.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// No change for so long is quiet.
const QUIET: Duration = Duration::from_millis(150);
/// So long a batch waits at most.
const LONGEST: Duration = Duration::from_secs(2);

/// The paths of a batch.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    paths: BTreeSet<PathBuf>,
    /// When the first and the last change came.
    times: Option<(Duration, Duration)>,
}

impl Debounce {
    /// Takes a change in, at a time since some beginning.
    pub(super) fn add(&mut self, path: PathBuf, now: Duration) {
        self.paths.insert(path);
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
    }

    /// How long to wait for the next change; for ever when there is none.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let (first, last) = self.times?;
        let end = (last + QUIET).min(first + LONGEST);
        Some(end.saturating_sub(now))
    }

    /// Returns the batch when its time has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<BTreeSet<PathBuf>> {
        if self.wait(now)? > Duration::ZERO {
            return None;
        }
        self.times = None;
        Some(std::mem::take(&mut self.paths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes as (time, path), times at which it is asked, and what is due then.
    type Case = (
        &'static [(u64, &'static str)],
        &'static [(u64, &'static [&'static str])],
    );

    const CASES: &[Case] = &[
        (&[], &[(0, &[]), (10_000, &[])]),
        (&[(0, "a")], &[(100, &[]), (149, &[]), (150, &["a"]), (400, &[])]),
        (
            &[(0, "a"), (100, "b"), (200, "a")],
            &[(300, &[]), (349, &[]), (350, &["a", "b"])],
        ),
        (&[(0, "a"), (500, "b")], &[(150, &["a"]), (600, &[]), (650, &["b"])]),
    ];

    #[test]
    fn batches() {
        let time = Duration::from_millis;
        for (changes, questions) in CASES {
            let mut debounce = Debounce::default();
            let mut changes = changes.iter().peekable();
            for (now, expected) in *questions {
                while let Some((at, path)) = changes.next_if(|(at, _)| at <= now) {
                    debounce.add(PathBuf::from(path), time(*at));
                }
                let due = debounce.due(time(*now)).unwrap_or_default();
                let due: Vec<&str> = due.iter().filter_map(|path| path.to_str()).collect();
                assert_eq!(&due[..], *expected, "{questions:?} at {now}");
            }
        }
    }

    #[test]
    fn what_never_ends_is_worked_on_all_the_same() {
        let mut debounce = Debounce::default();
        let mut batches = Vec::new();
        for now in (0..=4100).step_by(100) {
            let now = Duration::from_millis(now);
            debounce.add(PathBuf::from("a"), now);
            if debounce.due(now).is_some() {
                batches.push(now.as_millis());
            }
        }
        assert_eq!(batches, [2000, 4100]);
        assert_eq!(debounce.wait(Duration::ZERO), None);
    }
}
