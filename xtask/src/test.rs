// SPDX-License-Identifier: MIT
//! `cargo xtask test`: everything there is, privileged tests included.
//!
//! The binaries are built with the feature `failpoints` (inert unless asked for by name), so that one build serves all tests.
//! A lane that cannot run is a failure; what is left out on purpose is listed at the end.

use anyhow::{Result, bail};

use crate::process::{capture, cargo, cargo_has, command, installed, run as execute, watch};
use crate::{fuzz, setup, vm};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leaves out the virtual machine.
    #[arg(long)]
    no_vm: bool,
    /// Leaves out the fuzz targets.
    #[arg(long)]
    no_fuzz: bool,
}

/// The feature that the crash tests need.
pub(crate) const FEATURES: &str = "hyperbox-daemon/failpoints";

/// The beginning of the names of tests that need pure cgroup v2.
pub(crate) const VERSION2_PREFIX: &str = "v2_";

/// What a lane has counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if capture(&mut command(&["id", "-u"]))? != "0" {
        bail!("the tests need root: sudo cargo xtask test");
    }
    setup::install(setup::Purpose::Test)?;
    let mut skipped = Vec::new();
    let mut total = Counts::default();
    let mut failures = Vec::new();

    execute(&mut cargo(&["build", "--workspace", "--bins", "--features", FEATURES]))?;
    lane("tests", &mut total, &mut failures, main_lane(&mut skipped));
    if arguments.no_vm {
        skipped.push("cgroup v2 tests (--no-vm)".to_owned());
    } else {
        lane("cgroup v2 tests", &mut total, &mut failures, vm::lane());
    }
    if arguments.no_fuzz {
        skipped.push("fuzz targets (--no-fuzz)".to_owned());
    } else {
        lane("fuzz targets", &mut total, &mut failures, fuzz_lane());
    }

    for reason in &skipped {
        println!("skipped: {reason}");
    }
    for failure in &failures {
        println!("failed: {failure}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if failures.is_empty() && total.failed == 0 {
        Ok(())
    } else {
        bail!("not everything passed")
    }
}

fn lane(name: &str, total: &mut Counts, failures: &mut Vec<String>, outcome: Result<Counts>) {
    match outcome {
        Ok(counts) => {
            total.passed += counts.passed;
            total.failed += counts.failed;
            if counts.failed > 0 {
                failures.push(format!("{name}: {} failed", counts.failed));
            }
        }
        Err(error) => {
            total.failed += 1;
            failures.push(format!("{name}: {error:#}"));
        }
    }
}

fn main_lane(skipped: &mut Vec<String>) -> Result<Counts> {
    let without_docker = !installed("docker");
    if without_docker {
        skipped.push("docker command line against hyperboxd (docker is not installed)".to_owned());
    }
    let mut counts = Counts::default();
    let success = if cargo_has("nextest") {
        let mut filter = format!("not test(/(^|::){VERSION2_PREFIX}/)");
        if without_docker {
            filter.push_str(" and not test(/(^|::)docker_cli_/)");
        }
        let words = [
            "nextest",
            "run",
            "--workspace",
            "--features",
            FEATURES,
            "--profile",
            "ci",
            "-E",
            &filter,
        ];
        watch(&mut cargo(&words), |line| add(&mut counts, nextest_summary(line)))?
    } else {
        println!("test: cargo-nextest is not installed, using cargo test");
        let mut words = vec!["test", "--workspace", "--features", FEATURES, "--no-fail-fast", "--"];
        words.extend(["--skip", VERSION2_PREFIX]);
        if without_docker {
            words.extend(["--skip", "docker_cli_"]);
        }
        watch(&mut cargo(&words), |line| add(&mut counts, libtest_summary(line)))?
    };
    if !success && counts.failed == 0 {
        bail!("the test runner failed");
    }
    Ok(counts)
}

fn fuzz_lane() -> Result<Counts> {
    let targets = fuzz::targets()?;
    if targets.is_empty() {
        bail!("there is no fuzz target");
    }
    let arguments = fuzz::Arguments {
        seconds: 10,
        target: None,
    };
    fuzz::run(&arguments)?;
    Ok(Counts {
        passed: targets.len() as u64,
        failed: 0,
    })
}

fn add(total: &mut Counts, counts: Option<Counts>) {
    if let Some(counts) = counts {
        total.passed += counts.passed;
        total.failed += counts.failed;
    }
}

/// Reads `Summary [   1.2s] 30 tests run: 28 passed (1 slow), 2 failed, 1 timed out, 4 skipped`.
fn nextest_summary(line: &str) -> Option<Counts> {
    let (_, parts) = plain(line)
        .split_once(" run: ")
        .map(|(left, right)| (left.to_owned(), right.to_owned()))?;
    if !line.contains("Summary") {
        return None;
    }
    Some(Counts {
        passed: number_before(&parts, " passed"),
        failed: number_before(&parts, " failed")
            + number_before(&parts, " timed out")
            + number_before(&parts, " exec failed"),
    })
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
pub(crate) fn libtest_summary(line: &str) -> Option<Counts> {
    let line = plain(line);
    let rest = line.trim().strip_prefix("test result: ")?;
    Some(Counts {
        passed: number_before(rest, " passed"),
        failed: number_before(rest, " failed"),
    })
}

/// Returns the number in front of a word, or zero.
fn number_before(text: &str, word: &str) -> u64 {
    let Some(end) = text.find(word) else { return 0 };
    let digits: String = text[..end].chars().rev().take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or(0)
}

/// Removes colours (ECMA-48 SGR sequences).
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("\u{1b}[") {
        text.push_str(&rest[..start]);
        rest = rest[start..].split_once('m').map_or("", |(_, rest)| rest);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_counted() {
        let counts = |passed, failed| Some(Counts { passed, failed });
        for (line, expected) in [
            (
                "     Summary [   1.2s] 30 tests run: 28 passed (1 slow), 2 failed, 4 skipped",
                counts(28, 2),
            ),
            (
                "\u{1b}[32m Summary\u{1b}[0m [ 1s] \u{1b}[1m3\u{1b}[0m tests run: \u{1b}[1m3\u{1b}[0m passed, 0 skipped",
                counts(3, 0),
            ),
            (
                "     Summary [   1.2s] 3 tests run: 1 passed, 1 failed, 1 timed out, 0 skipped",
                counts(1, 2),
            ),
            ("a test run: 7 passed", None),
        ] {
            assert_eq!(nextest_summary(line), expected, "{line}");
        }
        assert_eq!(
            libtest_summary("test result: FAILED. 3 passed; 1 failed; 0 ignored"),
            counts(3, 1)
        );
        assert_eq!(libtest_summary("running 4 tests"), None);
    }
}
