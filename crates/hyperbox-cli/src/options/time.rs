// SPDX-License-Identifier: MIT
//! Points in time for `--since` and `--until`: a duration before now, RFC 3339, a local date, or seconds of the epoch.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::parse_duration;

/// Parses a point in time into seconds of the epoch with nine decimals, as the daemon takes it.
pub(crate) fn timestamp(text: &str, now: Timestamp, zone: &TimeZone) -> Result<String, String> {
    let malformed = || format!("invalid value for time: {text:?}");
    if let Ok(duration) = parse_duration(text)
        && text != "0"
    {
        let point = now
            .checked_sub(SignedDuration::from_nanos(duration))
            .map_err(|_| malformed())?;
        return Ok(decimal(point));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !seconds.is_empty() && digits(seconds) && digits(fraction) && fraction.len() <= 9 {
        return Ok(format!("{seconds}.{fraction:0<9}"));
    }
    if let Ok(point) = text.parse::<Timestamp>() {
        return Ok(decimal(point));
    }
    let civil = if text.contains(['T', ' ']) {
        text.parse::<DateTime>().or_else(|_| format!("{text}:00").parse())
    } else {
        text.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0))
    };
    let point = civil
        .and_then(|civil| zone.to_timestamp(civil))
        .map_err(|_| malformed())?;
    Ok(decimal(point))
}

fn decimal(point: Timestamp) -> String {
    let nanoseconds = point.as_nanosecond();
    format!(
        "{}.{:09}",
        nanoseconds.div_euclid(1_000_000_000),
        nanoseconds.rem_euclid(1_000_000_000)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (text, expected) in [
            ("10m", "999400.000000000"),
            ("1.5s", "999998.500000000"),
            ("123", "123.000000000"),
            ("123.5", "123.500000000"),
            ("1970-01-02T00:00:00Z", "86400.000000000"),
            ("1970-01-02T00:00:00.25+00:00", "86400.250000000"),
            ("1970-01-02T01:00:00", "90000.000000000"),
            ("1970-01-02T01:00", "90000.000000000"),
            ("1970-01-02", "86400.000000000"),
        ] {
            assert_eq!(timestamp(text, now, &TimeZone::UTC).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "foo", "12.1234567890", "1970-13-01"] {
            assert!(timestamp(text, now, &TimeZone::UTC).is_err(), "{text}");
        }
    }
}
