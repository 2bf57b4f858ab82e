// SPDX-License-Identifier: MIT
//! `docker context update`

use clap::Args;

use super::create::Options;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Description of the context
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Set the docker endpoint: host=ADDRESS or from=CONTEXT
    #[arg(long, value_name = "KEY=VALUE", value_parser = Options::parse)]
    docker: Option<Options>,
    #[arg(hide = true)]
    name: String,
}

pub(crate) const SPEC: Spec = spec!(UpdateArgs, run, ["update"], "Update a context", "[OPTIONS] CONTEXT");

fn run(context: &Context, arguments: UpdateArgs) -> Outcome {
    let (config, name) = (context.config_directory(), &arguments.name);
    docker_context::check_name(name)?;
    docker_context::metadata(&config, name)?;
    let host = arguments.docker.map(|options| options.host(context)).transpose()?;
    docker_context::update(&config, name, arguments.description.as_deref(), host.as_deref())?;
    context.print(name)?;
    context.note(&format!("Successfully updated context \"{name}\""));
    Ok(0)
}
