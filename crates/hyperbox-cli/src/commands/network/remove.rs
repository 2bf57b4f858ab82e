// SPDX-License-Identifier: MIT
//! `hb network rm`

use clap::Args;

use super::given;
use crate::commands::targets::each_quiet;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
    #[arg(required = true, value_name = "NETWORK", hide = true)]
    networks: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    RemoveArgs,
    run,
    ["rm", "remove"],
    "Remove one or more networks",
    "[OPTIONS] NETWORK [NETWORK...]"
);

fn run(context: &Context, arguments: RemoveArgs) -> Outcome {
    let client = context.client()?;
    each_quiet(context, &arguments.networks, |name| {
        match client.remove_network(&given("network", name.to_owned())?) {
            Ok(()) => context.print(name),
            Err(error) if arguments.force && error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
}
