// SPDX-License-Identifier: MIT
//! `hb rm`

use clap::Args;
use hyperbox_client::RemoveContainer;

use crate::commands::targets::each_quiet;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove the specified link
    #[arg(short, long)]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    RemoveArgs,
    run,
    ["rm", "remove"],
    "Remove one or more containers",
    "[OPTIONS] CONTAINER [CONTAINER...]"
);

fn run(context: &Context, arguments: RemoveArgs) -> Outcome {
    let client = context.client()?;
    let options = RemoveContainer {
        force: arguments.force,
        volumes: arguments.volumes,
        link: arguments.link,
    };
    each_quiet(context, &arguments.containers, |name| {
        let name = name.trim_start_matches('/');
        if name.is_empty() {
            return Err(CliError::new("container name cannot be empty"));
        }
        match client.remove_container(name, options) {
            // Forcing means that it shall be gone, and it is.
            Err(error) if arguments.force && error.is_not_found() => {
                context.complain(&CliError::from(error));
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(()) => context.print(name),
        }
    })
}
