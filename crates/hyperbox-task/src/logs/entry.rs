// SPDX-License-Identifier: MIT
//! Parses one line of a json-file log. Pure; a line that is not an entry (cut off by a crash, written by a stranger) is `None`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hyperbox_core::seam::{LogEntry, LogQuery};
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// Parses one line without its newline.
pub(crate) fn parse(line: &[u8]) -> Option<LogEntry> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let time: Timestamp = line.time.parse().ok()?;
    Some(LogEntry {
        stderr: line.stream == "stderr",
        time_ns: i64::try_from(time.as_nanosecond()).ok()?,
        bytes: line.log.into_owned().into_bytes(),
        attributes: line.attrs,
    })
}

/// Tells whether the query chooses the entry's stream.
pub(crate) fn is_chosen(entry: &LogEntry, query: &LogQuery) -> bool {
    if entry.stderr { query.stderr } else { query.stdout }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn entries_are_read_and_garbage_is_not() {
        let entry = parse(br#"{"log":"a\tb\u003c\n","stream":"stderr","time":"2001-09-09T01:46:40.5Z"}"#).unwrap();
        assert_eq!(
            entry,
            LogEntry {
                stderr: true,
                time_ns: 1_000_000_000_500_000_000,
                bytes: b"a\tb<\n".to_vec(),
                attributes: BTreeMap::new(),
            }
        );
        let told = parse(br#"{"log":"","stream":"stdout","attrs":{"a":"b c"},"time":"2001-09-09T01:46:40Z"}"#).unwrap();
        assert_eq!(told.attributes["a"], "b c");
        for line in [
            &b""[..],
            b"{\"log\":\"cut",
            b"{}",
            br#"{"log":"x","stream":"stdout","time":"yesterday"}"#,
            b"\xff\xfe",
        ] {
            assert_eq!(parse(line), None);
        }
    }

    proptest! {
        #[test]
        fn no_line_is_fatal(line: Vec<u8>) {
            parse(&line);
        }

        #[test]
        fn what_serde_writes_is_read(text in any::<String>(), stderr: bool, seconds in 0_i64..4_000_000_000) {
            let stream = if stderr { "stderr" } else { "stdout" };
            let time = Timestamp::from_second(seconds).unwrap().to_string();
            let line = serde_json::json!({"log": text, "stream": stream, "time": time}).to_string();
            let entry = parse(line.as_bytes()).unwrap();
            proptest::prop_assert_eq!(entry.bytes, text.into_bytes());
            proptest::prop_assert_eq!((entry.stderr, entry.time_ns), (stderr, seconds * 1_000_000_000));
        }
    }
}
