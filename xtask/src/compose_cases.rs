// SPDX-License-Identifier: MIT
//! `cargo xtask compose-cases`: asks `docker compose config` what the cases of `hyperbox-project` expect, and writes it into them.
//!
//! Needs no engine. A case is described in `crates/hyperbox-project/tests/cases.rs`; only its section `expected` is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::clients;
use crate::process::{root, target};

/// Where the project of a case is said to be.
const ROOT: &str = "/project";

/// Arguments of `compose-cases`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The beginnings of the names of cases; all of them when none is given.
    names: Vec<String>,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    clients::install()?;
    let program = target().join("suite-tools/cli-plugins/docker-compose");
    ensure!(program.exists(), "there is no {}", program.display());
    let folder = root().join("crates/hyperbox-project/tests/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    cases.sort();
    let mut written = 0;
    for case in cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = arguments.names.is_empty() || arguments.names.iter().any(|start| name.starts_with(start));
        if wanted {
            record(&program, &case).with_context(|| format!("case {name}"))?;
            written += 1;
        }
    }
    println!("{written} cases recorded");
    Ok(())
}

fn record(program: &Path, case: &Path) -> Result<()> {
    let text = fs::read_to_string(case)?;
    let scratch = target().join("compose-cases");
    let project = scratch.join("project");
    let _absent = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&project)?;
    let mut config = Command::new(program);
    config
        .current_dir(&project)
        .env_clear()
        .env("HOME", "/home/user")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let mut kept = String::new();
    let mut behind = String::new();
    for section in format!("\n{}", text.trim_end()).split("\n=== ").skip(1) {
        let (title, body) = section.split_once('\n').unwrap_or((section, ""));
        match title.split_once(' ').unwrap_or((title, "")) {
            ("expected", _) => continue,
            // Our words stand behind Compose's.
            ("said", _) => {
                behind = format!("=== {section}\n");
                continue;
            }
            ("arguments", _) => {
                config.args(body.split_whitespace());
            }
            ("environment", _) => {
                config.envs(body.lines().filter_map(|line| line.split_once('=')));
            }
            ("file", name) => {
                let path = project.join(name);
                fs::create_dir_all(path.parent().unwrap_or(&project))?;
                fs::write(path, format!("{body}\n"))?;
            }
            _ => {}
        }
        kept.push_str(&format!("=== {title}\n{}\n", body.trim_end_matches('\n')));
    }
    let output = config.args(["config", "--format", "json"]).output()?;
    let here = project.display().to_string();
    let expected = if output.status.success() {
        String::from_utf8(output.stdout)?
    } else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let reason: Vec<_> = said.lines().filter(|line| !line.starts_with("time=")).collect();
        format!("error: {}", reason.join(" "))
    };
    let expected = expected
        .replace(&here, ROOT)
        .replace(&scratch.display().to_string(), "");
    fs::write(case, format!("{kept}=== expected\n{}\n{behind}", expected.trim_end()))?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}
