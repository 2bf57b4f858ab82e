// SPDX-License-Identifier: MIT
//! `hb system health`: does the daemon answer, and how fast.

use std::time::Instant;

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Only set the exit code
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) const SPEC: Spec = spec!(
    HealthArgs,
    run,
    ["health"],
    "Tell whether the daemon answers",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: HealthArgs) -> Outcome {
    let client = context.client()?;
    let began = Instant::now();
    match client.ping() {
        Err(_) if arguments.quiet => Err(CliError::silent(1)),
        Err(error) => Err(error.into()),
        Ok(_) if arguments.quiet => Ok(0),
        Ok(ping) => {
            let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
            let server = if ping.server.is_empty() {
                "an unnamed daemon"
            } else {
                &ping.server
            };
            context.print(&format!(
                "healthy: {server} at {} answered in {milliseconds:.1} ms",
                client.host()
            ))?;
            Ok(0)
        }
    }
}
