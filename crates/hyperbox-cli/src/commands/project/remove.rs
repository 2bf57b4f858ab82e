// SPDX-License-Identifier: MIT
//! `hb project remove`: ends a project and gives back all that it has: containers, networks, ports, subnets, its control group.

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::project::{ProjectOptions, progress};

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    project: ProjectOptions,
    /// Tell each event as a line of JSON on standard output
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Remove volumes
    #[arg(short, long)]
    volumes: bool,
    #[arg(hide = true)]
    names: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    RemoveArgs,
    run,
    ["remove", "rm"],
    "Remove projects, by name from anywhere, or that of the folder",
    "[OPTIONS] [PROJECT...]"
);

fn run(context: &Context, arguments: RemoveArgs) -> Outcome {
    let names = if arguments.names.is_empty() {
        vec![super::name(context, &arguments.project)?]
    } else {
        arguments.names
    };
    let client = context.client()?;
    let style = progress::Style::choose(arguments.json, arguments.quiet);
    let mut code = 0;
    for name in names {
        let removed = client
            .remove_project(&name, arguments.volumes)
            .map_err(Into::into)
            .and_then(|events| progress::show(&name, events, style, |_| Ok(())));
        if let Err(error) = removed {
            if error.ends_the_command() {
                return Err(error);
            }
            context.complain(&error);
            code = 1;
        }
    }
    Ok(code)
}
