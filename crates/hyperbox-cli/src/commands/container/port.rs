// SPDX-License-Identifier: MIT
//! `hb port`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct PortArgs {
    #[arg(hide = true)]
    container: String,
    #[arg(hide = true)]
    private_port: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(
    PortArgs,
    run,
    ["port"],
    "List port mappings or a specific mapping for the container",
    "CONTAINER [PRIVATE_PORT[/PROTO]]"
);

fn run(context: &Context, arguments: PortArgs) -> Outcome {
    let state = context.client()?.container_state(&arguments.container)?;
    let mut lines = Vec::new();
    let wanted = arguments.private_port.as_ref().map(|port| {
        if port.contains('/') {
            port.clone()
        } else {
            format!("{port}/tcp")
        }
    });
    for (port, bindings) in &state.network_settings.ports {
        if wanted.as_ref().is_some_and(|wanted| wanted != port) {
            continue;
        }
        for binding in bindings.iter().flatten() {
            let ip = &binding.host_ip;
            let address = if ip.contains(':') {
                format!("[{ip}]")
            } else {
                ip.clone()
            };
            let target = format!("{address}:{}", binding.host_port);
            lines.push(if wanted.is_some() {
                target
            } else {
                format!("{port} -> {target}")
            });
        }
    }
    match wanted {
        Some(wanted) if lines.is_empty() => Err(CliError::new(format!(
            "No public port '{wanted}' published for {}",
            arguments.container
        ))),
        _ => {
            for line in lines {
                context.print(&line)?;
            }
            Ok(0)
        }
    }
}
