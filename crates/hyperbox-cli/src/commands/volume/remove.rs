// SPDX-License-Identifier: MIT
//! `hb volume rm`

use clap::Args;

use crate::commands::targets::each;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Force the removal of one or more volumes
    #[arg(short, long)]
    force: bool,
    #[arg(required = true, value_name = "VOLUME", hide = true)]
    volumes: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    RemoveArgs,
    run,
    ["rm", "remove"],
    "Remove one or more volumes",
    "[OPTIONS] VOLUME [VOLUME...]"
);

fn run(context: &Context, arguments: RemoveArgs) -> Outcome {
    let client = context.client()?;
    each(context, &arguments.volumes, |name| {
        Ok(client.remove_volume(name, arguments.force)?)
    })
}
