// SPDX-License-Identifier: MIT
//! `GET /containers/{id}/logs`: what the container wrote, in the frames of an attached stream (raw for a terminal).

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use hyperbox_core::seam::{LogEntry, LogQuery, TaskError};
use hyperbox_types::stream::{Channel, header};

use crate::answer::{Answer, BodyError, stream};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::hijack;
use crate::router::{Route, route};
use crate::translate::since::fixed_width;

pub(super) const ROUTES: &[Route] = &[route!(Get "/containers/{id}/logs" => logs)];

/// How many entries that are ready at once go out as one piece.
const BATCH: usize = 128;

async fn logs(call: Call) -> ApiResult<Answer> {
    let query = &call.query;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::bad_request(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    let log_query = LogQuery {
        stdout,
        stderr,
        since_ns: query.moment("since")?.map(|moment| moment.0),
        until_ns: query.moment("until")?.map(|moment| moment.0),
        // As for Docker, anything that is no number means all.
        tail: query.text("tail").parse().ok(),
        follow: query.flag("follow"),
    };
    let told = Told {
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
    };
    let record = call.engine().containers.get(call.parameter("id"))?;
    let terminal = record.spec.terminal;
    let entries = call.engine().containers.logs(record.id.as_str(), log_query).await?;
    let pieces = entries
        .ready_chunks(BATCH)
        .map(move |entries| piece(entries, terminal, told));
    Ok(stream(hijack::media_type(&call, terminal), pieces))
}

/// What is told in front of the output.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    timestamps: bool,
    details: bool,
}

fn piece(entries: Vec<Result<LogEntry, TaskError>>, terminal: bool, told: Told) -> Result<Bytes, BodyError> {
    let mut piece = BytesMut::new();
    for entry in entries {
        put(&mut piece, &entry?, terminal, told);
    }
    Ok(piece.freeze())
}

fn put(piece: &mut BytesMut, entry: &LogEntry, terminal: bool, told: Told) {
    let mut stamp = String::new();
    if told.timestamps {
        stamp = format!("{} ", fixed_width(entry.time_ns));
    }
    if told.details {
        stamp.push_str(&details(entry));
        stamp.push(' ');
    }
    if !terminal {
        let channel = if entry.stderr { Channel::Stderr } else { Channel::Stdout };
        let length = u32::try_from(stamp.len() + entry.bytes.len()).unwrap_or(u32::MAX);
        piece.put_slice(&header(channel, length));
    }
    piece.put_slice(stamp.as_bytes());
    piece.put_slice(&entry.bytes);
}

/// Returns an entry's attributes as Docker writes them: escaped as in a query, sorted, separated by commas.
fn details(entry: &LogEntry) -> String {
    let pairs = entry.attributes.iter();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{}={}", escaped(key), escaped(value)))
        .collect();
    pairs.join(",")
}

/// Escapes a text as Go's `url.QueryEscape`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            b' ' => escaped.push('+'),
            // Writing to a string cannot fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn frames_and_raw_bytes() {
        let entry = LogEntry {
            stderr: true,
            time_ns: 1_500_000_000,
            bytes: b"hi\n".to_vec(),
            attributes: BTreeMap::from([("a".to_owned(), "b c".to_owned()), ("b".to_owned(), "x=y,z".to_owned())]),
        };
        let (plain, timestamps) = (
            Told::default(),
            Told {
                timestamps: true,
                details: false,
            },
        );
        let mut framed = BytesMut::new();
        put(&mut framed, &entry, false, plain);
        assert_eq!(&framed[..], b"\x02\0\0\0\0\0\0\x03hi\n");
        let mut raw = BytesMut::new();
        put(&mut raw, &entry, true, timestamps);
        assert_eq!(&raw[..], b"1970-01-01T00:00:01.500000000Z hi\n");
        let mut stamped = BytesMut::new();
        put(&mut stamped, &entry, false, timestamps);
        assert_eq!(stamped[7], 34);
        let mut detailed = BytesMut::new();
        let details = Told { details: true, ..plain };
        put(&mut detailed, &entry, true, details);
        assert_eq!(&detailed[..], b"a=b+c,b=x%3Dy%2Cz hi\n");
    }
}
