// SPDX-License-Identifier: MIT
//! `hb diff`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[arg(hide = true)]
    container: String,
}

pub(crate) const SPEC: Spec = spec!(
    DiffArgs,
    run,
    ["diff"],
    "Inspect changes to files or directories on a container's filesystem",
    "CONTAINER"
);

fn run(context: &Context, arguments: DiffArgs) -> Outcome {
    for change in context.client()?.container_changes(&arguments.container)? {
        let mark = match change.kind {
            1 => 'A',
            2 => 'D',
            _ => 'C',
        };
        context.print(&format!("{mark} {}", change.path))?;
    }
    Ok(0)
}
