// SPDX-License-Identifier: MIT
//! `cargo xtask bench`: HyperBox beside whatever of docker, podman and crun can be reached.
//!
//! All contenders take turns (one run each per round, in an order that rotates), so that a busy machine is busy for all of them. A
//! contender that fails its warm-up is left out and named. Kept are the medians, the spread (quartiles), the ratio to HyperBox and
//! the machine, as a table and as JSON below `target/bench`.

mod contender;
mod lifecycle;
mod network;
mod pull;
mod series;
mod statistics;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::machine;
use crate::process::target;
use contender::Contender;
use series::{Series, Unit, interleave};

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
    /// Attaching, published ports and names; Docker by DOCKER_HOST, Podman by its Docker-compatible CONTAINER_HOST.
    Network,
    /// A full pull of a 250 MB image from a registry on this machine until it can be run.
    Pull,
    /// Asks for a name as often as it can: the part of `network` that runs in a container.
    #[command(hide = true)]
    Ask(network::Question),
}

/// One thing that is measured.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// What it is, such as `run --rm, bridge`.
    name: String,
    contenders: Vec<Contender>,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Lifecycle => lifecycle::run(arguments.rounds),
        What::Network => network::run(arguments.rounds),
        What::Pull => pull::run(arguments.rounds),
        What::Ask(question) => network::ask(question),
    }
}

/// Measures scenarios one after the other, prints a table for each and keeps everything as JSON.
fn measure(benchmark: &str, scenarios: Vec<Scenario>, rounds: usize) -> Result<()> {
    let mut results = Vec::new();
    for scenario in scenarios {
        let series = scenario.contenders.into_iter().map(|contender| Series {
            name: contender.name.clone(),
            command: contender.shown(),
            take: Box::new(move || Ok(once(&contender)?.as_secs_f64() * 1000.0)),
        });
        results.push(interleave(&scenario.name, Unit::Milliseconds, series.collect(), rounds).to_json());
    }
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

fn once(contender: &Contender) -> Result<Duration> {
    contender.prepare()?;
    let start = Instant::now();
    let output = contender.run()?;
    let elapsed = start.elapsed();
    contender.clean_up(&output)?;
    Ok(elapsed)
}
