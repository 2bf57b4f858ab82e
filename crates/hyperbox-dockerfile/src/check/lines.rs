// SPDX-License-Identifier: MIT
//! What can be said of each instruction by itself, before the file is known to be well formed.

use super::{Report, Rule};
use crate::Lines;
use crate::logical::Logical;
use crate::word;

/// Checks the instructions before the one that is `broken`, if one is.
pub(super) fn check(logical: &[Logical], broken: Option<Lines>, report: &mut Report) {
    for one in logical {
        if let Some(line) = one.empty_continuation {
            report.find(
                Rule::NoEmptyContinuation,
                Lines::one(line),
                "Empty continuation line".to_owned(),
            );
        }
    }
    for one in logical {
        if broken.is_some_and(|broken| one.lines.first >= broken.first) {
            return;
        }
        match one.keyword.as_str() {
            "MAINTAINER" => report.find(
                Rule::MaintainerDeprecated,
                one.lines,
                "Maintainer instruction is deprecated in favor of using label".to_owned(),
            ),
            "FROM" => from(one, report),
            "ARG" => {
                let words = word::split(&one.rest, '\\');
                let name = |word: &String| word.split('=').next().unwrap_or_default().to_owned();
                description("ARG", &words.iter().map(name).collect::<Vec<_>>(), one, report);
            }
            _ => {}
        }
    }
}

fn from(one: &Logical, report: &mut Report) {
    let words: Vec<&str> = one
        .rest
        .split_whitespace()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let [_, keyword, name] = words.as_slice() else { return };
    if name.to_lowercase() != *name {
        let message = format!("Stage name '{name}' should be lowercase");
        report.find(Rule::StageNameCasing, one.lines, message);
    }
    let written = one.written();
    let matches = match (written == written.to_lowercase(), written == written.to_uppercase()) {
        (true, _) => *keyword == keyword.to_lowercase(),
        (false, true) => *keyword == keyword.to_uppercase(),
        // That the instruction is in both is told of it alone.
        (false, false) => true,
    };
    if !matches {
        let message = format!("'{keyword}' and '{written}' keywords' casing do not match");
        report.find(Rule::FromAsCasing, one.lines, message);
    }
    description("FROM", &[name.to_lowercase()], one, report);
}

/// The comment before a definition begins with the name of what is defined.
fn description(keyword: &str, names: &[String], one: &Logical, report: &mut Report) {
    // Only the last comment is taken for one.
    let (Some(comment), Some(first)) = (one.comments.last(), names.first()) else {
        return;
    };
    let word = comment.split(' ').next().unwrap_or_default();
    if names.iter().any(|name| name == word) {
        return;
    }
    let example = match names.len() {
        1 => first,
        _ => "<arg_key>",
    };
    let message = format!("Comment for {keyword} should follow the format: `# {example} <description>`");
    report.find(Rule::InvalidDefinitionDescription, one.lines, message);
}
