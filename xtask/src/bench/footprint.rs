// SPDX-License-Identifier: MIT
//! `bench footprint`: memory of an idle engine and of each container, wake-ups of an idle daemon, and its restart under containers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::contender::Contender;
use super::daemon::Daemon;
use super::engines::containers;
use super::let_pass;
use super::process_memory::{Memory, wake_ups};
use crate::process::target;

/// Containers that memory per container is measured with.
const CONTAINERS: usize = 20;
/// Containers that a restarting daemon adopts.
const ADOPTED: usize = 100;
/// How long an idle daemon is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// How long an engine may do what it puts off until it is idle, such as filling its pools and giving back memory.
const SETTLING: Duration = Duration::from_secs(20);

/// The programs of an engine.
struct Programs {
    engine: &'static str,
    /// What runs without containers.
    idle: &'static [&'static str],
    /// What each container adds.
    each: &'static [&'static str],
    /// Whether only those count that were built here: other daemons may run beside the measured one.
    built_here: bool,
}

/// The kernel keeps 15 characters of a name.
const PROGRAMS: [Programs; 2] = [
    Programs {
        engine: "hyperbox",
        idle: &["hyperboxd", "hyperbox-launch"],
        each: &["hyperbox-shim"],
        built_here: true,
    },
    Programs {
        engine: "docker",
        idle: &["dockerd", "containerd"],
        each: &["containerd-shim", "docker-proxy"],
        built_here: false,
    },
];

/// Measures idle memory and memory per container.
pub(super) fn memory(engines: &[Contender]) -> Result<[Value; 2]> {
    println!("\nmemory in MB: resident when idle; private for each of {CONTAINERS} containers");
    let (mut idle_rows, mut each_rows) = (Vec::new(), Vec::new());
    for programs in PROGRAMS {
        let name = programs.engine;
        let release = target().join("release");
        let directory = programs.built_here.then_some(release.as_path());
        let Some(engine) = engines.iter().find(|engine| engine.name == name) else {
            continue;
        };
        let_pass(SETTLING);
        let all = [programs.idle, programs.each].concat();
        let before = Memory::of_programs(programs.idle, directory)?;
        let before_all = Memory::of_programs(&all, directory)?;
        let mut containers = containers(engine);
        containers.start(CONTAINERS)?;
        let_pass(SETTLING);
        let with_containers = Memory::of_programs(&all, directory)?;
        #[expect(clippy::cast_precision_loss, reason = "twenty")]
        let per_container = (with_containers.private - before_all.private) / CONTAINERS as f64;
        println!("  {name:<28} {:>12.1} {per_container:>12.2}", before.resident);
        idle_rows.push(json!({
            "name": name, "median": before.resident, "private": before.private, "processes": before.processes,
        }));
        each_rows.push(json!({"name": name, "median": per_container}));
    }
    Ok([
        json!({"name": "memory of an idle engine, resident", "unit": "MB", "contenders": idle_rows}),
        json!({"name": "private memory for each container beyond its own", "unit": "MB", "contenders": each_rows}),
    ])
}

/// Counts how often the idle daemon wakes up.
pub(super) fn idleness(daemon: &Daemon) -> Result<Value> {
    let_pass(SETTLING);
    let before = wake_ups(daemon.pid())?;
    let_pass(WATCHED);
    let woken = wake_ups(daemon.pid())? - before;
    #[expect(clippy::cast_precision_loss, reason = "some hundreds at most")]
    let each_second = woken as f64 / WATCHED.as_secs_f64();
    println!("\nwake-ups of the idle daemon: {each_second:.2} each second");
    Ok(
        json!({"name": "wake-ups of the idle daemon", "unit": "1/s", "contenders": [{"name": "hyperbox", "median": each_second}]}),
    )
}

/// Measures a restart with running containers, until all of them are listed again.
pub(super) fn restart(daemon: &mut Daemon) -> Result<Value> {
    let client = daemon.client();
    let mut containers = containers(&client);
    for _ in 0..ADOPTED / CONTAINERS {
        containers.start(CONTAINERS)?;
    }
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let to_answer = daemon.restart()?;
        let words = ["ps", "-q", "--filter", "status=running"].map(str::to_owned);
        let listed = client.call(&words)?.lines().count();
        ensure!(
            listed == ADOPTED,
            "{listed} of {ADOPTED} containers are running after a restart"
        );
        numbers.push((to_answer.as_secs_f64() * 1000.0, start.elapsed().as_secs_f64() * 1000.0));
    }
    numbers.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (to_answer, whole) = *numbers.get(1).context("three restarts were measured")?;
    println!(
        "\nrestart with {ADOPTED} containers: {to_answer:.0} ms to its first answer, {whole:.0} ms with its end and the list"
    );
    Ok(json!({
        "name": format!("restart of the daemon with {ADOPTED} running containers, from its start to its first answer"), "unit": "ms",
        "contenders": [{"name": "hyperbox", "median": to_answer, "with_its_end": whole}],
    }))
}
