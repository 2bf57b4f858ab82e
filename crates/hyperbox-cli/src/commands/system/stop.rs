// SPDX-License-Identifier: MIT
//! `hb system stop`: asks the daemon to end and waits until it has. Containers go on.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::service;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::terminal::{ProcessState, ask_to_end, process_state};

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Directory of the daemon's run files
    #[arg(long, value_name = "DIRECTORY")]
    run_dir: Option<PathBuf>,
    /// Seconds to wait for the daemon to end
    #[arg(short, long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

pub(crate) const SPEC: Spec = spec!(
    StopArgs,
    run,
    ["stop"],
    "Stop the daemon; containers go on running",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: StopArgs) -> Outcome {
    let directory = service::run_directory(context, arguments.run_dir.as_deref())?;
    let Some(pid) = service::pid(&directory).filter(|pid| process_state(*pid) != ProcessState::Gone) else {
        context.print("not running")?;
        return Ok(0);
    };
    ask_to_end(pid)
        .map_err(|error| CliError::new(format!("cannot stop hyperboxd (pid {pid}): {error}")).with_hint("use sudo"))?;
    let ended = service::wait_for(Duration::from_secs(arguments.timeout), || {
        (process_state(pid) == ProcessState::Gone).then_some(())
    });
    if ended.is_none() {
        return Err(CliError::new(format!(
            "hyperboxd (pid {pid}) still runs after {} s",
            arguments.timeout
        ))
        .with_hint(format!("see its log in {}", directory.display())));
    }
    context.print("stopped")?;
    Ok(0)
}
