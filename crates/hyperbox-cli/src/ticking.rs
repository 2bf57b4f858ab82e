// SPDX-License-Identifier: MIT
//! When a live view is drawn: regularly, whether news come in the meantime or not. Pure but for the clock.

use std::time::{Duration, Instant};

/// How often a live view is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Tells when to draw.
#[derive(Debug)]
pub(crate) struct Ticker {
    next: Instant,
}

impl Ticker {
    /// Begins now: the first time is a tick later.
    pub(crate) fn begin() -> Self {
        Self {
            next: Instant::now() + TICK,
        }
    }

    /// Returns how long news are waited for.
    pub(crate) fn left(&self) -> Duration {
        self.left_at(Instant::now())
    }

    /// Tells whether it is time; if so, the next time is a tick later.
    pub(crate) fn is_due(&mut self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn left_at(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    fn is_due_at(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + TICK;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_that_come_all_the_time_do_not_put_it_off() {
        let begin = Instant::now();
        let mut ticker = Ticker { next: begin + TICK };
        let news = Duration::from_millis(30);
        let drawn = (1..=20).filter(|count| ticker.is_due_at(begin + news * *count)).count();
        assert_eq!(drawn, 5);
        let mut ticker = Ticker { next: begin + TICK };
        assert_eq!(ticker.left_at(begin + news), TICK - news);
        assert_eq!(ticker.left_at(begin + TICK * 3), Duration::ZERO);
        assert!(ticker.is_due_at(begin + TICK * 3));
        assert_eq!(ticker.left_at(begin + TICK * 3), TICK);
    }
}
