// SPDX-License-Identifier: MIT
//! `hb image inspect`

use clap::Args;

use crate::commands::{Spec, inspect, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    #[arg(required = true, value_name = "IMAGE", hide = true)]
    images: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    InspectArgs,
    run,
    ["inspect"],
    "Display detailed information on one or more images",
    "[OPTIONS] IMAGE [IMAGE...]"
);

fn run(context: &Context, arguments: InspectArgs) -> Outcome {
    let client = context.client()?;
    inspect::show(context, arguments.format.as_deref(), &arguments.images, |name| {
        Ok(client.inspect_image(name)?)
    })
}
