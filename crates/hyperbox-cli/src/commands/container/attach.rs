// SPDX-License-Identifier: MIT
//! `hb attach`

use std::io::{self, IsTerminal};

use clap::{ArgAction, Args};
use hyperbox_client::model::ContainerState;
use hyperbox_client::{AttachOptions, Client, WaitCondition};

use super::exit_code;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::session::{AttachRemote, DetachKeys, Session, Wiring, copy_upgraded};

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    sig_proxy: bool,
    #[arg(hide = true)]
    container: String,
}

pub(crate) const SPEC: Spec = spec!(
    AttachArgs,
    run,
    ["attach"],
    "Attach local standard input, output, and error streams to a running container",
    "[OPTIONS] CONTAINER"
);

fn run(context: &Context, mut arguments: AttachArgs) -> Outcome {
    arguments.detach_keys = context.detach_keys(arguments.detach_keys.take());
    let client = context.client()?;
    let container = client.container_state(&arguments.container)?;
    let state = &container.state;
    for (holds, reason) in [
        (
            !state.running,
            "You cannot attach to a stopped container, start it first",
        ),
        (
            state.paused,
            "You cannot attach to a paused container, unpause it first",
        ),
        (
            state.restarting,
            "You cannot attach to a restarting container, wait until it is running",
        ),
    ] {
        if holds {
            return Err(CliError::new(reason));
        }
    }
    let stdin = container.config.open_stdin && !arguments.no_stdin;
    if stdin && container.config.tty && !io::stdin().is_terminal() {
        return Err(CliError::new("the input device is not a TTY"));
    }
    let attachment = Attachment {
        stdin,
        forward_signals: arguments.sig_proxy && !container.config.tty,
        detach_keys: arguments.detach_keys.as_deref(),
    };
    attach(&client, &container, attachment, || Ok(()))
}

/// How a container is attached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attachment<'a> {
    pub(super) stdin: bool,
    pub(super) forward_signals: bool,
    pub(super) detach_keys: Option<&'a str>,
}

/// Attaches, calls `begin`, copies until the end and returns the container's exit code.
pub(super) fn attach(
    client: &Client,
    container: &ContainerState,
    attachment: Attachment<'_>,
    begin: impl FnOnce() -> Result<(), CliError>,
) -> Outcome {
    let tty = container.config.tty;
    let keys = attachment
        .detach_keys
        .map(DetachKeys::parse)
        .transpose()
        .map_err(CliError::new)?
        .unwrap_or_default();
    let options = AttachOptions {
        stdin: attachment.stdin,
        stdout: true,
        stderr: true,
        logs: false,
        detach_keys: attachment.detach_keys,
    };
    // The wait comes first, so that an exit between the two is not missed.
    let condition = if container.state.running {
        WaitCondition::NotRunning
    } else {
        WaitCondition::NextExit
    };
    let wait = client.wait_container(&container.id, condition)?;
    let upgraded = client.attach_container(&container.id, options)?;
    begin()?;
    let wiring = Wiring {
        stdin: attachment.stdin,
        tty,
        forward_signals: attachment.forward_signals,
    };
    let remote = AttachRemote {
        writer: Some(upgraded.writer),
        client: client.clone(),
        container: container.id.clone(),
    };
    let session = Session::start(wiring, keys, Box::new(remote))?;
    let copied = copy_upgraded(upgraded.reader, tty);
    if session.is_detached() {
        drop(session);
        return Err(CliError::new("read escape sequence").bare());
    }
    copied?;
    let result = wait.finish()?;
    if let Some(failure) = result.error.filter(|failure| !failure.message.is_empty()) {
        return Err(CliError::new(failure.message));
    }
    Ok(exit_code(result.status_code))
}
