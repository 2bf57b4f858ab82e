// SPDX-License-Identifier: MIT
//! `cargo xtask bench`: HyperBox beside whatever of docker, podman and crun can be reached.
//!
//! All contenders take turns (one run each per round, in an order that rotates), so that a busy machine is busy for all of them. A
//! contender that fails its warm-up is left out and named. Kept are the medians, the spread (quartiles), the ratio to HyperBox and
//! the machine, as a table and as JSON below `target/bench`.

mod contender;
mod lifecycle;
mod pull;
mod statistics;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::machine;
use crate::process::target;
use contender::Contender;
use statistics::Summary;

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
    /// A full pull of a 250 MB image from a registry on this machine until it can be run.
    Pull,
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
    match arguments.what {
        What::Lifecycle => lifecycle::run(arguments.rounds),
        What::Pull => pull::run(arguments.rounds),
    }
}

/// Measures scenarios one after the other, prints a table for each and keeps everything as JSON.
fn measure(benchmark: &str, scenarios: Vec<Scenario>, rounds: usize) -> Result<()> {
    let mut results = Vec::new();
    for scenario in scenarios {
        results.push(measure_one(scenario, rounds)?);
    }
    let report = json!({
        "benchmark": benchmark,
        "machine": machine::describe(),
        "rounds": rounds,
        "unit": "milliseconds",
        "scenarios": results,
    });
    let directory = target().join("bench");
    let file = directory.join(format!("{benchmark}.json"));
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    fs::write(&file, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("\nmachine: {}\nkept in {}", report["machine"], file.display());
    Ok(())
}

fn measure_one(scenario: Scenario, rounds: usize) -> Result<Value> {
    println!("\n{} ({rounds} rounds)", scenario.name);
    let mut runners = Vec::new();
    for contender in scenario.contenders {
        match (0..3).try_for_each(|_| once(&contender).map(drop)) {
            Ok(()) => runners.push((contender, Vec::new())),
            Err(error) => println!("  left out {}: {error:#}", contender.name),
        }
    }
    for round in 0..rounds {
        for turn in 0..runners.len() {
            let index = (round + turn) % runners.len();
            let (contender, times) = &mut runners[index];
            times.push(once(contender)?.as_secs_f64() * 1000.0);
        }
    }
    let reference = runners
        .first()
        .and_then(|(_, times)| Summary::of(times))
        .map(|summary| summary.median);
    let mut rows = Vec::new();
    println!(
        "  {:<12} {:>10} {:>10} {:>10} {:>8}",
        "", "median ms", "quartile", "quartile", "ratio"
    );
    for (contender, times) in &runners {
        let Some(summary) = Summary::of(times) else { continue };
        let ratio = reference.map_or(1.0, |reference| summary.median / reference);
        println!(
            "  {:<12} {:>10.2} {:>10.2} {:>10.2} {:>7.1}x",
            contender.name, summary.median, summary.lower_quartile, summary.upper_quartile, ratio
        );
        rows.push(json!({
            "name": contender.name, "command": contender.shown(), "median": summary.median,
            "lower_quartile": summary.lower_quartile, "upper_quartile": summary.upper_quartile,
            "minimum": summary.minimum, "maximum": summary.maximum, "ratio": ratio, "times": times,
        }));
    }
    Ok(json!({"name": scenario.name, "contenders": rows}))
}

/// One timed run of the whole command, between an untimed preparation and an untimed clean-up.
fn once(contender: &Contender) -> Result<Duration> {
    contender.prepare()?;
    let start = Instant::now();
    let output = contender.run()?;
    let elapsed = start.elapsed();
    contender.clean_up(&output)?;
    Ok(elapsed)
}
