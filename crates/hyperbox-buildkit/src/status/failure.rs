// SPDX-License-Identifier: MIT
//! Errors of builds become statuses. The place in the Dockerfile goes along as a detail, of which clients make the marked excerpt. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyperbox_build::{BuildError, sentence};
use hyperbox_dockerfile::Lines;
use hyperbox_types::{Digest, ErrorKind};

use crate::proto::errdefs::{self, Position, Range, Source, SourceInfo};
use crate::proto::rpc::Any;
use crate::transport::status::{Code, Status};

/// A Dockerfile that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    /// The vertex that loaded it.
    pub(crate) vertex: Digest,
    /// What it is called in messages.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) text: String,
}

/// Returns how a call ends whose build failed.
pub(crate) fn failure(error: &BuildError, definition: Option<&Definition>) -> Status {
    let mut status = Status::new(code(error), sentence(error));
    let place = error.lines().zip(definition);
    status
        .details
        .extend(place.and_then(|(lines, file)| source(file, lines)));
    status
}

/// Clients print the name of a code before anything else, except of one: with BuildKit hardly any failure of a build has another.
fn code(error: &BuildError) -> Code {
    match error.kind() {
        ErrorKind::Cancelled => Code::Cancelled,
        _ => Code::Unknown,
    }
}

fn source(file: &Definition, lines: Lines) -> Option<Any> {
    let position = |line: usize| Position {
        line: i32::try_from(line).unwrap_or(i32::MAX),
    };
    let source = Source {
        info: SourceInfo {
            filename: &file.name,
            data: STANDARD.encode(&file.text),
            language: "Dockerfile",
        },
        ranges: vec![Range {
            start: position(lines.first),
            end: position(lines.last),
        }],
    };
    // Plain data always encodes.
    let value = serde_json::to_vec(&source).ok()?;
    Some(Any {
        type_url: errdefs::SOURCE.to_owned(),
        value,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyperbox_build::StepError;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_failed_process_is_shown_where_it_is() {
        let error = BuildError::Step {
            name: "[2/2] RUN false".to_owned(),
            lines: Some(Lines::one(2)),
            source: Arc::new(StepError::Exit {
                command: "/bin/sh -c false".to_owned(),
                code: 1,
                tail: Vec::new(),
            }),
        };
        let file = Definition {
            vertex: Digest::from_sha256([0; 32]),
            name: "Dockerfile".to_owned(),
            text: "FROM a\nRUN false\n".to_owned(),
        };
        let status = failure(&error, Some(&file));
        assert_eq!(status.code, Code::Unknown);
        assert_eq!(
            status.message,
            "process \"/bin/sh -c false\" did not complete successfully: exit code: 1"
        );
        let detail: Value = serde_json::from_slice(&status.details[0].value).expect("JSON");
        assert_eq!(
            detail["ranges"],
            json!([{ "start": { "line": 2 }, "end": { "line": 2 } }])
        );
        assert_eq!(detail["info"]["data"], STANDARD.encode("FROM a\nRUN false\n"));
        assert!(failure(&error, None).details.is_empty());
        assert_eq!(failure(&BuildError::Cancelled, None).code, Code::Cancelled);
    }
}
