// SPDX-License-Identifier: MIT
//! `hb system start`: starts the daemon and waits until it answers.
//!
//! The daemon gets a session of its own, so that it survives the terminal, and writes to a log file.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;
use hyperbox_client::Host;

use super::service;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Configuration file of the daemon
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the daemon writes its log (default: hyperboxd.log in the run directory)
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Directory of images, containers and volumes
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// Directory of sockets and run files
    #[arg(long, value_name = "DIRECTORY")]
    run_dir: Option<PathBuf>,
    /// Seconds to wait for the daemon to answer
    #[arg(short, long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

pub(crate) const SPEC: Spec = spec!(
    StartArgs,
    run,
    ["start"],
    "Start the daemon and wait until it answers",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: StartArgs) -> Outcome {
    let host = match &arguments.run_dir {
        Some(directory) if !context.has_explicit_host() => Host::Unix(absolute(directory)?.join("hyperbox.sock")),
        _ => context.host()?,
    };
    let client = hyperbox_client::Client::new(host.clone());
    if let Ok(ping) = client.ping() {
        context.print(&format!("already running: {} at {host}", ping.server))?;
        return Ok(0);
    }
    let run_directory = absolute(&service::run_directory(context, arguments.run_dir.as_deref())?)?;
    let program = service::program()?;
    let log = arguments
        .log
        .clone()
        .unwrap_or_else(|| run_directory.join("hyperboxd.log"));
    let mut child = spawn(&program, &arguments, &host, &run_directory, &log)?;
    enum Event {
        Answers(String),
        Ended(String),
    }
    let event = service::wait_for(Duration::from_secs(arguments.timeout), || {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(Event::Ended(status.to_string()));
        }
        client.ping().ok().map(|ping| Event::Answers(ping.server))
    });
    match event {
        Some(Event::Answers(server)) => {
            context.print(&format!("started {server} at {host} (pid {})", child.id()))?;
            Ok(0)
        }
        Some(Event::Ended(status)) => Err(CliError::new(format!(
            "{} ended at once ({status}){}",
            program.display(),
            last_lines(&log)
        ))
        .with_hint(format!("see {}", log.display()))),
        None => Err(CliError::new(format!(
            "{} does not answer at {host} after {} s",
            program.display(),
            arguments.timeout
        ))
        .with_hint(format!("see {}", log.display()))),
    }
}

fn spawn(
    program: &Path,
    arguments: &StartArgs,
    host: &Host,
    run_directory: &Path,
    log: &Path,
) -> Result<Child, CliError> {
    let failed = |what: &str, path: &Path, error: std::io::Error| {
        CliError::new(format!("cannot {what} {}: {error}", path.display()))
            .with_hint("the daemon needs root: use sudo, or choose other directories with --run-dir and --root")
    };
    fs::create_dir_all(run_directory).map_err(|error| failed("create", run_directory, error))?;
    let output: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|error| failed("open", log, error))?;
    let errors = output.try_clone().map_err(|error| failed("open", log, error))?;
    let mut command = Command::new(program);
    command
        .arg("--host")
        .arg(host.to_string())
        .arg("--run-dir")
        .arg(run_directory);
    if let Some(root) = &arguments.root {
        command.arg("--root").arg(root);
    }
    if let Some(config) = &arguments.config {
        command.arg("--config").arg(config);
    }
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    crate::terminal::detach_from_terminal(&mut command);
    command.spawn().map_err(|error| failed("run", program, error))
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|error| CliError::new(format!("cannot resolve {}: {error}", path.display())))
}

/// Returns the end of the log, for the error message.
fn last_lines(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().map(|line| format!("\n  {line}")).collect()
}
