// SPDX-License-Identifier: MIT
//! What a frontend can be asked besides a build (`requestid`; `frontend/subrequests`): checks, targets, what a target can be given.
//!
//! Answers are JSON of BuildKit's Go structures, and a text for clients that know no structure, in the metadata of a result.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyperbox_build::{BuildRequest, Builder, Described};
use hyperbox_dockerfile::Lines;
use hyperbox_dockerfile::outline::{Need, OfferedArgument, Outline, Target};
use serde::Serialize;

use super::linked::Finished;
use super::lint::{self, Location};
use crate::status::{Course, failure};
use crate::transport::status::{Code, Status};

/// The version of all answers.
const VERSION: &str = "1.0.0";

/// A request that is no build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subrequest {
    Lint,
    Outline,
    Targets,
    /// Which requests there are.
    Describe,
}

impl Subrequest {
    const ALL: [Self; 4] = [Self::Lint, Self::Outline, Self::Targets, Self::Describe];

    /// Reads a request.
    ///
    /// # Errors
    /// In BuildKit's words when it is not known here.
    pub(super) fn read(name: &str) -> Result<Self, Status> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| Status::new(Code::Unknown, format!("unsupported request {name}")))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lint => "frontend.lint",
            Self::Outline => "frontend.outline",
            Self::Targets => "frontend.targets",
            Self::Describe => "frontend.subrequests.describe",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Lint => "Lint a Dockerfile",
            Self::Outline => "List all parameters current build target supports",
            Self::Targets => "List all targets current build supports",
            Self::Describe => "List available subrequest types",
        }
    }

    /// Answers it.
    ///
    /// # Errors
    /// What cannot be read; what is malformed, except where that is the answer.
    pub(super) async fn answer(
        self,
        builder: &Builder,
        request: BuildRequest,
        course: &Course,
    ) -> Result<Finished, Status> {
        let events = course.events();
        let answered = match self {
            Self::Describe => return Ok(describe()),
            Self::Lint => return lint::lint(builder, request, course).await,
            Self::Outline => builder.outline(request, events).await.map(|told| of_outline(&told)),
            Self::Targets => builder.targets(request, events).await.map(|told| of_targets(&told)),
        };
        answered.map_err(|error| failure(&error, course.definition()))
    }
}

/// Says which requests there are.
pub(super) fn describe() -> Finished {
    let requests = Subrequest::ALL.map(|request| Available {
        name: request.name(),
        version: VERSION,
        kind: "rpc",
        description: request.description(),
        metadata: ["result.json", "result.txt"].map(|name| Named { name, description: "" }),
    });
    let mut rows = vec![["NAME", "VERSION", "DESCRIPTION"].map(str::to_owned).to_vec()];
    rows.extend(requests.iter().map(|request| {
        let name = request.name.trim_start_matches("frontend.");
        vec![name.to_owned(), VERSION.to_owned(), request.description.to_owned()]
    }));
    finished(&requests, &table(&rows))
}

#[derive(Serialize)]
struct Available {
    name: &'static str,
    version: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    description: &'static str,
    metadata: [Named; 2],
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    description: &'static str,
}

/// `targets.List`.
#[derive(Serialize)]
struct ListedTargets<'a> {
    targets: Vec<ListedTarget<'a>>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct ListedTarget<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    default: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    base: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    location: Location,
}

/// `outline.Outline`.
#[derive(Serialize)]
struct ListedOutline<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<ListedArgument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<ListedNeed<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<ListedNeed<'a>>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct ListedArgument<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    value: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct ListedNeed<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    required: bool,
    location: Location,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn is_false(value: &bool) -> bool {
    !value
}

fn location(lines: Lines) -> Location {
    Location::new(&[lines])
}

fn of_targets(file: &Described<Vec<Target>>) -> Finished {
    let listed = file.told.iter().map(|target| ListedTarget {
        name: target.name.as_deref(),
        default: target.is_default,
        description: &target.description,
        base: &target.base,
        platform: target.platform.as_deref(),
        location: location(target.lines),
    });
    let mut rows = vec![["TARGET", "DESCRIPTION"].map(str::to_owned).to_vec()];
    rows.extend(file.told.iter().map(|target| {
        let name = target.name.as_deref().unwrap_or("");
        let name = match (target.is_default, name) {
            (false, name) => name.to_owned(),
            (true, "") => "(default)".to_owned(),
            (true, name) => format!("{name} (default)"),
        };
        vec![name, target.description.clone()]
    }));
    let document = ListedTargets {
        targets: listed.collect(),
        sources: [STANDARD.encode(&file.text)],
    };
    finished(&document, &table(&rows))
}

fn of_outline(file: &Described<Outline>) -> Finished {
    let outline = &file.told;
    let document = ListedOutline {
        name: outline.name.as_deref(),
        description: &outline.description,
        args: outline.arguments.iter().map(argument).collect(),
        secrets: needs(&outline.secrets),
        ssh: needs(&outline.agents),
        sources: [STANDARD.encode(&file.text)],
    };
    finished(&document, &outline_text(outline))
}

fn argument(argument: &OfferedArgument) -> ListedArgument<'_> {
    ListedArgument {
        name: &argument.name,
        description: &argument.description,
        value: &argument.value,
        location: location(argument.lines),
    }
}

fn needs(needs: &[Need]) -> Vec<ListedNeed<'_>> {
    let listed = needs.iter().map(|need| ListedNeed {
        name: &need.name,
        required: need.is_required,
        location: location(need.lines),
    });
    listed.collect()
}

