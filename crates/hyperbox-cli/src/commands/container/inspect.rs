// SPDX-License-Identifier: MIT
//! `hb container inspect`

use clap::Args;

use crate::commands::{Spec, inspect, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    InspectArgs,
    run,
    ["inspect"],
    "Display detailed information on one or more containers",
    "[OPTIONS] CONTAINER [CONTAINER...]"
);

fn run(context: &Context, arguments: InspectArgs) -> Outcome {
    let client = context.client()?;
    inspect::show(context, arguments.format.as_deref(), &arguments.containers, |name| {
        Ok(client.inspect_container(name, arguments.size)?)
    })
}
