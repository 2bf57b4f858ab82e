// SPDX-License-Identifier: MIT
//! Byte ranges in headers: `Content-Range` of an answer, `Range` of an upload's status. Pure.

/// Where a partial answer lies in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// First byte.
    pub(crate) start: u64,
    /// Last byte, inclusive.
    pub(crate) end: u64,
    /// Length of the whole, if told.
    pub(crate) total: Option<u64>,
}

impl ContentRange {
    /// Parses `bytes start-end/total` (RFC 9110 §14.4); `None` for anything else, `bytes */n` included.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (unit, rest) = value.trim().split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, total) = rest.trim().split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let start = number(start)?;
        let end = number(end)?;
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)?),
        };
        let consistent = start <= end && total.is_none_or(|total| end < total);
        consistent.then_some(Self { start, end, total })
    }
}

/// Returns how many bytes an upload session has, from its `Range: 0-end` header (`end` inclusive).
///
/// Distribution answers `0-0` for nothing and for one byte alike; nothing is assumed.
pub(crate) fn uploaded_bytes(value: &str) -> Option<u64> {
    let value = value.trim();
    let value = value.strip_prefix("bytes=").unwrap_or(value);
    let (start, end) = value.split_once('-')?;
    match (number(start)?, number(end)?) {
        (0, 0) => Some(0),
        (0, end) => end.checked_add(1),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn content_ranges() {
        for (value, expected) in [
            ("bytes 0-9/10", Some((0, 9, Some(10)))),
            ("Bytes 5-9/*", Some((5, 9, None))),
            (" bytes  5-9/10 ", Some((5, 9, Some(10)))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("bytes 0-9", None),
            ("items 0-9/10", None),
            ("bytes +0-9/10", None),
            ("bytes 0-99999999999999999999/*", None),
            ("", None),
        ] {
            let parsed = ContentRange::parse(value).map(|range| (range.start, range.end, range.total));
            assert_eq!(parsed, expected, "{value}");
        }
    }

    #[test]
    fn upload_ranges() {
        for (value, expected) in [
            ("0-0", Some(0)),
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("5-99", None),
            ("0-18446744073709551615", None),
            ("x", None),
        ] {
            assert_eq!(uploaded_bytes(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(value in any::<String>()) {
            ContentRange::parse(&value);
            uploaded_bytes(&value);
        }
    }
}
