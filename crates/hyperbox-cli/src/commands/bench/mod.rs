// SPDX-License-Identifier: MIT
//! `hb bench`: this daemon beside every other engine of the machine, in turns.
//!
//! What is measured is in `hyperbox-bench`, which the project's own benchmarks use, too. Here engines are found (`engines`), the image is
//! brought to each, and the result is shown. Containers go with their round; images that were pulled stay.

mod engines;

use clap::Args;
use hyperbox_bench::{Contender, Table};
use serde_json::json;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use engines::Engine;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Image to run; it needs the commands true and sleep, and is pulled where it is missing
    #[arg(long, value_name = "IMAGE", default_value = "busybox")]
    image: String,
    /// Measured rounds
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How many containers start at the same moment
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    at_once: u16,
    /// Measure only this (repeatable): lifecycle, exec or crowd
    #[arg(long, value_name = "WHAT", value_parser = ["lifecycle", "exec", "crowd"])]
    only: Vec<String>,
    /// Another engine with Docker's API (repeatable) [default: those of DOCKER_HOST, CONTAINER_HOST and the usual sockets]
    #[arg(long, value_name = "NAME=ADDRESS")]
    engine: Vec<String>,
    /// Format output: 'table' or 'json'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

pub(crate) const SPEC: Spec = spec!(
    BenchArgs,
    run,
    ["bench"],
    "Measure this engine beside others",
    "[OPTIONS]"
);

/// Rounds of what takes an engine many seconds.
const LONG_ROUNDS: usize = 5;

fn run(context: &Context, arguments: BenchArgs) -> Outcome {
    let engines = engines::find(context, &arguments.engine)?;
    let contenders = ready(context, &engines, &arguments.image);
    if contenders.is_empty() {
        let error = CliError::new(format!("no engine can run {}", arguments.image));
        return Err(error.with_hint("name an image that it has, or can pull: `hb bench --image IMAGE`"));
    }
    let tables = measure(context, &arguments, &contenders)?;
    if arguments.format == "json" {
        let document = json!({
            "machine": hyperbox_bench::describe_machine(),
            "client": env!("CARGO_PKG_VERSION"),
            "engines": engines.iter().map(Engine::to_json).collect::<Vec<_>>(),
            "scenarios": tables.iter().map(Table::to_json).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&document).map_err(|error| CliError::from_error(&error))?;
        context.print(&text)?;
    }
    Ok(0)
}

/// Returns the command lines of all engines that have the image, or got it.
fn ready(context: &Context, engines: &[Engine], image: &str) -> Vec<Contender> {
    let mut ready = Vec::new();
    for engine in engines {
        for contender in &engine.contenders {
            let call = |words: &[&str]| contender.with(words).run();
            let got = call(&["image", "inspect", image]).or_else(|_| {
                context.note(&format!("pulling {image} into {}", engine.name));
                call(&["pull", "-q", image])
            });
            match got {
                Ok(_) => ready.push(contender.clone()),
                Err(error) => context.note(&format!("left out {}: {error}", contender.name)),
            }
        }
    }
    ready
}

fn measure(context: &Context, arguments: &BenchArgs, contenders: &[Contender]) -> Result<Vec<Table>, CliError> {
    let rounds = usize::from(arguments.rounds);
    let image = arguments.image.as_str();
    let wanted = |what: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == what);
    let mut tables = Vec::new();
    let mut keep = |table: Table| {
        if arguments.format == "table" {
            context.print(&format!("{table}"))?;
        }
        tables.push(table);
        Ok::<(), CliError>(())
    };
    if wanted("lifecycle") {
        for scenario in hyperbox_bench::lifecycle(contenders, image) {
            keep(hyperbox_bench::measure(&scenario, rounds))?;
        }
    }
    if wanted("exec") {
        keep(hyperbox_bench::exec(contenders, image, rounds))?;
    }
    if wanted("crowd") {
        let count = usize::from(arguments.at_once);
        keep(hyperbox_bench::starts_at_once(
            contenders,
            image,
            count,
            rounds.min(LONG_ROUNDS),
        ))?;
    }
    Ok(tables)
}
