// SPDX-License-Identifier: MIT
//! `hb volume inspect`

use clap::Args;

use crate::commands::{Spec, inspect, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    #[arg(required = true, value_name = "VOLUME", hide = true)]
    volumes: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    InspectArgs,
    run,
    ["inspect"],
    "Display detailed information on one or more volumes",
    "[OPTIONS] VOLUME [VOLUME...]"
);

fn run(context: &Context, arguments: InspectArgs) -> Outcome {
    let client = context.client()?;
    inspect::show(context, arguments.format.as_deref(), &arguments.volumes, |name| {
        Ok(client.inspect_volume(name)?)
    })
}
