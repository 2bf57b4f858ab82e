// SPDX-License-Identifier: MIT
//! `hb project build`: builds the images of services, side by side.

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::project::ProjectOptions;
use crate::project::building::{self, BuildOptions};

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    project: ProjectOptions,
    /// Tell each message as a line of JSON
    #[arg(long)]
    json: bool,
    /// Do not use cache when building images
    #[arg(long)]
    no_cache: bool,
    /// Always attempt to pull referenced images
    #[arg(long)]
    pull: bool,
    /// Show no progress; print the ids of the images
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    services: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    BuildArgs,
    run,
    ["build"],
    "Build the images of the project",
    "[OPTIONS] [SERVICE...]"
);

fn run(context: &Context, arguments: BuildArgs) -> Outcome {
    let opened = super::opened(context, &arguments.project)?;
    let known = &opened.model.services;
    if let Some(unknown) = arguments.services.iter().find(|name| !known.contains_key(*name)) {
        return Err(CliError::new(format!("no such service: {unknown}")));
    }
    let wanted = |name: &&String| arguments.services.is_empty() || arguments.services.contains(name);
    let services = known.keys().filter(wanted).cloned().collect();
    let options = BuildOptions {
        pull: arguments.pull,
        no_cache: arguments.no_cache,
        json: arguments.json,
        quiet: arguments.quiet,
    };
    let built = building::build(context, &context.client()?, &opened, &services, options)?;
    if built.is_empty() {
        context.note("no service says how its image is built");
    }
    for (service, id) in built {
        if arguments.quiet {
            context.print(&id)?;
        } else {
            context.note(&format!("{service}: {id}"));
        }
    }
    Ok(0)
}
