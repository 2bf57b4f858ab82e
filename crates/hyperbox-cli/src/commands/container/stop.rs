// SPDX-License-Identifier: MIT
//! `hb stop` and `hb restart`: both end the process in the same way.

use clap::Args;
use hyperbox_client::{Client, ClientError, StopOptions};

use crate::commands::targets::each;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
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
    StopArgs,
    stop,
    ["stop"],
    "Stop one or more running containers",
    "[OPTIONS] CONTAINER [CONTAINER...]"
);
pub(crate) const SPEC_RESTART: Spec = spec!(
    StopArgs,
    restart,
    ["restart"],
    "Restart one or more containers",
    "[OPTIONS] CONTAINER [CONTAINER...]"
);

fn stop(context: &Context, arguments: StopArgs) -> Outcome {
    run(context, &arguments, Client::stop_container)
}

fn restart(context: &Context, arguments: StopArgs) -> Outcome {
    run(context, &arguments, Client::restart_container)
}

fn run(
    context: &Context,
    arguments: &StopArgs,
    action: impl Fn(&Client, &str, StopOptions<'_>) -> Result<(), ClientError>,
) -> Outcome {
    let client = context.client()?;
    let options = StopOptions {
        signal: arguments.signal.as_deref(),
        timeout: arguments.timeout,
    };
    each(context, &arguments.containers, |name| {
        Ok(action(&client, name, options)?)
    })
}
