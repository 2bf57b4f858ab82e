// SPDX-License-Identifier: MIT
//! Time of all processors of the machine, whoever used it: what a packet costs is charged to whom it interrupts.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// `USER_HZ` of `proc(5)`: the same on all architectures that the engines know.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of the first line of `/proc/stat` that say that nothing was done: `idle` and `iowait`.
const IDLE: [usize; 2] = [3, 4];
/// Fields behind these are parts of the first ones.
const FIELDS: usize = 8;

/// Returns what was used since the machine started.
pub(super) fn used() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    parse(&text).context("cannot read /proc/stat")
}

fn parse(text: &str) -> Option<Duration> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let mut ticks = 0;
    for (index, field) in fields.take(FIELDS).enumerate() {
        let number: u32 = field.parse().ok()?;
        ticks += if IDLE.contains(&index) { 0 } else { number };
    }
    Some(Duration::from_secs_f64(f64::from(ticks) / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_used() {
        let text = "cpu  10 20 30 4000 5000 60 70 10 999 999\ncpu0 1 2 3\n";
        assert_eq!(parse(text), Some(Duration::from_secs(2)));
        assert_eq!(parse("intr 5"), None);
    }
}
