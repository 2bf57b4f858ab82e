// SPDX-License-Identifier: MIT
//! `GET /containers/{id}/logs`: what the container wrote, in the frames of an attached stream (raw for a terminal).

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
    let timestamps = query.flag("timestamps");
    let record = call.engine().containers.get(call.parameter("id"))?;
    let terminal = record.spec.terminal;
    let entries = call.engine().containers.logs(record.id.as_str(), log_query).await?;
    let pieces = entries
        .ready_chunks(BATCH)
        .map(move |entries| piece(entries, terminal, timestamps));
    Ok(stream(hijack::media_type(&call, terminal), pieces))
}

fn piece(entries: Vec<Result<LogEntry, TaskError>>, terminal: bool, timestamps: bool) -> Result<Bytes, BodyError> {
    let mut piece = BytesMut::new();
    for entry in entries {
        put(&mut piece, &entry?, terminal, timestamps);
    }
    Ok(piece.freeze())
}

fn put(piece: &mut BytesMut, entry: &LogEntry, terminal: bool, timestamps: bool) {
    let stamp = if timestamps {
        format!("{} ", fixed_width(entry.time_ns))
    } else {
        String::new()
    };
    if !terminal {
        let channel = if entry.stderr { Channel::Stderr } else { Channel::Stdout };
        let length = u32::try_from(stamp.len() + entry.bytes.len()).unwrap_or(u32::MAX);
        piece.put_slice(&header(channel, length));
    }
    piece.put_slice(stamp.as_bytes());
    piece.put_slice(&entry.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_raw_bytes() {
        let entry = LogEntry {
            stderr: true,
            time_ns: 1_500_000_000,
            bytes: b"hi\n".to_vec(),
        };
        let mut framed = BytesMut::new();
        put(&mut framed, &entry, false, false);
        assert_eq!(&framed[..], b"\x02\0\0\0\0\0\0\x03hi\n");
        let mut raw = BytesMut::new();
        put(&mut raw, &entry, true, true);
        assert_eq!(&raw[..], b"1970-01-01T00:00:01.500000000Z hi\n");
        let mut stamped = BytesMut::new();
        put(&mut stamped, &entry, false, true);
        assert_eq!(stamped[7], 34);
    }
}
