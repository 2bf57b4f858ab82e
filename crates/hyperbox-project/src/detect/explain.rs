// SPDX-License-Identifier: MIT
//! What was found and why, for people.

use std::fmt::Write as _;
use std::path::Path;

use super::{Detection, Kind};

/// What `--explain` shows: what was found, what counts, and why a proposal says what it says.
pub fn explain(directory: &Path, detection: &Detection) -> String {
    let mut text = format!("Folder: {}\n", directory.display());
    let Some((first, others)) = detection.findings.split_first() else {
        text.push_str("Nothing was found that tells what it is: no Compose file, no Dockerfile, no devcontainer.json, no known language.\n");
        return text;
    };
    let _ = writeln!(text, "It is: {}, by {}", first.kind, first.evidence); // writing to a string cannot fail
    for other in others {
        let _ = writeln!(
            text,
            "Also found, and passed over: {}, by {}",
            other.kind, other.evidence
        );
    }
    if let Some(proposal) = &detection.proposal {
        text.push_str("Why it is run like that:\n");
        for reason in &proposal.reasons {
            let _ = writeln!(text, "  - {reason}");
        }
        for note in &proposal.notes {
            let _ = writeln!(text, "Note: {note}");
        }
        text.push_str("\nProposed compose.yaml (`hb project open --write` writes it):\n\n");
        text.push_str(&proposal.compose);
    }
    text
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Compose(_) => formatter.write_str("a Compose project"),
            Self::Dockerfile => formatter.write_str("a Dockerfile"),
            Self::Devcontainer => formatter.write_str("a development container"),
            Self::Language(language) => write!(formatter, "a {} project", language.name()),
        }
    }
}
