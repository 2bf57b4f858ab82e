// SPDX-License-Identifier: MIT
//! `hb project exec`: a command in a service's container.

use std::io::{self, IsTerminal};

use clap::Args;
use hyperbox_client::ExecConfig;
use hyperbox_types::project::ContainerStatus;

use crate::commands::container::exec::execute;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::project::ProjectOptions;
use crate::session::DetachKeys;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    project: ProjectOptions,
    /// Run the command in the background
    #[arg(short, long)]
    detach: bool,
    /// Set environment variables
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Which container of the service, from 1 [default: the first that runs]
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,
    /// Allocate no terminal; there is one by default when input and output are terminals
    #[arg(short = 'T', long = "no-tty")]
    no_tty: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Run the command as this user
    #[arg(short, long, value_name = "USER", default_value = "", hide_default_value = true)]
    user: String,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIRECTORY", default_value = "", hide_default_value = true)]
    workdir: String,
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, hide = true)]
    service_and_command: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    ExecArgs,
    run,
    ["exec"],
    "Execute a command in a container of a service",
    "[OPTIONS] SERVICE COMMAND [ARG...]"
);

fn run(context: &Context, arguments: ExecArgs) -> Outcome {
    let name = super::name(context, &arguments.project)?;
    let Some((service, command)) = arguments.service_and_command.split_first() else {
        return Err(CliError::new("say which service and which command"));
    };
    let status = context.client()?.project_status(&name)?;
    let found = status.services.iter().find(|known| known.name == *service);
    let containers = &found
        .ok_or_else(|| CliError::new(format!("{name}: no such service: {service}")))?
        .containers;
    let container = choose(containers, arguments.index).ok_or_else(|| {
        CliError::new(match arguments.index {
            Some(index) => format!("{name}: service {service} has no container {index}"),
            None => format!("{name}: no container of service {service} runs"),
        })
    })?;
    let attached = !arguments.detach;
    let tty = attached && !arguments.no_tty && io::stdin().is_terminal() && io::stdout().is_terminal();
    let config = ExecConfig {
        user: arguments.user.clone(),
        privileged: arguments.privileged,
        tty,
        console_size: if tty {
            terminal::size().map(|size| [size.rows, size.columns])
        } else {
            None
        },
        attach_stdin: attached,
        attach_stderr: attached,
        attach_stdout: attached,
        env: crate::options::variables(&[], &arguments.env, |name| context.environment(name)).map_err(CliError::new)?,
        working_dir: arguments.workdir.clone(),
        cmd: command.to_vec(),
        ..ExecConfig::default()
    };
    execute(context, &container.id, &config, attached, DetachKeys::default())
}

/// The container of a number, or the first that runs.
fn choose(containers: &[ContainerStatus], index: Option<u32>) -> Option<&ContainerStatus> {
    match index {
        Some(index) => containers.iter().find(|container| container.number == index),
        None => containers.iter().find(|container| container.state == "running"),
    }
}
