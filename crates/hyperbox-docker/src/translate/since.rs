// SPDX-License-Identifier: MIT
//! Durations and moments in the words of Docker's lists (`docker/go-units`, `HumanDuration`).

use std::time::Duration;

use hyperbox_core::time::Timestamp;

/// Go's zero time, which stands for "never".
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// Shows a moment, or Go's zero time.
pub(crate) fn moment(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| NEVER.to_owned(), |moment| moment.to_string())
}

/// Shows a moment with exactly nine digits of fraction, as logs have it.
pub(crate) fn fixed_width(nanoseconds: i64) -> String {
    let seconds = Timestamp(nanoseconds.div_euclid(1_000_000_000) * 1_000_000_000).to_string();
    let fraction = nanoseconds.rem_euclid(1_000_000_000);
    format!("{}.{fraction:09}Z", seconds.trim_end_matches('Z'))
}

/// Shows a duration roughly: `3 seconds`, `About a minute`, `2 weeks`.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // Hours are rounded, everything else is cut off.
    let hours = (seconds + 1800) / 3600;
    let days = hours / 24;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, 0..48) => format!("{hours} hours"),
        _ if days < 14 => format!("{days} days"),
        _ if days < 60 => format!("{} weeks", days / 7),
        _ if days < 730 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_dockers() {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        for (seconds, expected) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (59 * 60, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 1800, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn log_times_have_a_fixed_width() {
        assert_eq!(fixed_width(1_795_378_867_100_000_000), "2026-11-22T20:21:07.100000000Z");
        assert_eq!(fixed_width(1_795_378_867_000_000_000), "2026-11-22T20:21:07.000000000Z");
    }
}
