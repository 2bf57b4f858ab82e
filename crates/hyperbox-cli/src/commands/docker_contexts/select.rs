// SPDX-License-Identifier: MIT
//! `docker context use`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context::{self, DEFAULT};
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct UseArgs {
    #[arg(hide = true)]
    name: String,
}

pub(crate) const SPEC: Spec = spec!(UseArgs, run, ["use"], "Set the current docker context", "CONTEXT");

fn run(context: &Context, arguments: UseArgs) -> Outcome {
    let name = arguments.name.as_str();
    docker_context::choose(&context.config_directory(), Some(name).filter(|name| *name != DEFAULT))?;
    context.print(name)?;
    context.note(&format!("Current context is now {name:?}"));
    if context.has_docker_host() && name != DEFAULT {
        context.note(&format!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use {name:?}, either set the global \
             --context flag, or unset DOCKER_HOST environment variable."
        ));
    }
    Ok(0)
}
