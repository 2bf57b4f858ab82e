// SPDX-License-Identifier: MIT
//! Build checks: what a Dockerfile should not say although it may.
//!
//! ```text
//! text ──▶ lines: each instruction by itself ──▶ file: casing, stage names ──▶ from: arguments of FROM
//!      ──▶ stage: instructions with the variables that they see ──▶ Checked { findings, error }
//! ```
//! Rules, messages and their order are those of BuildKit's Dockerfile frontend; which hold is said by `# check=`
//! ([`CheckOptions`]). Nothing is read: what base images bring along is asked of the caller. A mistake ends the checks where it ends
//! a build; what was found before it counts.

mod file;
mod from;
mod lines;
mod name;
mod options;
mod rule;
mod stage;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use crate::{Directives, Dockerfile, GlobalsError, Ignore, Lines, ParseError, StageGraph, logical};

pub use options::CheckOptions;
pub use rule::Rule;

/// A build argument of this name says which rules hold instead of the directive.
pub const OPTIONS_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What a check knows besides the text.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Build arguments that are given.
    pub arguments: &'a BTreeMap<String, String>,
    /// Variables that every FROM line has: `TARGETPLATFORM` and the others.
    pub predefined: &'a BTreeMap<String, String>,
    /// The stage that is asked for.
    pub target: Option<&'a str>,
    /// Which stages are looked into.
    pub stages: CheckedStages,
    /// What the context leaves out, if that is known.
    pub ignore: Option<&'a Ignore>,
    /// Tells what an image brings along; `None` when that is not known: then no variable is said to be undefined there.
    pub image: &'a dyn Fn(&str) -> Option<BaseImage>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Surroundings")
            .field("arguments", &self.arguments.keys())
            .field("target", &self.target)
            .field("stages", &self.stages)
            .finish_non_exhaustive()
    }
}

/// Which stages are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedStages {
    /// All, unless a target is given.
    All,
    /// Those that the target needs.
    Needed,
}

/// What an image brings along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseImage {
    /// Its variables, `NAME=value`.
    pub environment: Vec<String>,
    /// Whether it says which shell there is.
    pub has_shell: bool,
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// Where.
    pub lines: Lines,
    /// How, in one sentence.
    pub message: String,
}

impl Finding {
    /// Says it in one line, as builds do.
    pub fn short(&self) -> String {
        format!("{}: {} (line {})", self.rule.name(), self.message, self.lines.first)
    }
}

/// Why a build would fail before its first step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where; nowhere when it is the whole file.
    pub lines: Vec<Lines>,
    /// What is wrong.
    pub message: String,
}

impl Mistake {
    fn new(lines: impl IntoIterator<Item = Lines>, message: impl Into<String>) -> Self {
        Self {
            lines: lines.into_iter().collect(),
            message: message.into(),
        }
    }
}

impl From<GlobalsError> for Mistake {
    fn from(error: GlobalsError) -> Self {
        Self::new([error.lines], error.to_string())
    }
}

impl From<ParseError> for Mistake {
    fn from(error: ParseError) -> Self {
        Self::new(error.lines, error.to_string())
    }
}

/// What came of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
    /// What ended the check, if anything; also that findings are errors.
    pub mistake: Option<Mistake>,
}

/// Findings so far, and which count.
#[derive(Debug)]
struct Report {
    options: CheckOptions,
    findings: Vec<Finding>,
}

impl Report {
    fn find(&mut self, rule: Rule, lines: Lines, message: String) {
        if self.options.holds(rule) {
            self.findings.push(Finding { rule, lines, message });
        }
    }
}

/// Checks a Dockerfile.
pub fn check(text: &str, around: &Surroundings<'_>) -> Checked {
    let options = match around.arguments.get(OPTIONS_ARGUMENT) {
        Some(given) => CheckOptions::parse(given),
        None => CheckOptions::parse(&directive(text)),
    };
    let options = match options {
        Ok(options) => options,
        Err(message) => {
            let mistake = Some(Mistake::new(None, message));
            return Checked {
                findings: Vec::new(),
                mistake,
            };
        }
    };
    let mut report = Report {
        options,
        findings: Vec::new(),
    };
    let mistake = course(text, around, &mut report).err();
    let mistake = mistake.or_else(|| violation(&report));
    Checked {
        findings: report.findings,
        mistake,
    }
}

/// Returns what the directive says, which ends at white space. Malformed directives are told of when the file is parsed.
fn directive(text: &str) -> String {
    let directives = Directives::parse(text).unwrap_or_default();
    let value = directives.check.unwrap_or_default();
    value.split_whitespace().next().unwrap_or_default().to_owned()
}

fn course(text: &str, around: &Surroundings<'_>, report: &mut Report) -> Result<(), Mistake> {
    let directives = Directives::parse(text)?;
    let logical = logical::split(text, directives.escape)?;
    let parsed = Dockerfile::parse(text);
    let broken = parsed.as_ref().err().and_then(|error| error.lines);
    lines::check(&logical, broken, report);
    let file = parsed?;
    file::check(&file, &logical, report);
    from::check_defaults(&file, around, report);
    let globals = from::check(&file, around, report)?;
    let graph = StageGraph::new(&file, around.target, |base| globals.expand(base, directives.escape))
        .map_err(|error| Mistake::new(error.lines().iter().copied(), error.to_string()))?;
    let all = around.stages == CheckedStages::All && around.target.is_none_or(str::is_empty);
    let needed: BTreeSet<usize> = graph.needed.iter().copied().collect();
    let mut done = stage::Stages::new(&file, &globals, around);
    for index in 0..file.stages.len() {
        if all || needed.contains(&index) {
            done.check(index, &graph, report)?;
        }
    }
    Ok(())
}

/// Says that findings are errors, if they are.
fn violation(report: &Report) -> Option<Mistake> {
    let rules: BTreeSet<&str> = report.findings.iter().map(|finding| finding.rule.name()).collect();
    let rules: Vec<&str> = rules.into_iter().collect();
    (report.options.is_error && !rules.is_empty())
        .then(|| Mistake::new(None, format!("lint violation found for rules: {}", rules.join(", "))))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::{BTreeMap, BaseImage, CheckedStages, Surroundings, check};

    #[test]
    fn files_with_many_variables_are_checked_in_a_moment() {
        let count = 30_000;
        let mut text = "FROM scratch\n".to_owned();
        for index in 0..count {
            writeln!(text, "ENV NAME{index}=x").unwrap();
        }
        for index in 0..count {
            writeln!(text, "LABEL l=$MANE{index}").unwrap();
        }
        let none = BTreeMap::new();
        let around = Surroundings {
            arguments: &none,
            predefined: &none,
            target: None,
            stages: CheckedStages::All,
            ignore: None,
            image: &|_| Some(BaseImage::default()),
        };
        let begun = std::time::Instant::now();
        let checked = check(&text, &around);
        assert_eq!(checked.findings.len(), count);
        assert!(
            checked.findings[0].message.contains("(did you mean $NAME0?)"),
            "{:?}",
            checked.findings[0]
        );
        // It takes minutes when each is compared with all others.
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
    }
}
