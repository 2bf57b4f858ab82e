// SPDX-License-Identifier: MIT
//! `hb restart`

use clap::Args;
use hyperbox_client::StopOptions;

use crate::commands::targets::each;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Signal to send to the container
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(
        short,
        long,
        visible_alias = "time",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    timeout: Option<i64>,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    RestartArgs,
    run,
    ["restart"],
    "Restart one or more containers",
    "[OPTIONS] CONTAINER [CONTAINER...]"
);

fn run(context: &Context, arguments: RestartArgs) -> Outcome {
    let client = context.client()?;
    let options = StopOptions {
        signal: arguments.signal.as_deref(),
        timeout: arguments.timeout,
    };
    each(context, &arguments.containers, |name| {
        Ok(client.restart_container(name, options)?)
    })
}
