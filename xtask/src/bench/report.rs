// SPDX-License-Identifier: MIT
//! `bench report`: `docs/performance.md` and its chart, from the measurements kept below `target/bench`.
//!
//! Nothing is measured here and nothing is rounded up: what a measurement does not hold is left out, and each section says on which
//! machine, when and under which load it was made. Text between the marks of a section that explains (`docs/performance-notes.md`) is
//! taken over word for word.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::chart::{Bar, chart};
use super::{build, project};
use crate::process::{root, target};

/// The measurements in the order of the report.
const BENCHMARKS: [&str; 10] = [
    "lifecycle",
    "crowd",
    "endurance",
    "footprint",
    "network",
    "pull",
    "disk",
    "read",
    "build",
    "project",
];

/// What is promised: scenario, who it is compared with, how many times faster.
const PROMISES: [(&str, &str, f64); 11] = [
    ("run --rm IMAGE true, bridge network", "docker", 20.0),
    ("run --rm --network none IMAGE true", "docker", 20.0),
    ("run -d IMAGE sleep 600 (removal not counted)", "docker", 20.0),
    ("50 x run -d at once (removal not counted)", "docker", 20.0),
    ("exec CONTAINER true", "docker", 10.0),
    (build::COLD, "docker", 1.0),
    (build::CHANGED, "docker", 2.0),
    (build::UNCHANGED, "docker", 10.0),
    (project::UP, "docker", 10.0),
    (project::UNCHANGED, "docker", 20.0),
    (project::DOWN, "docker", 20.0),
];

/// One kept measurement.
#[derive(Debug, Deserialize)]
struct Measured {
    machine: Machine,
    scenarios: Vec<Scenario>,
}

/// The machine as `machine::describe` tells it.
#[derive(Debug, Deserialize)]
struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    system: String,
    load: String,
    date: String,
    commit: String,
}

#[derive(Debug, Deserialize)]
struct Scenario {
    name: String,
    /// Missing where things of several kinds are counted.
    #[serde(default)]
    unit: String,
    contenders: Vec<Contender>,
}

/// One who was measured. A row without a median holds other figures; it is no part of the tables.
#[derive(Debug, Deserialize)]
struct Contender {
    name: String,
    median: Option<f64>,
    lower_quartile: Option<f64>,
    upper_quartile: Option<f64>,
}

impl Scenario {
    fn median(&self, name: &str) -> Option<f64> {
        self.contenders.iter().find(|one| one.name == name)?.median
    }

    /// Tells how many times better HyperBox is than another; `None` unless both were measured.
    fn factor(&self, other: &str) -> Option<f64> {
        let (ours, theirs) = (self.median("hyperbox")?, self.median(other)?);
        let less_is_better = matches!(self.unit.as_str(), "ms" | "µs" | "us" | "MB" | "s/GB");
        Some(if less_is_better { theirs / ours } else { ours / theirs })
    }
}

