// SPDX-License-Identifier: MIT
//! One line of a json-file log, byte for byte as Docker writes it. Pure.
//!
//! Docker's encoder escapes like Go's `encoding/json` for HTML: `<`, `>`, `&`, U+2028 and U+2029 become `\uXXXX`, and each
//! byte that is not part of valid UTF-8 becomes `\ufffd`. Times are `time.RFC3339Nano`: trailing zeros of the fraction, and an
//! all-zero fraction, are left out.

use std::collections::BTreeMap;
use std::io::Write as _;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Returns what stands in every entry of a container with these attributes.
pub(crate) fn attributes(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (key, value) in attributes {
        encoded.extend_from_slice(if encoded.is_empty() { b"\"attrs\":{\"" } else { b",\"" });
        append_escaped(&mut encoded, key.as_bytes());
        encoded.extend_from_slice(b"\":\"");
        append_escaped(&mut encoded, value.as_bytes());
        encoded.push(b'"');
    }
    if !encoded.is_empty() {
        encoded.extend_from_slice(b"},");
    }
    encoded
}

/// Appends one entry with its newline. `text` is the output including its own line end, if it has one; `attributes` is of
/// [`attributes`].
pub(crate) fn append(into: &mut Vec<u8>, text: &[u8], stream: &str, attributes: &[u8], time_ns: i64) {
    into.extend_from_slice(b"{\"log\":\"");
    append_escaped(into, text);
    into.extend_from_slice(b"\",\"stream\":\"");
    into.extend_from_slice(stream.as_bytes());
    into.extend_from_slice(b"\",");
    into.extend_from_slice(attributes);
    into.extend_from_slice(b"\"time\":\"");
    append_time(into, time_ns);
    into.extend_from_slice(b"\"}\n");
}

fn append_escaped(into: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        append_valid(into, chunk.valid());
        for _ in chunk.invalid() {
            into.extend_from_slice(b"\\ufffd");
        }
    }
}

fn append_valid(into: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut plain = 0;
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        let width = match byte {
            b'\\' | b'"' | b'<' | b'>' | b'&' | 0..0x20 => 1,
            0xE2 if matches!(bytes.get(index + 1..index + 3), Some([0x80, 0xA8 | 0xA9])) => 3,
            _ => {
                index += 1;
                continue;
            }
        };
        into.extend_from_slice(&bytes[plain..index]);
        append_escape(into, &bytes[index..index + width]);
        index += width;
        plain = index;
    }
    into.extend_from_slice(&bytes[plain..]);
}

fn append_escape(into: &mut Vec<u8>, bytes: &[u8]) {
    match bytes {
        [byte @ (b'\\' | b'"')] => into.extend_from_slice(&[b'\\', *byte]),
        b"\n" => into.extend_from_slice(b"\\n"),
        b"\r" => into.extend_from_slice(b"\\r"),
        [byte] => {
            into.extend_from_slice(b"\\u00");
            into.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xF)]]);
        }
        [.., last] => {
            into.extend_from_slice(b"\\u202");
            into.push(HEX[usize::from(last & 0xF)]);
        }
        [] => {}
    }
}

fn append_time(into: &mut Vec<u8>, time_ns: i64) {
    let seconds = time_ns.div_euclid(1_000_000_000);
    let nanoseconds = time_ns.rem_euclid(1_000_000_000);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let second_of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    // Writing to a vector cannot fail.
    drop(write!(
        into,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    ));
    if nanoseconds != 0 {
        drop(write!(into, ".{nanoseconds:09}"));
        while into.last() == Some(&b'0') {
            into.pop();
        }
    }
    into.push(b'Z');
}

/// Gregorian date of a day counted from 1970-01-01, computed in eras of 400 years that start on a 1st of March.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut bytes = Vec::new();
        append_escaped(&mut bytes, text);
        String::from_utf8(bytes).unwrap()
    }

    fn time(time_ns: i64) -> String {
        let mut bytes = Vec::new();
        append_time(&mut bytes, time_ns);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn escapes_are_dockers() {
        for (text, expected) in [
            (&b"plain text\n"[..], r"plain text\n"),
            (b"tab\tand\rreturn", r"tab\u0009and\rreturn"),
            (b"quote\" back\\slash", r#"quote\" back\\slash"#),
            (b"<a href='x'>&", r"\u003ca href='x'\u003e\u0026"),
            (b"\x00\x1b[0m\x7f", "\\u0000\\u001b[0m\x7f"),
            ("gr\u{fc}n \u{1f600}".as_bytes(), "gr\u{fc}n \u{1f600}"),
            ("a\u{2028}b\u{2029}c\u{202a}".as_bytes(), "a\\u2028b\\u2029c\u{202a}"),
            (b"bad \xff\xfe end", r"bad \ufffd\ufffd end"),
            (b"cut \xe2\x80", r"cut \ufffd\ufffd"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn times_are_gos_rfc3339nano() {
        for (time_ns, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_000_000_000_123_456_789, "2001-09-09T01:46:40.123456789Z"),
            (951_782_400_100_000_000, "2000-02-29T00:00:00.1Z"),
            (4_107_542_399_000_000_001, "2100-02-28T23:59:59.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(time(time_ns), expected);
        }
    }

    #[test]
    fn an_entry_is_one_json_line() {
        let mut bytes = Vec::new();
        append(&mut bytes, b"hi\n", "stdout", b"", 1_000_000_000);
        assert_eq!(
            bytes,
            b"{\"log\":\"hi\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01Z\"}\n"
        );
    }
}