fn outline_text(outline: &Outline) -> String {
    let mut text = String::new();
    if let Some(name) = &outline.name {
        text.push_str(&format!("TARGET:      {name}\n"));
    }
    if !outline.description.is_empty() {
        text.push_str(&format!("DESCRIPTION: {}\n", outline.description));
    }
    let mut rows = vec![["BUILD ARG", "VALUE", "DESCRIPTION"].map(str::to_owned).to_vec()];
    let arguments = outline.arguments.iter();
    rows.extend(arguments.map(|one| vec![one.name.clone(), one.value.clone(), one.description.clone()]));
    let mut tables = vec![rows];
    for (title, needs) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
        let mut rows = vec![vec![title.to_owned(), "REQUIRED".to_owned()]];
        let required = |need: &Need| if need.is_required { "true" } else { "" }.to_owned();
        rows.extend(needs.iter().map(|need| vec![need.name.clone(), required(need)]));
        tables.push(rows);
    }
    for rows in tables.iter().filter(|rows| rows.len() > 1) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&table(rows));
    }
    text
}

/// So many bytes a table has at most because of its columns.
const MOST_ALIGNED: usize = 16 << 20;

/// Aligns columns, as Go's `tabwriter` does with three spaces between them. What that would make too long is not aligned.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    // What is last in its row is not aligned.
    let mut widths: Vec<usize> = (0..columns.saturating_sub(1)).map(width).collect();
    if widths.iter().sum::<usize>().saturating_mul(rows.len()) > MOST_ALIGNED {
        widths.fill(0);
    }
    widths.push(0);
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(index, (cell, width))| match index + 1 == columns {
            true => cell.clone(),
            false => {
                let missing = width.saturating_sub(cell.chars().count());
                format!("{cell}{}", " ".repeat(missing + 3))
            }
        });
        cells.collect::<String>() + "\n"
    };
    rows.iter().map(line).collect()
}

fn finished(document: &impl Serialize, text: &str) -> Finished {
    // Plain data always encodes.
    let document = serde_json::to_vec_pretty(document).unwrap_or_default();
    Finished {
        metadata: HashMap::from([
            ("result.json".to_owned(), document),
            ("result.txt".to_owned(), text.as_bytes().to_vec()),
            ("version".to_owned(), VERSION.as_bytes().to_vec()),
        ]),
        ..Finished::default()
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_dockerfile::outline::targets;
    use serde_json::{Value, json};

    use super::*;

    fn document(finished: &Finished) -> Value {
        serde_json::from_slice(&finished.metadata["result.json"]).expect("JSON")
    }

    fn text(finished: &Finished) -> String {
        String::from_utf8(finished.metadata["result.txt"].clone()).expect("text")
    }

    #[test]
    fn cells_may_be_long() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let long = "x".repeat(70_000);
        let rows = [row([long.as_str(), "y"]), row(["z", ""])];
        let expected = format!("{long}   y\nz{}\n", " ".repeat(70_002));
        assert_eq!(table(&rows), expected);
        // Thousands of rows are not made as long.
        let mut many = vec![row(["z", "y"]); 10_000];
        many.push(row([long.as_str(), "y"]));
        let told = table(&many);
        assert!(told.starts_with("z   y\nz   y\n") && told.ends_with("x   y\n"));
        assert!(told.len() < 200_000, "{}", told.len());
    }

    #[test]
    fn requests_have_names() {
        for request in Subrequest::ALL {
            assert_eq!(Subrequest::read(request.name()).expect("known"), request);
        }
        let error = Subrequest::read("frontend.x").expect_err("unknown");
        assert_eq!(error.message, "unsupported request frontend.x");
        assert!(text(&describe()).contains("\noutline                1.0.0     List all parameters"));
    }

    #[test]
    fn targets_are_written_as_clients_read_them() {
        let file = "# a is one\nFROM x AS a\nFROM --platform=$P a\n";
        let told = targets(file).expect("targets");
        let finished = of_targets(&Described {
            name: "Dockerfile".to_owned(),
            text: file.to_owned(),
            told,
        });
        let at = |line: u32| json!({ "ranges": [{ "start": { "line": line }, "end": { "line": line } }] });
        assert_eq!(
            document(&finished)["targets"],
            json!([
                { "name": "a", "description": "is one", "base": "x", "location": at(2) },
                { "default": true, "base": "a", "platform": "$P", "location": at(3) },
            ])
        );
        assert_eq!(
            text(&finished),
            "TARGET      DESCRIPTION\na           is one\n(default)   \n"
        );
    }

    #[test]
    fn outlines_are_written_as_clients_read_them() {
        let need = |name: &str, is_required| Need {
            name: name.to_owned(),
            is_required,
            lines: Lines::one(5),
        };
        let outline = Outline {
            name: Some("t".to_owned()),
            description: "is it".to_owned(),
            arguments: vec![OfferedArgument {
                name: "A".to_owned(),
                description: String::new(),
                value: "1".to_owned(),
                lines: Lines::one(4),
            }],
            secrets: vec![need("s", true)],
            agents: Vec::new(),
        };
        let finished = of_outline(&Described {
            name: "Dockerfile".to_owned(),
            text: "x".to_owned(),
            told: outline,
        });
        let document = document(&finished);
        assert_eq!(document["args"][0]["value"], "1");
        assert_eq!(
            (&document["secrets"][0]["required"], &document["ssh"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(
            text(&finished),
            "TARGET:      t\nDESCRIPTION: is it\n\nBUILD ARG   VALUE   DESCRIPTION\nA           1       \n\nSECRET   REQUIRED\ns        true\n"
        );
    }
}
