// SPDX-License-Identifier: MIT
//! `hb rename`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    #[arg(hide = true)]
    container: String,
    #[arg(hide = true)]
    new_name: String,
}

pub(crate) const SPEC: Spec = spec!(RenameArgs, run, ["rename"], "Rename a container", "CONTAINER NEW_NAME");

fn run(context: &Context, arguments: RenameArgs) -> Outcome {
    context
        .client()?
        .rename_container(&arguments.container, &arguments.new_name)?;
    Ok(0)
}
