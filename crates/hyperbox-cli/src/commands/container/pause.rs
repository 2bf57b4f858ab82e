// SPDX-License-Identifier: MIT
//! `hb pause`, `hb unpause`

use clap::Args;

use crate::commands::targets::each;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    PauseArgs,
    pause,
    ["pause"],
    "Pause all processes within one or more containers",
    "CONTAINER [CONTAINER...]"
);
pub(crate) const SPEC_UNPAUSE: Spec = spec!(
    PauseArgs,
    unpause,
    ["unpause"],
    "Unpause all processes within one or more containers",
    "CONTAINER [CONTAINER...]"
);

fn pause(context: &Context, arguments: PauseArgs) -> Outcome {
    let client = context.client()?;
    each(context, &arguments.containers, |name| Ok(client.pause_container(name)?))
}

fn unpause(context: &Context, arguments: PauseArgs) -> Outcome {
    let client = context.client()?;
    each(context, &arguments.containers, |name| {
        Ok(client.unpause_container(name)?)
    })
}
