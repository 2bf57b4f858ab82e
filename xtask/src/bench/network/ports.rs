// SPDX-License-Identifier: MIT
//! A container with many published ports: how long its start takes, and what it leaves in the kernel and among the processes.

use std::net::TcpListener;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::engine::Stage;
use crate::bench::series::{Series, Unit, interleave};
use crate::process::{capture, command};

const COUNT: u16 = 500;
/// Where free ports are looked for: below those that the kernel gives to clients.
const FIRST: u16 = 10_000;
const LAST: u16 = 30_000;

/// What a container with many ports consists of.
#[derive(Debug, Clone, Copy, Default)]
struct Remains {
    rules: usize,
    elements: usize,
    processes: usize,
}

/// Measures all engines.
pub(super) fn measure(stages: &[Stage], rounds: usize) -> Result<Vec<Value>> {
    let base = free_range()?;
    let series = stages.iter().map(|stage| Series {
        name: stage.engine.name.to_owned(),
        command: format!("POST /containers/ID/start of: create -p {base}:{base} … ({COUNT} times)"),
        take: Box::new(move || {
            let container = create(stage, base)?;
            let time = stage.engine.start(&container);
            stage.remove(&container)?;
            Ok(time?.as_secs_f64() * 1000.0)
        }),
    });
    let scenario = format!("start by the API, {COUNT} published ports");
    let times = interleave(&scenario, Unit::Milliseconds, series.collect(), rounds);
    println!(
        "\nwhat {COUNT} published ports consist of: rules, elements of sets and maps, processes beside the container's"
    );
    let mut rows = Vec::new();
    for stage in stages {
        match remains(stage, base) {
            Ok(remains) => {
                println!(
                    "  {:<28} {:>8} {:>8} {:>8}",
                    stage.engine.name, remains.rules, remains.elements, remains.processes
                );
                rows.push(json!({
                    "name": stage.engine.name, "rules": remains.rules, "elements": remains.elements,
                    "processes": remains.processes,
                }));
            }
            Err(error) => println!("  left out {}: {error:#}", stage.engine.name),
        }
    }
    let counts = json!({"name": format!("what {COUNT} published ports consist of"), "contenders": rows});
    Ok(vec![times.to_json(), counts])
}

fn create(stage: &Stage, base: u16) -> Result<String> {
    let ports: Vec<String> = (base..base + COUNT).map(|port| format!("{port}:{port}")).collect();
    let mut flags = vec!["--network", stage.network.as_str()];
    flags.extend(ports.iter().flat_map(|port| ["-p", port.as_str()]));
    stage.create(&flags, &["sleep", "600"])
}

/// Compares a container with many ports to one without any.
fn remains(stage: &Stage, base: u16) -> Result<Remains> {
    let before = stage.run(&["--network", &stage.network], &["sleep", "600"])?;
    let without = look()?;
    stage.remove(&before)?;
    let container = create(stage, base)?;
    stage.engine.start(&container)?;
    let with = look()?;
    stage.remove(&container)?;
    Ok(Remains {
        rules: with.rules.saturating_sub(without.rules),
        elements: with.elements.saturating_sub(without.elements),
        processes: with.processes.saturating_sub(without.processes),
    })
}

/// Counts what there is on the machine.
fn look() -> Result<Remains> {
    let text = capture(&mut command(&["nft", "--json", "list", "ruleset"]))?;
    let ruleset: Value = serde_json::from_str(&text).context("cannot read what nft says")?;
    let mut found = Remains::default();
    for object in ruleset["nftables"].as_array().into_iter().flatten() {
        found.rules += usize::from(object.get("rule").is_some());
        for kind in ["set", "map"] {
            found.elements += object[kind]["elem"].as_array().map_or(0, Vec::len);
        }
    }
    let processes = std::fs::read_dir("/proc").context("cannot read /proc")?;
    let is_process = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    found.processes = processes
        .flatten()
        .filter(|entry| is_process(&entry.file_name()))
        .count();
    Ok(found)
}

/// Finds ports in a row that nobody has at the moment.
fn free_range() -> Result<u16> {
    let mut start = FIRST;
    for port in FIRST..LAST {
        if TcpListener::bind(("::", port)).is_err() {
            start = port + 1;
        } else if port - start + 1 == COUNT {
            return Ok(start);
        }
    }
    anyhow::bail!("no {COUNT} free ports in a row")
}
