// SPDX-License-Identifier: MIT
//! `hb start`

use std::cell::RefCell;

use clap::{ArgAction, Args};

use super::attach::{Attachment, attach};
use super::start_code;
use crate::commands::targets::each;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::dialect::Dialect;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    /// Proxy received signals to the process
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    sig_proxy: bool,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    StartArgs,
    run,
    ["start"],
    "Start one or more stopped containers",
    "[OPTIONS] CONTAINER [CONTAINER...]"
);

fn run(context: &Context, mut arguments: StartArgs) -> Outcome {
    arguments.detach_keys = context.detach_keys(arguments.detach_keys.take());
    let client = context.client()?;
    if !arguments.attach && !arguments.interactive {
        let failed = RefCell::new(Vec::new());
        let code = each(context, &arguments.containers, |name| {
            if let Err(error) = client.start_container(name, None) {
                failed.borrow_mut().push(name.to_owned());
                return Err(error.into());
            }
            Ok(())
        })?;
        let failed = failed.into_inner();
        if context.dialect() == Dialect::Docker && !failed.is_empty() {
            context.note(&format!("Error: failed to start containers: {}", failed.join(", ")));
        }
        return Ok(code);
    }
    let [name] = arguments.containers.as_slice() else {
        return Err(CliError::new("you cannot start and attach multiple containers at once"));
    };
    let container = client.container_state(name)?;
    let attachment = Attachment {
        stdin: arguments.interactive && container.config.open_stdin,
        forward_signals: arguments.sig_proxy && !container.config.tty,
        detach_keys: arguments.detach_keys.as_deref(),
    };
    attach(&client, &container, attachment, || {
        client.start_container(&container.id, None).map_err(|error| {
            let code = start_code(&error.to_string());
            CliError::from(error).with_code(if code == crate::error::EXIT_ENGINE { 1 } else { code })
        })?;
        Ok(())
    })
}
