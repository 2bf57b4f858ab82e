// SPDX-License-Identifier: MIT
//! Optimizing by itself: some time after layers came, when nothing goes on.

use std::collections::HashSet;
use std::time::Duration;

use hyperbox_types::DiffId;
use tracing::{debug, info, warn};

use super::{Images, OptimizeOptions};

/// When layers are optimized by themselves, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleWork {
    /// After no layer came or went for as long; at most twice that.
    pub after: Duration,
    /// Remove compressed blobs that a registry has, too.
    pub release_blobs: bool,
}

/// After failures without end, work is tried again after so many looks: once a day for those that are ten minutes apart.
const LONGEST_REST: u32 = 144;

/// What is known from looking at the layers before.
#[derive(Debug, Default)]
struct Seen {
    last: HashSet<DiffId>,
    done: HashSet<DiffId>,
    /// Attempts that failed since the last one that did not.
    failures: u32,
    /// How many looks are to pass before the next attempt.
    rest: u32,
}

impl Seen {
    /// Tells whether to work now: there is something new, it has been there for a while, and the last attempt did not fail just before.
    fn looks_at(&mut self, layers: HashSet<DiffId>, is_busy: bool) -> bool {
        let is_settled = layers == self.last && !is_busy;
        let is_new = layers.iter().any(|layer| !self.done.contains(layer));
        if !self.last.is_subset(&layers) {
            // What went has made room.
            self.rest = 0;
        }
        self.last = layers;
        let is_rested = self.rest == 0;
        self.rest = self.rest.saturating_sub(1);
        is_settled && is_new && is_rested
    }

    /// Says that the work is done for what was looked at last; until then it is tried again.
    fn is_done(&mut self) {
        self.done.clone_from(&self.last);
        self.failures = 0;
    }

    /// Says that the work failed: each attempt reads all layers, so that the next ones are further and further apart.
    fn has_failed(&mut self) {
        self.failures += 1;
        self.rest = 2_u32.saturating_pow(self.failures).min(LONGEST_REST) - 1;
    }
}

impl Images {
    /// Optimizes again and again as layers come, until the future is dropped; what is being done then goes on to its end.
    pub async fn optimize_when_idle(&self, work: IdleWork) {
        if self.optimizer().is_err() {
            return;
        }
        let mut seen = Seen::default();
        let mut ticks = tokio::time::interval(work.after);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let layers = self.layers_by_age().into_iter().collect();
            if !seen.looks_at(layers, self.pace().is_busy()) {
                continue;
            }
            let options = OptimizeOptions {
                undo: false,
                release_blobs: work.release_blobs,
            };
            let optimized = self.optimize(options).await;
            if optimized.is_ok() {
                seen.is_done();
            } else {
                seen.has_failed();
            }
            match optimized {
                Ok(report) if report.layers > 0 => info!(
                    layers = report.layers,
                    before = report.before,
                    after = report.after,
                    "files of several layers are stored once"
                ),
                Ok(_) => debug!("no layers to optimize"),
                Err(error) => warn!(%error, "layers are not optimized"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::Digest;

    use super::*;

    #[test]
    fn work_waits_for_quiet_and_is_done_once() {
        let layers = |numbers: &[u8]| -> HashSet<DiffId> {
            let layer = |number: &u8| DiffId(Digest::from_sha256([*number; 32]));
            numbers.iter().map(layer).collect()
        };
        let mut seen = Seen::default();
        let steps: [(&[u8], bool, bool); 9] = [
            (&[], false, false),
            (&[1], false, false),
            (&[1, 2], false, false),
            (&[1, 2], true, false),
            (&[1, 2], false, true),
            (&[1, 2], false, false),
            (&[1], false, false),
            (&[1], false, false),
            (&[1, 3], false, false),
        ];
        for (number, (there, is_busy, expected)) in steps.into_iter().enumerate() {
            assert_eq!(seen.looks_at(layers(there), is_busy), expected, "step {number}");
            if expected {
                // What failed is tried again.
                assert!(seen.looks_at(layers(there), is_busy), "step {number}");
                seen.is_done();
            }
        }
        assert!(seen.looks_at(layers(&[1, 3]), false));
    }

    #[test]
    fn what_fails_is_tried_less_and_less_often() {
        let layers = |numbers: &[u8]| -> HashSet<DiffId> {
            let layer = |number: &u8| DiffId(Digest::from_sha256([*number; 32]));
            numbers.iter().map(layer).collect()
        };
        let mut seen = Seen::default();
        seen.looks_at(layers(&[1, 2]), false);
        let looks_until_work = |seen: &mut Seen, there: &[u8]| {
            let looks = (1..).find(|_| seen.looks_at(layers(there), false));
            seen.has_failed();
            looks.expect("it is never given up")
        };
        let waits: Vec<u32> = (0..10).map(|_| looks_until_work(&mut seen, &[1, 2])).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 144, 144]);
        // Room was made: as soon as that has settled.
        assert_eq!(looks_until_work(&mut seen, &[1]), 2);
        seen.is_done();
        seen.rest = 0;
        assert_eq!(looks_until_work(&mut seen, &[1, 2]), 2);
        assert_eq!(looks_until_work(&mut seen, &[1, 2]), 2);
    }
}
