// SPDX-License-Identifier: MIT
//! `cargo xtask check`: everything that needs no run of the program.

use anyhow::Result;

use crate::process::{cargo, cargo_has, run as execute};

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
    licences()
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
