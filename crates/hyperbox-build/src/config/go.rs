// SPDX-License-Identifier: MIT
//! How Go prints: `fmt`'s verbs `%v` and `%q`, `strconv.Quote` and `time.Duration.String`, as far as histories show them.

use std::fmt::Write as _;
use std::time::Duration;

/// `%q` of a text.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown = String::from('"');
    for character in text.chars() {
        match character {
            '"' => shown.push_str("\\\""),
            character => escaped(&mut shown, character),
        }
    }
    shown.push('"');
    shown
}

/// `%q` of a number: the character that it stands for.
pub(crate) fn quoted_rune(number: u32) -> String {
    let mut shown = String::from('\'');
    match char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER) {
        '\'' => shown.push_str("\\'"),
        character => escaped(&mut shown, character),
    }
    shown.push('\'');
    shown
}

fn escaped(shown: &mut String, character: char) {
    match character {
        '\\' => shown.push_str("\\\\"),
        '\u{7}' => shown.push_str("\\a"),
        '\u{8}' => shown.push_str("\\b"),
        '\u{c}' => shown.push_str("\\f"),
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        '\u{b}' => shown.push_str("\\v"),
        control if (control as u32) < 0x20 || control as u32 == 0x7f => {
            // Writing to a string cannot fail.
            let _infallible = write!(shown, "\\x{:02x}", control as u32);
        }
        other => shown.push(other),
    }
}

/// `%q` of a list.
pub(crate) fn quoted_list(list: &[String]) -> String {
    let shown: Vec<String> = list.iter().map(|text| quoted(text)).collect();
    format!("[{}]", shown.join(" "))
}

/// `%v` of a list.
pub(crate) fn plain_list(list: &[String]) -> String {
    format!("[{}]", list.join(" "))
}

/// `String` of a duration: `1h2m3.5s`, `250ms`, `0s`.
pub(crate) fn duration(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    for (unit, scale) in [("ns", 1), ("µs", 1_000), ("ms", 1_000_000)] {
        if nanoseconds > 0 && nanoseconds < (scale * 1_000).min(1_000_000_000) {
            return format!("{}{unit}", decimal(nanoseconds, scale));
        }
    }
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = decimal(nanoseconds % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// Shows a fraction without zeros at its end.
fn decimal(number: u128, scale: u128) -> String {
    let fraction = number % scale;
    if fraction == 0 {
        return (number / scale).to_string();
    }
    let digits = scale.ilog10() as usize;
    let shown = format!("{}.{fraction:0digits$}", number / scale);
    shown.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_gos() {
        assert_eq!(quoted("a\"b\\\n\u{1}é"), "\"a\\\"b\\\\\\n\\x01é\"");
        assert_eq!(quoted_rune(3), "'\\x03'");
        assert_eq!(quoted_rune(39), "'\\''");
        assert_eq!(quoted_rune(65), "'A'");
        assert_eq!(quoted_list(&["a".to_owned(), "b c".to_owned()]), "[\"a\" \"b c\"]");
    }

    #[test]
    fn durations_are_gos() {
        for (nanoseconds, shown) in [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (3_723_000_000_000, "1h2m3s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), shown);
        }
    }
}
