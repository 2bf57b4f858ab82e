// SPDX-License-Identifier: MIT
//! `docker context rm`

use clap::Args;

use crate::commands::targets::each;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Force the removal of a context in use
    #[arg(short, long)]
    force: bool,
    #[arg(required = true, hide = true)]
    names: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    RemoveArgs,
    run,
    ["rm", "remove"],
    "Remove one or more contexts",
    "CONTEXT [CONTEXT...]"
);

fn run(context: &Context, arguments: RemoveArgs) -> Outcome {
    let config = context.config_directory();
    // What DOCKER_HOST overrides is not in use.
    let force = arguments.force || context.has_docker_host();
    each(context, &arguments.names, |name| {
        docker_context::remove(&config, name, force)
    })
}
