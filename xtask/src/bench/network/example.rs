// SPDX-License-Identifier: MIT
//! What the network driver measures of itself, without an engine: examples of its crate, in namespaces of their own.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bench::series::Unit;
use crate::bench::statistics::Summary;
use crate::process::{capture, cargo, command, run as execute, target};

/// A line that an example prints.
#[derive(Debug, Deserialize)]
struct Measured {
    name: String,
    numbers: Vec<f64>,
}

/// How long a container waits for its network.
pub(super) fn attach(rounds: usize) -> Result<Value> {
    let title = "network driver: until a container has its network";
    measure("open_latency", title, Unit::Milliseconds, rounds)
}

/// What published ports carry from loopback addresses, by each way there is.
pub(super) fn loopback(rounds: usize) -> Result<Value> {
    let title = "network driver: published port from loopback, by each way";
    measure("loopback_throughput", title, Unit::GigabitsPerSecond, rounds)
}

fn measure(example: &str, title: &str, unit: Unit, rounds: usize) -> Result<Value> {
    let package = ["-p", "hyperbox-net", "--example", example];
    execute(cargo(&["build", "--release"]).args(package))?;
    let program = target().join("release/examples").join(example);
    let text = capture(&mut command(&[&program.to_string_lossy(), &rounds.to_string()]))?;
    println!("\n{title} ({rounds} rounds)");
    let mut rows = Vec::new();
    for line in text.lines() {
        let measured: Measured =
            serde_json::from_str(line).with_context(|| format!("cannot read what {example} says"))?;
        let Some(summary) = Summary::of(&measured.numbers) else {
            continue;
        };
        println!(
            "  {:<42} {:>8.3} {}   quartiles {:.3} {:.3}",
            measured.name,
            summary.median,
            unit.shown(),
            summary.lower_quartile,
            summary.upper_quartile
        );
        rows.push(json!({
            "name": measured.name, "median": summary.median, "lower_quartile": summary.lower_quartile,
            "upper_quartile": summary.upper_quartile, "numbers": measured.numbers,
        }));
    }
    Ok(json!({"name": title, "unit": unit.shown(), "contenders": rows}))
}
