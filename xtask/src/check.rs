// SPDX-License-Identifier: MIT
//! `cargo xtask check`: everything that needs no run of the program.

use anyhow::{Context as _, Result, bail};

use crate::process::{capture, cargo, cargo_has, root, run as execute, target};

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    execute(&mut cargo(&["fmt", "--all", "--check"]))?;
    execute(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    let failpoints = [
        "clippy",
        "-p",
        "hyperbox-daemon",
        "--features",
        "failpoints",
        "--",
        "-D",
        "warnings",
    ];
    execute(&mut cargo(&failpoints))?;
    crate::deps::run()?;
    execute(
        cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    if cargo_has("deny") {
        execute(&mut cargo(&["deny", "--all-features", "check"]))?;
    } else {
        println!("check: skipped licences and advisories: cargo-deny is not installed");
    }
    config_schema()
}

/// The checked-in schema of the configuration must be what the daemon generates.
fn config_schema() -> Result<()> {
    execute(&mut cargo(&["build", "--quiet", "-p", "hyperbox-daemon"]))?;
    let daemon = target().join("debug/hyperboxd");
    let generated = capture(std::process::Command::new(daemon).arg("--print-config-schema"))?;
    let file = root().join("config/schema.json");
    let kept = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    if kept.trim_end() != generated {
        bail!("config/schema.json is out of date: hyperboxd --print-config-schema >config/schema.json");
    }
    Ok(())
}
