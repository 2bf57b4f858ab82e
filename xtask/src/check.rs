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
    licences()?;
    config_schema()
}

/// Licences, duplicates and sources are judged offline; advisories need their database.
fn licences() -> Result<()> {
    if !cargo_has("deny") {
        println!(
            "check: skipped licences and advisories: cargo-deny is not installed (cargo install cargo-deny --locked)"
        );
        return Ok(());
    }
    execute(&mut cargo(&[
        "deny",
        "--all-features",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))?;
    if cargo(&["deny", "fetch"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return execute(&mut cargo(&["deny", "--all-features", "check", "advisories"]));
    }
    println!("check: skipped advisories: their database cannot be fetched");
    Ok(())
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
