// SPDX-License-Identifier: MIT
//! Records of pax extended headers: `"%d %s=%s\n", length, keyword, value` (POSIX.1-2001, pax, "Extended Header").
//!
//! The length decides where a record ends; a value may hold anything, newlines and NULs included. Pure.

use hyperbox_core::seam::SnapshotError;

use super::entry::Moment;
use crate::failure::{refused, shown};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Splits an extended header into its records.
pub(super) fn parse(mut data: &[u8]) -> Result<Vec<Record>, SnapshotError> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let (record, rest) = split(data).ok_or_else(|| refused("a pax header is damaged"))?;
        let path_like = matches!(record.key.as_slice(), b"path" | b"linkpath" | b"GNU.sparse.name");
        if path_like && record.value.contains(&0) {
            return Err(refused(format!("{}: a name with a NUL", shown(&record.value))));
        }
        records.push(record);
        data = rest;
    }
    Ok(records)
}

fn split(data: &[u8]) -> Option<(Record, &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&data[..space])?).ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (record[..equals].to_vec(), record[equals + 1..].to_vec());
    (!key.is_empty()).then_some((Record { key, value }, &data[length..]))
}

/// Returns the last value of a key. An empty value takes back what was said before (POSIX).
pub(super) fn last<'a>(records: &'a [Record], key: &[u8]) -> Option<&'a [u8]> {
    let record = records.iter().rev().find(|record| record.key == key)?;
    (!record.value.is_empty()).then_some(record.value.as_slice())
}

/// Reads a decimal number.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a time: seconds with a sign and a fraction, such as `-1.5`.
pub(super) fn moment(text: &[u8]) -> Option<Moment> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((text, &b""[..]), |at| (&text[..at], &text[at + 1..]));
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = i64::try_from(number(whole)?).ok()?;
    let nanoseconds = (0..9).fold(0, |sum, at| {
        sum * 10 + u32::from(fraction.get(at).map_or(0, |digit| digit - b'0'))
    });
    Some(match (negative, nanoseconds) {
        (false, _) => Moment { seconds, nanoseconds },
        (true, 0) => Moment {
            seconds: -seconds,
            nanoseconds,
        },
        (true, _) => Moment {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

/// Returns the extended attributes (star's `SCHILY.xattr.` records, which GNU tar, bsdtar and Go write), each once.
pub(super) fn xattrs(records: &[Record]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for record in records {
        let Some(name) = record.key.strip_prefix(b"SCHILY.xattr.") else {
            continue;
        };
        match found.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => value.clone_from(&record.value),
            None => found.push((name.to_vec(), record.value.clone())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_decide_not_newlines() {
        let records = parse(b"30 mtime=1350244992.023960108\n22 SCHILY.xattr.a=b\nc\n").unwrap();
        assert_eq!(records[0].key, b"mtime");
        assert_eq!(xattrs(&records), vec![(b"a".to_vec(), b"b\nc".to_vec())]);
    }

    #[test]
    fn damaged_headers_are_refused() {
        for data in [
            &b"x"[..],
            b"5 a=b",
            b"6 a=b\nrest",
            b"0 a=b\n",
            b"99 a=b\n",
            b"-6 a=b\n",
            b"5 ab\n",
            b"4 =\n",
            b"99999999999999999999 a=b\n",
            b"11 path=a\0b\n",
            b" 6 a=b\n",
        ] {
            assert!(parse(data).is_err(), "{}", String::from_utf8_lossy(data));
        }
        assert!(parse(b"").unwrap().is_empty());
    }

    #[test]
    fn times_have_signs_and_fractions() {
        for (text, expected) in [
            ("0", Some((0, 0))),
            ("1.5", Some((1, 500_000_000))),
            ("1.123456789012", Some((1, 123_456_789))),
            ("-1", Some((-1, 0))),
            ("-1.25", Some((-2, 750_000_000))),
            ("1.", Some((1, 0))),
            (".5", None),
            ("", None),
            ("1.x", None),
            ("9223372036854775808", None),
        ] {
            let expected = expected.map(|(seconds, nanoseconds)| Moment { seconds, nanoseconds });
            assert_eq!(moment(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_last_value_counts_and_an_empty_one_takes_it_back() {
        let records = parse(b"7 a=1\n\n6 a=2\n6 b=1\n5 b=\n").unwrap();
        assert_eq!(last(&records, b"a"), Some(&b"2"[..]));
        assert_eq!(last(&records, b"b"), None);
    }
}
