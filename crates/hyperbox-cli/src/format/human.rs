// SPDX-License-Identifier: MIT
//! Times and sizes as Docker shows them to people (`docker/go-units`).

use hyperbox_types::ByteSize;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Says roughly how long that is.
pub(crate) fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Says roughly how long ago a second of the epoch was.
pub(crate) fn ago(second: i64) -> String {
    if second <= 0 {
        return "N/A".to_owned();
    }
    format!("{} ago", duration(Timestamp::now().as_second() - second))
}

/// Shows a second of the epoch in local time, as Go does.
pub(crate) fn local_time(second: i64) -> String {
    let point = Timestamp::from_second(second)
        .unwrap_or_default()
        .to_zoned(TimeZone::system());
    point.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// Shows a size in powers of 1000 with four digits.
pub(crate) fn decimal_size(bytes: i64) -> String {
    ByteSize(u64::try_from(bytes).unwrap_or_default()).decimal()
}

/// Shows a size in powers of 1000 with three digits.
pub(crate) fn three_digits(bytes: i64) -> String {
    let mut value = bytes.max(0) as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].iter().peekable();
    let mut unit = "B";
    while let Some(next) = units.next() {
        unit = next;
        if value < 1000.0 || units.peek().is_none() {
            break;
        }
        value /= 1000.0;
    }
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let mut text = format!("{value:.digits$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (47 * 3600, "47 hours"),
            (3 * 86_400, "3 days"),
            (15 * 86_400, "2 weeks"),
            (90 * 86_400, "3 months"),
            (3 * 365 * 86_400, "3 years"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1_984_321, "1.98MB"),
            (12_345, "12.3kB"),
            (131_000_000, "131MB"),
        ] {
            assert_eq!(three_digits(bytes), text);
        }
    }
}
