// SPDX-License-Identifier: MIT
//! `docker context show`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context::DEFAULT;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {}

pub(crate) const SPEC: Spec = spec!(ShowArgs, run, ["show"], "Print the name of the current context", "");

fn run(context: &Context, _arguments: ShowArgs) -> Outcome {
    context.print(context.docker_context().as_deref().unwrap_or(DEFAULT))?;
    Ok(0)
}
