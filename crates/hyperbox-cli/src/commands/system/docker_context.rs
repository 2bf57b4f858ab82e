// SPDX-License-Identifier: MIT
//! `hb system docker-context`: makes the daemon known to Docker's command line as a context, or unknown again.

use clap::{Args, ValueEnum};

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to do
    #[arg(value_name = "ACTION")]
    action: Action,
    /// Name of the context
    #[arg(long, default_value = "hyperbox")]
    name: String,
    /// Description of the context
    #[arg(long, default_value = "HyperBox")]
    description: String,
    /// Remove the context even if it is in use
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Action {
    /// Make the context, for `docker context use` and `docker --context`
    #[value(alias = "install")]
    Create,
    /// Remove it
    Remove,
}

pub(crate) const SPEC: Spec = spec!(
    Arguments,
    run,
    ["docker-context"],
    "Create or remove a context of Docker's command line for this daemon",
    "[OPTIONS] create|remove"
);

fn run(context: &Context, arguments: Arguments) -> Outcome {
    let config = context.config_directory();
    let name = &arguments.name;
    docker_context::check_name(name)?;
    match arguments.action {
        Action::Create => {
            let host = context.host()?.to_string();
            docker_context::create(&config, name, &arguments.description, &host)?;
        }
        Action::Remove => docker_context::remove(&config, name, arguments.force)?,
    }
    context.print(name)?;
    Ok(0)
}
