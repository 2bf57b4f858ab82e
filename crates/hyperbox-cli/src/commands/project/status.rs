// SPDX-License-Identifier: MIT
//! `hb status`, `hb project status`: services, health, addresses, and what is used of what may be.

use clap::Args;

use super::list::{Folder, folder, state};
use super::status_row::{LIST, head, rows};
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::project::ProjectOptions;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    project: ProjectOptions,
    /// Format the rows of containers: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// All of it as one JSON document
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Only display ids of containers
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    services: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    StatusArgs,
    run,
    ["status", "ps"],
    "Show the services of the project and what it uses",
    "[OPTIONS] [SERVICE...]"
);

/// `hb status`: `hb ps` lists all containers.
pub(crate) const SHORT: Spec = Spec {
    names: &["status"],
    ..SPEC
};

fn run(context: &Context, arguments: StatusArgs) -> Outcome {
    let name = super::name(context, &arguments.project)?;
    let client = context.client()?;
    let mut status = client.project_status(&name).map_err(|error| {
        let missing =
            matches!(error, hyperbox_client::ClientError::Daemon { status: 404, .. }) && !error.is_unknown_route();
        let failure = CliError::from(error);
        if missing {
            failure.with_hint("`hb up` opens and starts it; `hb project list` shows what is open")
        } else {
            failure
        }
    })?;
    if let Some(unknown) = arguments
        .services
        .iter()
        .find(|name| !status.services.iter().any(|service| service.name == **name))
    {
        return Err(CliError::new(format!("no such service: {unknown}")));
    }
    if !arguments.services.is_empty() {
        status
            .services
            .retain(|service| arguments.services.contains(&service.name));
    }
    if arguments.json {
        let text = serde_json::to_string(&status).map_err(|error| CliError::from_error(&error))?;
        context.print(&text)?;
        return Ok(0);
    }
    let local = context.host()?.socket_path().is_some();
    let gone = folder(&status.summary, local) == Folder::Gone;
    if arguments.format.is_none() && !arguments.quiet {
        context.print(&head(&status, &state(&status.summary), gone))?;
    }
    LIST.print(context, arguments.format.as_deref(), arguments.quiet, &rows(&status))?;
    if gone {
        context.note(&format!(
            "the folder is gone; `hb project remove {name}` removes what is left"
        ));
    }
    Ok(0)
}
