// SPDX-License-Identifier: MIT
//! When to try again, and how long to wait. Pure but for [`jitter`].

use std::time::Duration;

use jiff::Timestamp;

use crate::config::RetryPolicy;

/// Counts the attempts at one step.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    policy: RetryPolicy,
    failed: u32,
}

impl Attempts {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, failed: 0 }
    }

    /// Something was achieved: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }

    /// Records a failure; returns how long to wait before trying again, or `None` to give up.
    ///
    /// `random` in 0..=255 chooses between half and the whole of the back-off, so that clients that failed together do not come
    /// back together. A longer wish of the server goes first; one beyond the policy means giving up.
    pub(crate) fn next_delay(&mut self, retry_after: Option<Duration>, random: u8) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= self.policy.attempts {
            return None;
        }
        let doublings = (self.failed - 1).min(20);
        let backoff = self
            .policy
            .base_delay
            .saturating_mul(1 << doublings)
            .min(self.policy.max_delay);
        let delay = backoff / 2 + (backoff / 2).mul_f64(f64::from(random) / 255.0);
        match retry_after {
            Some(wish) if wish > self.policy.max_retry_after => None,
            Some(wish) => Some(delay.max(wish)),
            None => Some(delay),
        }
    }
}

/// Parses `Retry-After`: seconds, or an HTTP date (RFC 9110 §10.2.3). A date in the past is zero.
pub(crate) fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// Returns a random byte; without a source of randomness the back-off is merely not spread.
pub(crate) fn jitter() -> u8 {
    let mut byte = [0_u8];
    match getrandom::fill(&mut byte) {
        Ok(()) => byte[0],
        Err(_) => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 4,
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_millis(300),
            max_retry_after: Duration::from_secs(5),
        }
    }

    #[test]
    fn backs_off_and_gives_up() {
        let mut attempts = Attempts::new(policy());
        let delays: Vec<Option<u128>> = (0..4)
            .map(|_| attempts.next_delay(None, 255).map(|delay| delay.as_millis()))
            .collect();
        assert_eq!(delays, [Some(100), Some(200), Some(300), None]);
        attempts.reset();
        assert_eq!(attempts.next_delay(None, 0), Some(Duration::from_millis(50)));
    }

    #[test]
    fn the_servers_wish_is_obeyed_within_reason() {
        let delay = |seconds| Attempts::new(policy()).next_delay(Some(Duration::from_secs(seconds)), 255);
        assert_eq!(delay(0), Some(Duration::from_millis(100)));
        assert_eq!(delay(5), Some(Duration::from_secs(5)));
        assert_eq!(delay(6), None);
    }

    #[test]
    fn retry_after_forms() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().expect("timestamp");
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let parsed = parse_retry_after(value, now).map(|delay| delay.as_secs());
            assert_eq!(parsed, seconds, "{value}");
        }
    }
}
