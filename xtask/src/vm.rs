// SPDX-License-Identifier: MIT
//! `cargo xtask vm-test`: the tests that need pure cgroup v2, all in one boot of `tools/vm-run`.
//!
//! A test belongs here when its name begins with `v2_`; so do tests of links that many kernels lack (ipvlan, VLANs). The virtual machine
//! sees this machine's files, so the test binaries run in it as they are. It is emulated and some 25 times slower: tests in it must not
//! be in a hurry.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process::{capture, cargo, command, root, target, watch};
use crate::setup;
use crate::test::{Counts, FEATURES, VERSION2_PREFIX, libtest_summary};

/// Arguments of `vm-test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// A test binary and the tests in it that are wanted.
#[derive(Debug)]
struct Binary {
    path: PathBuf,
    directory: PathBuf,
    tests: Vec<String>,
}

const TIMEOUT_SECONDS: &str = "1500";

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::install(setup::Purpose::Test)?;
    let counts = boot(arguments.filter.as_deref())?;
    println!("{} passed, {} failed", counts.passed, counts.failed);
    if counts.failed > 0 {
        bail!("tests failed in the virtual machine");
    }
    Ok(())
}

/// Runs all of them, as a part of `test`.
pub(crate) fn lane() -> Result<Counts> {
    boot(None)
}

fn boot(filter: Option<&str>) -> Result<Counts> {
    let binaries = binaries(filter.unwrap_or_default())?;
    if binaries.is_empty() {
        bail!("no test begins with {VERSION2_PREFIX}");
    }
    let script = target().join("vm-test.sh");
    std::fs::write(&script, script_text(&binaries)).with_context(|| format!("cannot write {}", script.display()))?;
    let program = root().join("tools/vm-run");
    let mut words = vec![program.to_str().context("the workspace's path is not UTF-8")?];
    // Below the guest's own /tmp and /run a checkout would not be seen without this.
    let checkout = root().display().to_string();
    words.extend(["--share", &checkout]);
    words.extend(["--mem", "2048", "--timeout", TIMEOUT_SECONDS, "--", "sh"]);
    let mut counts = Counts::default();
    let success = watch(command(&words).arg(&script), |line| {
        if let Some(more) = libtest_summary(line) {
            counts.passed += more.passed;
            counts.failed += more.failed;
        }
    })?;
    let expected: u64 = binaries.iter().map(|binary| binary.tests.len() as u64).sum();
    if counts.passed + counts.failed != expected {
        bail!(
            "{expected} tests were to run in the virtual machine, {} did",
            counts.passed + counts.failed
        );
    }
    if !success && counts.failed == 0 {
        bail!("the virtual machine failed");
    }
    Ok(counts)
}

fn script_text(binaries: &[Binary]) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut text = String::from("code=0\n");
    for binary in binaries {
        let tests: Vec<String> = binary.tests.iter().map(|test| quote(test)).collect();
        let directory = quote(&binary.directory.to_string_lossy());
        let program = quote(&binary.path.to_string_lossy());
        text.push_str(&format!(
            "(cd {directory} && CARGO_MANIFEST_DIR={directory} {program} --test-threads=1 --exact {}) || code=1\n",
            tests.join(" ")
        ));
    }
    text.push_str("exit $code\n");
    text
}

fn binaries(filter: &str) -> Result<Vec<Binary>> {
    let words = [
        "test",
        "--workspace",
        "--features",
        FEATURES,
        "--no-run",
        "--message-format",
        "json-render-diagnostics",
    ];
    let output = capture(&mut cargo(&words))?;
    let mut binaries = Vec::new();
    for line in output.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line).context("cannot read cargo's messages")?;
        let (Some(path), true) = (message["executable"].as_str(), message["profile"]["test"] == true) else {
            continue;
        };
        let manifest = PathBuf::from(message["manifest_path"].as_str().unwrap_or_default());
        let list = capture(std::process::Command::new(path).args(["--list", "--format", "terse", VERSION2_PREFIX]))?;
        let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
        let wanted = names.filter(|name| {
            let last = name.rsplit("::").next().unwrap_or(name);
            last.starts_with(VERSION2_PREFIX) && name.contains(filter)
        });
        let tests: Vec<String> = wanted.map(str::to_owned).collect();
        if !tests.is_empty() {
            binaries.push(Binary {
                path: path.into(),
                directory: manifest.parent().unwrap_or(&manifest).to_owned(),
                tests,
            });
        }
    }
    Ok(binaries)
}
