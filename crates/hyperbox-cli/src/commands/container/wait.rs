// SPDX-License-Identifier: MIT
//! `hb wait`

use clap::Args;
use hyperbox_client::WaitCondition;

use crate::commands::targets::each_quiet;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    WaitArgs,
    run,
    ["wait"],
    "Block until one or more containers stop, then print their exit codes",
    "CONTAINER [CONTAINER...]"
);

fn run(context: &Context, arguments: WaitArgs) -> Outcome {
    let client = context.client()?;
    each_quiet(context, &arguments.containers, |name| {
        let result = client.wait_container(name, WaitCondition::NotRunning)?.finish()?;
        match result.error.filter(|failure| !failure.message.is_empty()) {
            Some(failure) => Err(CliError::new(failure.message)),
            None => context.print(&result.status_code.to_string()),
        }
    })
}
