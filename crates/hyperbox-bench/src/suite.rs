// SPDX-License-Identifier: MIT
//! The scenarios of a container's life that every engine with Docker's words can run.

use std::time::Instant;

use crate::containers::Containers;
use crate::contender::{CallError, Contender, Running};
use crate::series::{Series, Table, Unit, interleave};

/// One thing that is measured.
#[derive(Debug)]
pub struct Scenario {
    /// What it is, such as `run --rm IMAGE true, bridge network`.
    pub name: String,
    /// Who does it, and how.
    pub contenders: Vec<Contender>,
}

/// Returns the scenarios of one container's life. The image must have the commands `true` and `sleep`.
pub fn lifecycle(engines: &[Contender], image: &str) -> Vec<Scenario> {
    let with = |arguments: &[&str]| engines.iter().map(|engine| engine.with(arguments)).collect();
    let detached: Vec<Contender> = with(&["run", "-d", image, "sleep", "600"]);
    vec![
        Scenario {
            name: "run --rm IMAGE true, bridge network".to_owned(),
            contenders: with(&["run", "--rm", image, "true"]),
        },
        Scenario {
            name: "run --rm --network none IMAGE true".to_owned(),
            contenders: with(&["run", "--rm", "--network", "none", image, "true"]),
        },
        Scenario {
            name: "run -d IMAGE sleep 600 (removal not counted)".to_owned(),
            contenders: detached
                .into_iter()
                .map(|engine| engine.after(&["rm", "-f", "{}"]))
                .collect(),
        },
    ]
}

/// Measures a scenario.
pub fn measure(scenario: &Scenario, rounds: usize) -> Table {
    let series = scenario.contenders.iter().map(|contender| Series {
        name: contender.name.clone(),
        command: contender.shown(),
        take: Box::new(|| contender.measure().map_err(|error| said(&error))),
    });
    interleave(&scenario.name, Unit::Milliseconds, series.collect(), rounds)
}

/// Measures the time until the last of `count` clients, all started at the same moment, has ended.
pub fn starts_at_once(engines: &[Contender], image: &str, count: usize, rounds: usize) -> Table {
    let series = engines.iter().map(|engine| Series {
        name: engine.name.clone(),
        command: format!(
            "{count} times at once: {} run -d {image} sleep 6000",
            engine.program.join(" ")
        ),
        take: Box::new(move || {
            let mut containers = Containers::of(engine, image);
            let start = Instant::now();
            containers.start(count).map_err(|error| said(&error))?;
            Ok(start.elapsed().as_secs_f64() * 1000.0)
        }),
    });
    let name = format!("{count} x run -d at once (removal not counted)");
    interleave(&name, Unit::Milliseconds, series.collect(), rounds)
}

/// Measures what the clients of [`starts_at_once`] take by themselves: the time until the last of `count`, which only ask for the
/// version, has ended.
pub fn clients_at_once(engines: &[Contender], count: usize, rounds: usize) -> Table {
    let series = engines.iter().map(|engine| Series {
        name: engine.name.clone(),
        command: format!("{count} times at once: {} version", engine.program.join(" ")),
        take: Box::new(move || {
            let client = engine.with(&["version"]);
            let start = Instant::now();
            let clients: Vec<_> = (0..count).map(|_| client.spawn()).collect();
            for client in clients {
                client.and_then(Running::wait).map_err(|error| said(&error))?;
            }
            Ok(start.elapsed().as_secs_f64() * 1000.0)
        }),
    });
    let name = format!("{count} x version at once (what the clients take)");
    interleave(&name, Unit::Milliseconds, series.collect(), rounds)
}

/// Measures a command in a running container.
pub fn exec(engines: &[Contender], image: &str, rounds: usize) -> Table {
    let series = engines.iter().map(|engine| {
        let mut held: Option<Containers<'_>> = None;
        Series {
            name: engine.name.clone(),
            command: format!("{} exec ID true", engine.program.join(" ")),
            take: Box::new(move || {
                if held.is_none() {
                    let mut containers = Containers::of(engine, image);
                    containers.start(1).map_err(|error| said(&error))?;
                    held = Some(containers);
                }
                let id = held.as_ref().and_then(Containers::any).unwrap_or_default();
                let command = engine.with(&["exec", id, "true"]);
                command.measure().map_err(|error| said(&error))
            }),
        }
    });
    interleave("exec CONTAINER true", Unit::Milliseconds, series.collect(), rounds)
}

/// Says an error with its cause.
fn said(error: &CallError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
