// SPDX-License-Identifier: MIT
//! `bench build`: the builds that developers repeat all day, beside the builders of other engines.
//!
//! Each scenario has a context of its own below `target/bench`, which all contenders build in turns. Where a file changes, it changes
//! before each turn, to what nobody has built yet. Build caches of other engines are left as they are: they are not ours to prune.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::contender::Contender;
use super::daemon::Daemon;
use super::engines::{Prepared, peer};
use super::keep;
use super::series::{Series, Table, Unit, interleave};
use crate::process::target;
use crate::starter;

/// Builds that the project promises something about.
pub(super) const COLD: &str = "build, nothing in the cache";
/// One of few files has changed.
pub(super) const CHANGED: &str = "build, one file of 200 has changed";
/// Nothing has.
pub(super) const UNCHANGED: &str = "build, nothing has changed";

/// What is built is called so.
const NAME: &str = "hyperbox-bench-build:latest";

/// The starter image by its whole name: not everybody completes short ones.
fn base() -> String {
    format!("docker.io/{}", starter::NAME)
}

/// What Buildah calls it when it comes from an archive.
fn local_base() -> String {
    format!("localhost/{}", starter::NAME)
}

/// Files in the source directory of the usual context, and of the large one.
const FEW: usize = 200;
const MANY: usize = 50_000;

/// Independent stages, each of which takes half a second.
const STAGES: usize = 8;

/// What is done before each turn.
#[derive(Clone, Copy)]
enum Turn {
    /// Nothing: nobody has anything to do.
    Same,
    /// A file changes.
    Change,
    /// Nothing, but everything is done again.
    Cold,
}

/// Measures all scenarios; fewer rounds than asked for, because some take seconds.
pub(super) fn run(rounds: usize) -> Result<()> {
    let daemon = Daemon::start()?;
    let prepared = Prepared::with_starter(&daemon)?;
    let mut engines: Vec<Builder> = prepared.engines.iter().map(Builder::of).collect();
    engines.extend(buildah(&prepared.archive));
    let root = target().join("bench/build");
    let (usual, large) = (source(&root.join("usual"), FEW)?, source(&root.join("large"), MANY)?);
    let stages = stages(&root.join("stages"))?;
    let rounds = rounds.min(10);
    let mut tables = Vec::new();
    for (scenario, context, turn) in [
        (COLD, &usual, Turn::Cold),
        (CHANGED, &usual, Turn::Change),
        (UNCHANGED, &usual, Turn::Same),
        ("build, 8 independent stages of 0.5 s", &stages, Turn::Cold),
        ("build, one file of 50,000 has changed", &large, Turn::Change),
        ("build, nothing of 50,000 files has changed", &large, Turn::Same),
    ] {
        tables.push(measure(scenario, &engines, context, turn, rounds).to_json());
    }
    for engine in &engines {
        // Who was left out has none.
        drop(engine.client.call(&["rmi".to_owned(), NAME.to_owned()]));
    }
    for engine in engines.iter().filter(|engine| engine.client.name == "buildah") {
        // Podman may share its storage, and the image with it.
        drop(engine.client.call(&["rmi".to_owned(), base(), local_base()]));
    }
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    keep("build", &tables)
}

/// A builder and its words.
struct Builder {
    client: Contender,
    words: Vec<String>,
}

impl Builder {
    fn of(client: &Contender) -> Self {
        let words = ["build", "-q", "-t", NAME].map(str::to_owned);
        Self {
            client: client.clone(),
            words: words.to_vec(),
        }
    }
}

/// Returns Buildah with its cache, which it has to be told to use, and with the starter image in a storage of its own.
fn buildah(archive: &Path) -> Option<Builder> {
    let mut builder = Builder::of(&peer("buildah")?);
    // It wants more open files and processes for each command than every machine lets it have.
    let words = [
        "--layers",
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=4096:4096",
    ];
    builder.words.extend(words.map(str::to_owned));
    let image = format!("docker-archive:{}", archive.display());
    let pulled = builder.client.call(&["pull".to_owned(), "-q".to_owned(), image]);
    // Short names become those of this machine there.
    let named = pulled.and_then(|_| builder.client.call(&["tag".to_owned(), local_base(), base()]));
    match named {
        Ok(_) => Some(builder),
        Err(error) => {
            println!("left out {}: {error:#}", builder.client.name);
            None
        }
    }
}

fn measure(scenario: &str, builders: &[Builder], context: &Path, turn: Turn, rounds: usize) -> Table {
    let number = Cell::new(0_u64);
    let series = builders.iter().map(|builder| Series {
        name: builder.client.name.clone(),
        command: format!("{} build CONTEXT", builder.client.shown()),
        take: Box::new(|| {
            number.set(number.get() + 1);
            if matches!(turn, Turn::Change) {
                change(context, number.get())?;
            }
            once(builder, context, turn)
        }),
    });
    interleave(scenario, Unit::Milliseconds, series.collect(), rounds)
}

fn once(builder: &Builder, context: &Path, turn: Turn) -> Result<f64> {
    let mut words = builder.words.clone();
    if matches!(turn, Turn::Cold) {
        words.push("--no-cache".to_owned());
    }
    words.push(context.to_string_lossy().into_owned());
    let start = Instant::now();
    builder.client.call(&words)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Changes a file to what it never was before, in no run of this benchmark.
fn change(context: &Path, number: u64) -> Result<()> {
    let text = format!("{number} of {}\n", std::process::id());
    let file = context.join("source/d000/f000");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Makes a context with dependencies that seldom change and a source directory that does.
fn source(directory: &Path, files: usize) -> Result<PathBuf> {
    for number in 0..files {
        let parent = directory.join(format!("source/d{:03}", number / 100));
        fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let file = parent.join(format!("f{:03}", number % 100));
        let text = format!("{number}\n").repeat(100);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    write(directory, "dependencies", "one\ntwo\n")?;
    let dockerfile = format!(
        "FROM {}\nWORKDIR /work\nCOPY dependencies ./\nRUN seq 1 100000 | md5sum >installed\nCOPY source source\nRUN cat source/d000/* | md5sum >built\nCMD [\"cat\", \"built\"]\n",
        base()
    );
    write(directory, "Dockerfile", &dockerfile)?;
    Ok(directory.to_path_buf())
}

/// Makes a context with stages that do not need each other.
fn stages(directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut dockerfile = String::new();
    for number in 0..STAGES {
        dockerfile.push_str(&format!(
            "FROM {} AS s{number}\nRUN sleep 0.5; echo {number} >/made\n",
            base()
        ));
    }
    dockerfile.push_str("FROM scratch\n");
    for number in 0..STAGES {
        dockerfile.push_str(&format!("COPY --from=s{number} /made /{number}\n"));
    }
    write(directory, "Dockerfile", &dockerfile)?;
    Ok(directory.to_path_buf())
}

fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    let file = directory.join(name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}
