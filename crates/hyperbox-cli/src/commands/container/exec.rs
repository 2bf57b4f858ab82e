// SPDX-License-Identifier: MIT
//! `hb exec`

use std::io::{self, IsTerminal};

use clap::{ArgAction, Args};
use hyperbox_client::ExecConfig;

use super::{exit_code, start_code};
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, EXIT_ENGINE, Outcome};
use crate::session::{DetachKeys, ExecRemote, Session, Wiring, copy_upgraded};
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Detached mode: run command in the background
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long, value_name = "USER", default_value = "", hide_default_value = true)]
    user: String,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIRECTORY", default_value = "", hide_default_value = true)]
    workdir: String,
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_name = "CONTAINER COMMAND", hide = true)]
    container_and_command: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    ExecArgs,
    run,
    ["exec"],
    "Execute a command in a running container",
    "[OPTIONS] CONTAINER COMMAND [ARG...]"
);

fn run(context: &Context, mut arguments: ExecArgs) -> Outcome {
    arguments.detach_keys = context.detach_keys(arguments.detach_keys.take());
    let Some((container, command)) = arguments
        .container_and_command
        .split_first()
        .filter(|(_, command)| !command.is_empty())
    else {
        return Err(CliError::new("'hb exec' requires at least 2 arguments"));
    };
    let attached = !arguments.detach;
    if attached && arguments.interactive && arguments.tty && !io::stdin().is_terminal() {
        return Err(CliError::new("the input device is not a TTY").with_hint("leave out -t"));
    }
    let mut files = Vec::new();
    for path in &arguments.env_file {
        let content = std::fs::read_to_string(path).map_err(|error| CliError::new(format!("open {path}: {error}")))?;
        files.push((path.clone(), content));
    }
    let size = if arguments.tty {
        terminal::size().map(|size| [size.rows, size.columns])
    } else {
        None
    };
    let config = ExecConfig {
        user: arguments.user.clone(),
        privileged: arguments.privileged,
        tty: arguments.tty,
        console_size: size,
        attach_stdin: attached && arguments.interactive,
        attach_stderr: attached,
        attach_stdout: attached,
        detach_keys: arguments.detach_keys.clone().unwrap_or_default(),
        env: crate::options::variables(&files, &arguments.env, |name| context.environment(name))
            .map_err(CliError::new)?,
        working_dir: arguments.workdir.clone(),
        cmd: command.to_vec(),
    };
    let keys = arguments
        .detach_keys
        .as_deref()
        .map(DetachKeys::parse)
        .transpose()
        .map_err(CliError::new)?;
    execute(context, container, &config, attached, keys.unwrap_or_default())
}

/// Runs it, and returns its exit code.
pub(crate) fn execute(
    context: &Context,
    container: &str,
    config: &ExecConfig,
    attached: bool,
    keys: DetachKeys,
) -> Outcome {
    let client = context.client()?;
    let exec = client.create_exec(container, config)?;
    let started = |error: hyperbox_client::ClientError| {
        let code = start_code(&error.to_string());
        CliError::from(error).with_code(if code == EXIT_ENGINE { 1 } else { code })
    };
    if !attached {
        // Nobody waits for the command: its failure is one of the request, exit code 1.
        client.start_exec_detached(&exec, config)?;
        return Ok(0);
    }
    let upgraded = client.start_exec(&exec, config).map_err(started)?;
    let wiring = Wiring {
        stdin: config.attach_stdin,
        tty: config.tty,
        forward_signals: false,
    };
    let remote = ExecRemote {
        writer: upgraded.writer,
        client: client.clone(),
        exec: exec.clone(),
    };
    let session = Session::start(wiring, keys, Box::new(remote))?;
    let copied = copy_upgraded(upgraded.reader, config.tty);
    if session.is_detached() {
        return Ok(0);
    }
    copied?;
    let state = client.exec_state(&exec)?;
    Ok(exit_code(state.exit_code.unwrap_or_default()))
}
