// SPDX-License-Identifier: MIT
//! `hb network inspect`

use clap::Args;

use crate::commands::{Spec, inspect, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Verbose output for diagnostics
    #[arg(short, long)]
    verbose: bool,
    #[arg(required = true, value_name = "NETWORK", hide = true)]
    networks: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    InspectArgs,
    run,
    ["inspect"],
    "Display detailed information on one or more networks",
    "[OPTIONS] NETWORK [NETWORK...]"
);

fn run(context: &Context, arguments: InspectArgs) -> Outcome {
    let client = context.client()?;
    inspect::show(context, arguments.format.as_deref(), &arguments.networks, |name| {
        Ok(client.inspect_network(name, arguments.verbose)?)
    })
}
