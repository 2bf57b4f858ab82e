// SPDX-License-Identifier: MIT
//! What `cargo xtask compat --record` and `--docs` run: the latter writes `docs/docker-compatibility.md`, the former runs the cases against Docker Engine and writes what it did into them.
//!
//! The engine that `DOCKER_HOST` names must have no container, volume, network or image of anybody else: the cases list and prune
//! whatever is there, and everything is removed after each. A file is written when all of its cases have run.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks to the person who started it"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use docker_compat::engine::Engine;
use docker_compat::script::{STATE, Script, Step};
use docker_compat::{cases, docs, tools};
use hyperbox_testkit::environment::STARTER;
use hyperbox_testkit::images::starter;

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == ["--docs"] {
        let path = docs::path();
        return std::fs::write(&path, docs::generate()?).with_context(|| path.display().to_string());
    }
    let host = std::env::var("DOCKER_HOST").context("DOCKER_HOST does not name an engine")?;
    let socket = host.strip_prefix("unix://").context("DOCKER_HOST is not unix://PATH")?;
    let home = tempfile::tempdir()?;
    tools::configure(home.path());
    let version =
        engine(Path::new(socket), home.path(), home.path()).shell("docker version --format '{{.Server.Version}}'");
    println!("recording from Docker Engine {}", version.succeeds());
    require_empty(&engine(Path::new(socket), home.path(), home.path()))?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(cases())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    for file in files {
        record(&file, &wanted, Path::new(socket), home.path()).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn engine(socket: &Path, directory: &Path, home: &Path) -> Engine {
    let home = home.to_owned();
    let command = move |program: &str| {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", &home).stdin(Stdio::null());
        command
    };
    Engine {
        socket: socket.to_owned(),
        directory: directory.to_owned(),
        command: Box::new(command),
    }
}

fn require_empty(engine: &Engine) -> Result<()> {
    let found = engine
        .shell("docker ps --all --quiet; docker volume ls --quiet; docker network ls --quiet --filter type=custom")
        .succeeds();
    if !found.is_empty() {
        bail!("the engine is used by somebody: it has containers, volumes or networks");
    }
    clean(engine);
    let images = engine.shell("docker images --all --quiet").succeeds();
    if !images.is_empty() {
        bail!("the engine is used by somebody: it has images");
    }
    Ok(())
}

fn clean(engine: &Engine) {
    // Each of these may have nothing to do.
    engine
        .shell(
            "docker ps --all --quiet | xargs -r docker rm --force --volumes
             docker network ls --quiet --filter type=custom | xargs -r docker network rm
             docker volume ls --quiet | xargs -r docker volume rm --force
             docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -v '<none>' | xargs -r docker image rm --force
             docker image prune --force --all",
        )
        .succeeds();
}

fn record(file: &Path, wanted: &[String], socket: &Path, home: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    let mut script = Script::parse(&text).map_err(anyhow::Error::msg)?;
    let area = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut recorded = 0;
    for case in &mut script.cases {
        let name = format!("{area}/{}", case.name);
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.starts_with(wanted.as_str())) {
            continue;
        }
        if case.steps.last().is_none_or(|step| step.command != STATE) {
            case.steps.push(Step {
                command: STATE.to_owned(),
                ..Step::default()
            });
        }
        let directory = tempfile::tempdir()?;
        let engine = engine(socket, directory.path(), home);
        engine.load(&starter(), STARTER);
        let outcomes = engine.run(&case.steps);
        for (step, outcome) in case.steps.iter_mut().zip(outcomes) {
            step.expected = outcome;
        }
        clean(&engine);
        println!("{name}");
        recorded += 1;
    }
    if recorded > 0 {
        std::fs::write(file, script.to_string())?;
    }
    Ok(())
}
