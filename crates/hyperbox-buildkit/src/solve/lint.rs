// SPDX-License-Identifier: MIT
//! `--check`: what a Dockerfile should not say, as the answer to the request `frontend.lint`
//! (`frontend/subrequests/lint/lint.go`: JSON of its Go structures in the metadata of a result). Pure but for [`lint`].

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyperbox_build::{BuildRequest, Builder, CheckedFile};
use hyperbox_dockerfile::Lines;
use serde::Serialize;

use super::linked::Finished;
use crate::proto::errdefs::{Position, Range, SourceInfo};
use crate::status::{Course, failure};
use crate::transport::status::Status;

/// The version of its answer.
const VERSION: &str = "1.0.0";

/// Checks a Dockerfile.
///
/// # Errors
/// What cannot be read.
pub(super) async fn lint(builder: &Builder, request: BuildRequest, course: &Course) -> Result<Finished, Status> {
    let checked = builder.check(request, course.events()).await;
    let checked = checked.map_err(|error| failure(&error, course.definition()))?;
    Ok(Finished {
        metadata: metadata(&checked),
        ..Finished::default()
    })
}

#[derive(Serialize)]
struct Results<'a> {
    /// Go writes a list that nothing was added to as `null`.
    warnings: Option<Vec<Warning>>,
    sources: [SourceInfo<'a>; 1],
    #[serde(rename = "buildError", skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Warning {
    rule_name: String,
    description: String,
    url: String,
    detail: String,
    location: Location,
}

#[derive(Serialize)]
struct Failure<'a> {
    message: &'a str,
    location: Location,
}

/// `pb.Location`.
#[derive(Serialize)]
pub(super) struct Location {
    ranges: Vec<Range>,
}

impl Location {
    pub(super) fn new(lines: &[Lines]) -> Self {
        Self {
            ranges: lines.iter().copied().map(range).collect(),
        }
    }
}

fn range(lines: Lines) -> Range {
    let position = |line: usize| Position {
        line: i32::try_from(line).unwrap_or(i32::MAX),
    };
    Range {
        start: position(lines.first),
        end: position(lines.last),
    }
}

fn metadata(file: &CheckedFile) -> HashMap<String, Vec<u8>> {
    let checked = &file.checked;
    let warnings = checked.findings.iter().map(|finding| Warning {
        rule_name: finding.rule.name().to_owned(),
        description: finding.rule.description().to_owned(),
        url: finding.rule.url(),
        detail: finding.message.clone(),
        location: Location::new(&[finding.lines]),
    });
    let results = Results {
        warnings: Some(warnings.collect()).filter(|warnings: &Vec<_>| !warnings.is_empty()),
        sources: [SourceInfo {
            filename: &file.name,
            data: STANDARD.encode(&file.text),
            language: "Dockerfile",
        }],
        error: checked.mistake.as_ref().map(|mistake| Failure {
            message: &mistake.message,
            location: Location::new(&mistake.lines),
        }),
    };
    let bad = results.warnings.is_some() || results.error.is_some();
    // Plain data always encodes.
    let document = serde_json::to_vec_pretty(&results).unwrap_or_default();
    HashMap::from([
        ("result.json".to_owned(), document),
        ("result.txt".to_owned(), text(file).into_bytes()),
        ("result.statuscode".to_owned(), u8::from(bad).to_string().into_bytes()),
        ("version".to_owned(), VERSION.as_bytes().to_vec()),
    ])
}

/// What people read.
fn text(file: &CheckedFile) -> String {
    let findings = file.checked.findings.iter().map(|finding| {
        let excerpt = finding.lines.excerpt(&file.name, &file.text);
        let rule = finding.rule;
        format!(
            "\nWARNING: {} - {}\n{}\n{excerpt}",
            rule.name(),
            rule.url(),
            finding.message
        )
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hyperbox_dockerfile::check::{CheckedStages, Surroundings, check};
    use serde_json::{Value, json};

    use super::*;

    fn checked(text: &str) -> CheckedFile {
        let nothing = BTreeMap::new();
        let around = Surroundings {
            arguments: &nothing,
            predefined: &nothing,
            target: None,
            stages: CheckedStages::All,
            ignore: None,
            image: &|_| None,
        };
        CheckedFile {
            name: "Dockerfile".to_owned(),
            text: text.to_owned(),
            checked: check(text, &around),
        }
    }

    #[test]
    fn findings_are_written_as_clients_read_them() {
        let metadata = metadata(&checked("FROM scratch AS Big\n"));
        let document: Value = serde_json::from_slice(&metadata["result.json"]).expect("JSON");
        assert_eq!(document["warnings"][0]["ruleName"], "StageNameCasing");
        assert_eq!(
            document["warnings"][0]["location"],
            json!({ "ranges": [{ "start": { "line": 1 }, "end": { "line": 1 } }] })
        );
        assert_eq!(document["sources"][0]["data"], STANDARD.encode("FROM scratch AS Big\n"));
        assert_eq!(metadata["result.statuscode"], b"1");
        let text = String::from_utf8_lossy(&metadata["result.txt"]);
        assert!(
            text.contains("WARNING: StageNameCasing - https://docs.docker.com/"),
            "{text}"
        );
    }

    #[test]
    fn nothing_and_mistakes() {
        assert_eq!(metadata(&checked("FROM scratch\n"))["result.statuscode"], b"0");
        let metadata = metadata(&checked("FROM scratch\nNOSUCH x\n"));
        let document: Value = serde_json::from_slice(&metadata["result.json"]).expect("JSON");
        assert!(
            document["buildError"]["message"]
                .as_str()
                .is_some_and(|text| text.contains("NOSUCH"))
        );
        assert_eq!(metadata["result.statuscode"], b"1");
    }
}