/// Writes the report.
pub(super) fn run() -> Result<()> {
    let mut measured = Vec::new();
    for name in BENCHMARKS {
        let path = target().join(format!("bench/{name}.json"));
        // What was not measured is not reported.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let one: Measured = serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
        measured.push((name, one));
    }
    let notes = root().join("docs/performance-notes.md");
    let notes = fs::read_to_string(&notes).with_context(|| format!("cannot read {}", notes.display()))?;
    for (path, text) in [
        ("docs/performance.md", markdown(&measured, &notes)),
        ("docs/performance.svg", chart(&bars(&measured))),
    ] {
        let path = root().join(path);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// The comparisons with Docker Engine as bars.
fn bars(measured: &[(&str, Measured)]) -> Vec<Bar> {
    let scenarios = measured.iter().flat_map(|(_, one)| &one.scenarios);
    scenarios
        .filter_map(|scenario| {
            Some(Bar {
                label: scenario.name.clone(),
                factor: scenario.factor("docker")?,
            })
        })
        .collect()
}

fn markdown(measured: &[(&str, Measured)], notes: &str) -> String {
    let mut text = String::from(
        "# Performance\n\n\
         Written by `cargo xtask bench report` from measurements of `cargo xtask bench`; not edited by hand. Contenders take turns, \
         one run each per round, in an order that rotates; figures are medians, quartiles in brackets. Compare within a row: \
         rows of different sections were measured at different times.\n\n\
         ![How many times faster than Docker Engine](performance.svg)\n",
    );
    text.push_str(&promises(measured));
    for (name, one) in measured {
        text.push_str(&section(name, one));
    }
    let _infallible = write!(text, "\n{}", notes.trim_end());
    text.push('\n');
    text
}

fn promises(measured: &[(&str, Measured)]) -> String {
    let mut text = String::from("\n## Promises\n\n| | promised | measured | |\n| --- | --- | --- | --- |\n");
    for (scenario, other, promised) in PROMISES {
        let found = measured.iter().flat_map(|(_, one)| &one.scenarios);
        let factor = found
            .filter(|one| one.name == scenario)
            .find_map(|one| one.factor(other));
        let (shown, verdict) = match factor {
            Some(factor) if factor >= promised => (format!("{factor:.1}×"), "kept"),
            Some(factor) => (format!("{factor:.1}×"), "missed"),
            None => ("–".to_owned(), "not measured"),
        };
        let _infallible = writeln!(text, "| {scenario} | {promised:.0}× {other} | {shown} | {verdict} |");
    }
    text
}

fn section(name: &str, measured: &Measured) -> String {
    let machine = &measured.machine;
    let mut text = format!(
        "\n## `cargo xtask bench {name}`\n\n{} × {}, Linux {}, {}; load {}; {}, commit {}.\n",
        machine.processors,
        machine.processor,
        machine.kernel,
        machine.system,
        machine.load,
        machine.date.split('T').next().unwrap_or_default(),
        machine.commit,
    );
    let mut columns: Vec<&str> = Vec::new();
    let figures = |scenario: &&Scenario| scenario.contenders.iter().any(|one| one.median.is_some());
    for scenario in measured.scenarios.iter().filter(figures) {
        let names: Vec<&str> = scenario.contenders.iter().map(|one| one.name.as_str()).collect();
        // A table holds what has the same contenders; another set begins another table.
        if names != columns {
            columns = names;
            let _infallible = write!(text, "\n| | {} | Docker ÷ HyperBox |\n|", columns.join(" | "));
            text.push_str(&" --- |".repeat(columns.len() + 2));
            text.push('\n');
        }
        let cells: Vec<String> = scenario
            .contenders
            .iter()
            .map(|one| cell(one, &scenario.unit))
            .collect();
        let factor = scenario
            .factor("docker")
            .map_or("–".to_owned(), |factor| format!("{factor:.1}×"));
        let _infallible = writeln!(text, "| {} | {} | {factor} |", scenario.name, cells.join(" | "));
    }
    text
}

fn cell(contender: &Contender, unit: &str) -> String {
    let number = |value: f64| match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    };
    let Some(median) = contender.median else {
        return "–".to_owned();
    };
    match (contender.lower_quartile, contender.upper_quartile) {
        (Some(lower), Some(upper)) => format!("{} {unit} ({}–{})", number(median), number(lower), number(upper)),
        _ => format!("{} {unit}", number(median)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(text: &str) -> Measured {
        serde_json::from_str(text).unwrap()
    }

    fn example() -> Measured {
        measured(
            r#"{"machine": {"processor": "P", "processors": 2, "kernel": "6.18", "system": "S", "load": "0 0 0", "date": "2026-01-02T03", "commit": "abc"},
            "scenarios": [
                {"name": "exec CONTAINER true", "unit": "ms", "contenders": [
                    {"name": "hyperbox", "median": 5.0, "lower_quartile": 4.0, "upper_quartile": 6.0}, {"name": "docker", "median": 100.0}]},
                {"name": "throughput", "unit": "Gbit/s", "contenders": [
                    {"name": "hyperbox", "median": 12.0}, {"name": "docker", "median": 6.0}]},
                {"name": "alone", "unit": "ms", "contenders": [{"name": "hyperbox", "median": 0.03}]}]}"#,
        )
    }

    #[test]
    fn a_factor_knows_which_way_is_better() {
        let factors: Vec<_> = example().scenarios.iter().map(|one| one.factor("docker")).collect();
        assert_eq!(factors, [Some(20.0), Some(2.0), None]);
    }

    #[test]
    fn promises_are_kept_missed_or_not_measured() {
        let text = promises(&[("crowd", example())]);
        assert!(
            text.contains("| exec CONTAINER true | 10× docker | 20.0× | kept |"),
            "{text}"
        );
        assert!(
            text.contains("| 50 x run -d at once (removal not counted) | 20× docker | – | not measured |"),
            "{text}"
        );
    }

    #[test]
    fn a_section_says_where_and_when() {
        let text = section("crowd", &example());
        assert!(
            text.contains("2 × P, Linux 6.18, S; load 0 0 0; 2026-01-02, commit abc."),
            "{text}"
        );
        assert!(
            text.contains("| exec CONTAINER true | 5.0 ms (4.0–6.0) | 100.0 ms | 20.0× |"),
            "{text}"
        );
        assert!(text.contains("| alone | 0.030 ms | – |"), "{text}");
    }
}
