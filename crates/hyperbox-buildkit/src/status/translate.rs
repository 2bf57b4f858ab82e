// SPDX-License-Identifier: MIT
//! Events become BuildKit's messages. Pure.

use hyperbox_build::BuildEvent;
use hyperbox_build::event::{Log, Progress, Vertex, Warning};
use hyperbox_dockerfile::Lines;
use hyperbox_types::Digest;

use super::Definition;
use crate::proto::control::{self, StatusResponse};
use crate::proto::ops::{Position, Range, SourceInfo};

/// How many bytes of logs one message has at most, so that none comes near the limit of messages.
pub(crate) const LOGS_OF_A_MESSAGE: usize = 1024 * 1024;

/// Adds an event to a message. Warnings name the vertex that loaded the Dockerfile when their own is none that clients know; `file` is
/// shown with them.
pub(crate) fn translate(event: BuildEvent, definition: Option<&Definition>, to: &mut StatusResponse) {
    match event {
        BuildEvent::Vertex(told) => to.vertexes.push(vertex(told)),
        BuildEvent::Progress(told) => to.statuses.push(progress(told)),
        BuildEvent::Log(told) => to.logs.push(log(told)),
        BuildEvent::Warning(told) => to.warnings.push(warning(told, definition)),
    }
}

/// Returns how many bytes of logs a message has.
pub(crate) fn logged(message: &StatusResponse) -> usize {
    message.logs.iter().map(|log| log.msg.len()).sum()
}

fn vertex(told: Vertex) -> control::Vertex {
    control::Vertex {
        digest: told.digest.to_string(),
        inputs: told.inputs.iter().map(Digest::to_string).collect(),
        name: told.name,
        cached: told.cached,
        started: told.started.map(Into::into),
        completed: told.completed.map(Into::into),
        error: told.error.unwrap_or_default(),
    }
}

fn progress(told: Progress) -> control::VertexStatus {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    control::VertexStatus {
        id: told.id,
        vertex: told.vertex.to_string(),
        name: told.name,
        current: number(told.current),
        total: number(told.total),
        timestamp: Some(told.at.into()),
        started: told.started.map(Into::into),
        completed: told.completed.map(Into::into),
    }
}

fn log(told: Log) -> control::VertexLog {
    control::VertexLog {
        vertex: told.vertex.to_string(),
        timestamp: Some(told.at.into()),
        stream: told.stream as i64,
        msg: told.bytes,
    }
}

fn warning(told: Warning, definition: Option<&Definition>) -> control::VertexWarning {
    // Warnings of steps belong to their vertices; those of the file to the one that loaded it.
    let (vertex, info) = match definition {
        Some(definition) if !told.lines.is_empty() => (
            definition.vertex.to_string(),
            Some(SourceInfo {
                filename: definition.name.clone(),
                data: definition.text.clone().into_bytes(),
                language: "Dockerfile".to_owned(),
            }),
        ),
        _ => (told.vertex.to_string(), None),
    };
    control::VertexWarning {
        vertex,
        level: i64::from(told.level),
        short: told.short.into_bytes(),
        detail: told.detail.into_iter().map(String::into_bytes).collect(),
        url: told.url.unwrap_or_default(),
        info,
        ranges: told.lines.into_iter().map(range).collect(),
    }
}

fn range(lines: Lines) -> Range {
    let position = |line: usize| {
        Some(Position {
            line: i32::try_from(line).unwrap_or(i32::MAX),
            character: 0,
        })
    };
    Range {
        start: position(lines.first),
        end: position(lines.last),
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_build::event::LogStream;
    use hyperbox_core::time::Timestamp;

    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::from_sha256([number; 32])
    }

    #[test]
    fn nothing_is_lost() {
        let at = Timestamp(1_500_000_001);
        let mut message = StatusResponse::default();
        let events = [
            BuildEvent::Vertex(Vertex {
                digest: digest(1),
                name: "[1/1] RUN x".to_owned(),
                stage: None,
                inputs: vec![digest(2)],
                started: Some(at),
                completed: None,
                cached: true,
                error: Some("no".to_owned()),
                lines: None,
            }),
            BuildEvent::Progress(Progress {
                vertex: digest(1),
                id: "transferring".to_owned(),
                name: String::new(),
                current: 3,
                total: u64::MAX,
                at,
                started: Some(at),
                completed: None,
            }),
            BuildEvent::Log(Log {
                vertex: digest(1),
                stream: LogStream::Error,
                bytes: vec![0xff, b'x'],
                at,
            }),
        ];
        for event in events {
            translate(event, None, &mut message);
        }
        let vertex = &message.vertexes[0];
        assert_eq!((vertex.cached, vertex.error.as_str()), (true, "no"));
        assert_eq!(vertex.inputs, [digest(2).to_string()]);
        assert_eq!(vertex.started.map(|at| (at.seconds, at.nanos)), Some((1, 500_000_001)));
        assert_eq!((message.statuses[0].current, message.statuses[0].total), (3, i64::MAX));
        assert_eq!(
            (message.logs[0].stream, message.logs[0].msg.as_slice()),
            (2, &[0xff, b'x'][..])
        );
        assert_eq!(logged(&message), 2);
    }

    #[test]
    fn warnings_of_the_file_show_it() {
        let definition = Definition {
            vertex: digest(9),
            name: "Dockerfile".to_owned(),
            text: "FROM a\n".to_owned(),
        };
        let told = |lines| Warning {
            vertex: digest(1),
            level: 1,
            short: "s".to_owned(),
            detail: vec!["d".to_owned()],
            url: None,
            file: "Dockerfile".to_owned(),
            lines,
        };
        let with_lines = warning(told(vec![Lines { first: 1, last: 2 }]), Some(&definition));
        assert_eq!(with_lines.vertex, digest(9).to_string());
        assert_eq!(with_lines.info.expect("a file").data, b"FROM a\n");
        assert_eq!(with_lines.ranges[0].end.map(|end| end.line), Some(2));
        assert_eq!(
            warning(told(Vec::new()), Some(&definition)).vertex,
            digest(1).to_string()
        );
    }
}
