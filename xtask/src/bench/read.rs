// SPDX-License-Identifier: MIT
//! `bench read`: a container reads all files of an image, right after all caches were dropped and again from memory. Layers as
//! indexes stand beside layers as directories of the same daemon's making.

use std::time::Instant;

use anyhow::{Context as _, Result};

use super::contender::Contender;
use super::daemon::Daemon;
use super::engines::engines;
use super::image_server::Server;
use super::keep;
use super::pull::words;
use super::series::{Series, Unit, interleave};
use crate::process::{command, run as run_to_end};

/// How files are found when they are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caches {
    Dropped,
    Warm,
}

/// Measures both; fewer rounds than asked for, because each reads hundreds of megabytes.
pub(super) fn run(rounds: usize) -> Result<()> {
    let server = Server::start(&["1x10".to_owned(), "1x100000".to_owned()])?;
    let indexed = Daemon::start()?;
    let directories = Daemon::start_with("daemon-of-directories", "[storage]\nsnapshotter = \"overlay\"\n")?;
    let mut all = engines(&indexed);
    all.retain(|engine| engine.name != "docker > hb");
    let mut second = directories.client();
    "hyperbox, directories".clone_into(&mut second.name);
    all.insert(1, second);
    let mut results = Vec::new();
    for (kind, image) in server.images.iter().filter(|(kind, _)| kind.starts_with("gzip")) {
        let usable: Vec<&Contender> = all.iter().filter(|engine| pulled(engine, image)).collect();
        for (caches, how) in [(Caches::Dropped, "from the disk"), (Caches::Warm, "from memory")] {
            let series = usable.iter().map(|engine| Series {
                name: engine.name.clone(),
                command: format!("{} run --rm {image} … cat", engine.shown()),
                take: Box::new(move || read(engine, image, caches)),
            });
            let name = format!("run and read all of {kind}, {how}");
            results.push(interleave(&name, Unit::Milliseconds, series.collect(), rounds.min(10)).to_json());
        }
        for engine in usable {
            drop(engine.call(&["rmi", "-f", image].map(str::to_owned)));
        }
    }
    keep("read", &results)
}

fn pulled(engine: &Contender, image: &str) -> bool {
    let outcome = engine.call(&words(&engine.name, &["pull"], &[image]));
    if let Err(error) = &outcome {
        println!("left out {}: {error:#}", engine.name);
    }
    outcome.is_ok()
}

fn read(engine: &Contender, image: &str, caches: Caches) -> Result<f64> {
    if caches == Caches::Dropped {
        // What is dirty cannot be dropped.
        run_to_end(&mut command(&["sync"]))?;
        std::fs::write("/proc/sys/vm/drop_caches", "3").context("cannot drop caches: this needs root")?;
    }
    let script = "find /spread -type f -print0 | xargs -0 cat >/dev/null";
    let start = Instant::now();
    engine.call(&["run", "--rm", "--network", "none", image, "sh", "-c", script].map(str::to_owned))?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}
