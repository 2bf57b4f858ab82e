// SPDX-License-Identifier: MIT
//! `cargo xtask fuzz`: each fuzz target for some seconds, with coverage feedback, on the stable toolchain.
//!
//! libFuzzer needs LLVM's coverage instrumentation, which `-Cpasses` adds on stable; only sanitizers need nightly, and safe code
//! has little use for them.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process::{capture, cargo, root, run as execute};

/// Arguments of `fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u32,
    /// Only the target of this name.
    pub(crate) target: Option<String>,
}

const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";

/// Runs the task; returns an error when a target finds something.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let targets: Vec<String> = targets()?
        .into_iter()
        .filter(|target| arguments.target.as_ref().is_none_or(|wanted| wanted == target))
        .collect();
    if targets.is_empty() {
        bail!("no such fuzz target");
    }
    let directory = root().join("fuzz");
    let triple = host_triple()?;
    // With --target, build scripts and macros are built without the instrumentation.
    let mut build = cargo(&[
        "build",
        "--release",
        "--bins",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target",
        &triple,
    ]);
    execute(
        build
            .env("RUSTFLAGS", INSTRUMENTATION)
            .env("CARGO_TARGET_DIR", directory.join("target")),
    )?;
    for target in targets {
        let corpus = directory.join("corpus").join(&target);
        let artifacts = directory.join("artifacts").join(&target);
        for wanted in [&corpus, &artifacts] {
            std::fs::create_dir_all(wanted).with_context(|| format!("cannot create {}", wanted.display()))?;
        }
        let program = directory.join("target").join(&triple).join("release").join(&target);
        let mut command = std::process::Command::new(program);
        command
            .arg(format!("-max_total_time={}", arguments.seconds))
            .arg("-timeout=10")
            .arg("-rss_limit_mb=1024");
        command.arg("-verbosity=0").arg("-print_final_stats=1");
        command
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(&corpus);
        let seeds = directory.join("seeds").join(&target);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        // Fuzzers talk a lot; what they say matters when they find something.
        println!("fuzz: {target} for {} s", arguments.seconds);
        let output = command
            .output()
            .with_context(|| format!("cannot run fuzz target {target}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            println!("{said}");
            bail!("fuzz target {target} found something: {}", output.status);
        }
        let runs = said
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        println!(
            "fuzz: {target}: {} runs, nothing found",
            runs.unwrap_or("unknown").trim()
        );
    }
    Ok(())
}

/// Returns the names of the fuzz targets; none when there is no fuzz package.
pub(crate) fn targets() -> Result<Vec<String>> {
    if !root().join("fuzz/Cargo.toml").exists() {
        return Ok(Vec::new());
    }
    let text = capture(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--manifest-path",
        "fuzz/Cargo.toml",
    ]))?;
    let metadata: Value = serde_json::from_str(&text).context("cannot read cargo metadata")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let binaries = targets.filter(|target| target["kind"][0] == "bin");
    Ok(binaries
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect())
}

fn host_triple() -> Result<String> {
    let version = capture(std::process::Command::new("rustc").arg("-vV").current_dir(root()))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what it builds for")
}
