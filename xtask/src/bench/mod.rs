// SPDX-License-Identifier: MIT
//! `cargo xtask bench`: HyperBox beside whatever of docker, podman and crun can be reached.
//!
//! All contenders take turns (one run each per round, in an order that rotates), so that a busy machine is busy for all of them. A
//! contender that fails its warm-up is left out and named. Kept are the medians, the spread (quartiles), the ratio to HyperBox and
//! the machine, as a table and as JSON below `target/bench`.

mod build;
mod chart;
mod contender;
mod crowd;
mod daemon;
mod disk;
mod endurance;
mod engines;
mod footprint;
mod image_server;
mod lifecycle;
mod network;
mod process_memory;
mod project;
mod pull;
mod read;
mod report;
mod series;
mod statistics;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::machine;
use crate::process::target;
use daemon::Daemon;
use engines::Prepared;
use hyperbox_bench::Scenario;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Measured rounds.
    #[arg(long, default_value_t = 30, global = true)]
    rounds: usize,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// `run --rm IMAGE true` with bridge and without network, and `run -d`.
    Lifecycle,
    /// Fifty starts at once, and `exec`.
    Crowd,
    /// A thousand containers one after the other: the last as fast as the first, nothing piles up.
    Endurance,
    /// Memory of an idle engine and of each container, wake-ups, and a restart with a hundred containers.
    Footprint,
    /// Attaching, published ports and names; Docker by DOCKER_HOST, Podman by its Docker-compatible CONTAINER_HOST.
    Network,
    /// Full pulls from a registry on this machine, until the image can be run and until it has been.
    Pull {
        /// Images of 100 MB in so many layers and files, such as 8x100000 (repeatable) [default: 250 MB in five layers]
        #[arg(long = "image", value_name = "LAYERSxFILES")]
        images: Vec<String>,
        /// Images of 1, 8 and 30 layers with 10 and 100,000 files
        #[arg(long, conflicts_with = "images")]
        matrix: bool,
    },
    /// Ten services up, up again unchanged, and down, beside `docker compose` on Docker Engine.
    Project,
    /// Images from Dockerfiles: from nothing, after a change, again, stages side by side, and of 50,000 files.
    Build,
    /// Disk space of ten versions of an image that differ a little.
    Disk,
    /// Reading all files of an image in a container, from the disk and from memory.
    Read,
    /// Writes docs/performance.md and its chart from what was measured.
    Report,
    /// Asks for a name as often as it can: the part of `network` that runs in a container.
    #[command(hide = true)]
    Ask(network::Question),
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Lifecycle => lifecycle::run(arguments.rounds),
        What::Crowd => crowd(arguments.rounds),
        What::Endurance => endurance(),
        What::Footprint => footprint(),
        What::Network => network::run(arguments.rounds),
        What::Pull { matrix: true, .. } => pull::run(arguments.rounds, &pull::MATRIX.map(str::to_owned)),
        What::Pull { images, .. } => pull::run(arguments.rounds, images),
        What::Project => project::run(arguments.rounds),
        What::Build => build::run(arguments.rounds),
        What::Disk => disk::run(),
        What::Read => read::run(arguments.rounds),
        What::Report => report::run(),
        What::Ask(question) => network::ask(question),
    }
}

fn crowd(rounds: usize) -> Result<()> {
    let daemon = Daemon::start()?;
    let prepared = Prepared::with_starter(&daemon)?;
    let engines = &prepared.engines;
    let at_once = crowd::measure(engines, rounds);
    let floor = crowd::floor(engines, rounds);
    keep("crowd", &[at_once, floor, crowd::exec(engines, rounds)])
}

fn endurance() -> Result<()> {
    let daemon = Daemon::start()?;
    let _prepared = Prepared::with_starter(&daemon)?;
    keep("endurance", &[endurance::measure(&daemon)?])
}

fn footprint() -> Result<()> {
    let mut daemon = Daemon::start()?;
    let prepared = Prepared::with_starter(&daemon)?;
    let [idle, each] = footprint::memory(&prepared.engines)?;
    let idleness = footprint::idleness(&daemon)?;
    keep("footprint", &[idle, each, idleness, footprint::restart(&mut daemon)?])
}

/// Lets time pass that is itself a part of a measurement.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is what happens when nothing is asked for"
)]
fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// Measures scenarios one after the other, prints a table for each and keeps everything as JSON.
fn measure(benchmark: &str, scenarios: Vec<Scenario>, rounds: usize) -> Result<()> {
    let results: Vec<_> = scenarios
        .into_iter()
        .map(|scenario| series::print(hyperbox_bench::measure(&scenario, rounds)).to_json())
        .collect();
    keep(benchmark, &results)
}

/// Writes what was measured, and on which machine, below `target/bench`.
fn keep(benchmark: &str, scenarios: &[Value]) -> Result<()> {
    let report = json!({
        "benchmark": benchmark,
        "machine": machine::describe(),
        "scenarios": scenarios,
    });
    let directory = target().join("bench");
    let file = directory.join(format!("{benchmark}.json"));
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    fs::write(&file, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("\nmachine: {}\nkept in {}", report["machine"], file.display());
    Ok(())
}
