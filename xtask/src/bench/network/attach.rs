// SPDX-License-Identifier: MIT
//! How long a container waits for its network: in the driver alone, and in a start as a client sees it.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::engine::Stage;
use crate::bench::series::{Series, Table, Unit, interleave};
use crate::bench::statistics::Summary;
use crate::process::{capture, cargo, command, run as execute, target};

/// What the driver's own measurement prints.
#[derive(Debug, Deserialize)]
struct Measured {
    name: String,
    numbers: Vec<f64>,
}

/// Measures HyperBox's driver by its example.
pub(super) fn driver(rounds: usize) -> Result<Value> {
    let package = ["-p", "hyperbox-net", "--example", "open_latency"];
    execute(cargo(&["build", "--release"]).args(package))?;
    let program = target().join("release/examples/open_latency");
    let text = capture(&mut command(&[&program.to_string_lossy(), &rounds.to_string()]))?;
    println!("\nnetwork driver: until a container has its network ({rounds} rounds)");
    let mut rows = Vec::new();
    for line in text.lines() {
        let measured: Measured = serde_json::from_str(line).context("cannot read what open_latency says")?;
        let Some(summary) = Summary::of(&measured.numbers) else {
            continue;
        };
        println!(
            "  {:<42} {:>8.3} ms   quartiles {:.3} {:.3}",
            measured.name, summary.median, summary.lower_quartile, summary.upper_quartile
        );
        rows.push(json!({
            "name": measured.name, "median": summary.median, "lower_quartile": summary.lower_quartile,
            "upper_quartile": summary.upper_quartile, "numbers": measured.numbers,
        }));
    }
    Ok(json!({"name": "network driver", "unit": "ms", "contenders": rows}))
}

/// Measures starts without network, on a network of the user's, and with a published port there.
pub(super) fn engines(stages: &[Stage], rounds: usize) -> Vec<Value> {
    let table = |name: &str, flags: &dyn Fn(&Stage) -> Vec<String>| -> Table {
        let series = stages.iter().map(|stage| starts(stage, flags(stage)));
        interleave(name, Unit::Milliseconds, series.collect(), rounds)
    };
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let none = table("start by the API, no network", &|_| words(&["--network", "none"]));
    let network = table("start by the API, user-defined network", &|stage| {
        words(&["--network", &stage.network])
    });
    let port = table(
        "start by the API, user-defined network and a published port",
        &|stage| words(&["--network", &stage.network, "-p", "80"]),
    );
    println!("\nbeyond a start without network: network, network and port (ms)");
    let mut rows = Vec::new();
    for stage in stages {
        let name = stage.engine.name;
        if let (Some(none), Some(network), Some(port)) = (none.median(name), network.median(name), port.median(name)) {
            println!("  {name:<28} {:>12.2} {:>12.2}", network - none, port - none);
            rows.push(json!({"name": name, "network": network - none, "network_and_port": port - none}));
        }
    }
    let difference = json!({"name": "beyond a start without network", "unit": "ms", "contenders": rows});
    vec![none.to_json(), network.to_json(), port.to_json(), difference]
}

fn starts(stage: &Stage, flags: Vec<String>) -> Series<'_> {
    Series {
        name: stage.engine.name.to_owned(),
        command: format!("POST /containers/ID/start of: create {} sleep 600", flags.join(" ")),
        take: Box::new(move || {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let id = stage.create(&flags, &["sleep", "600"])?;
            let time = stage.engine.start(&id)?;
            stage.remove(&id)?;
            Ok(time.as_secs_f64() * 1000.0)
        }),
    }
}
