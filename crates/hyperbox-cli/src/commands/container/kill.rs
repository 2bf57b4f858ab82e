// SPDX-License-Identifier: MIT
//! `hb kill`

use clap::Args;

use crate::commands::targets::each;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Signal to send to the container
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    KillArgs,
    run,
    ["kill"],
    "Kill one or more running containers",
    "[OPTIONS] CONTAINER [CONTAINER...]"
);

fn run(context: &Context, arguments: KillArgs) -> Outcome {
    let client = context.client()?;
    each(context, &arguments.containers, |name| {
        Ok(client.kill_container(name, arguments.signal.as_deref())?)
    })
}
