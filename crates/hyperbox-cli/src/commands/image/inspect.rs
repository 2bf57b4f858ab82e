// SPDX-License-Identifier: MIT
//! `hb image inspect`

use clap::Args;
use hyperbox_types::Platform;

use crate::commands::{Spec, inspect, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::options;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Inspect only the given platform
    #[arg(long, value_name = "OS/ARCHITECTURE", value_parser = options::platform)]
    platform: Option<Platform>,
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
        Ok(client.inspect_image(name, arguments.platform.as_ref())?)
    })
}
