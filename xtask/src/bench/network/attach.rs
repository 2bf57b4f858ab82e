// SPDX-License-Identifier: MIT
//! How long a container waits for its network in a start, as a client sees it.

use serde_json::{Value, json};

use super::engine::Stage;
use crate::bench::series::{Series, Table, Unit, interleave};

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
