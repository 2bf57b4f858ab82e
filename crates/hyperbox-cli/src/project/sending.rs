// SPDX-License-Identifier: MIT
//! Tells the daemon what a project is.

use std::collections::BTreeMap;
use std::path::Path;

use hyperbox_client::credentials::Credentials;
use hyperbox_client::{Client, ClientError, Messages};
use hyperbox_project::create::image;
use hyperbox_types::project::{ProjectEvent, ProjectSpecification, ProjectSummary, ProjectUp};

use super::opening::Opened;
use crate::commands::image::build::credentials_of;
use crate::context::Context;
use crate::error::CliError;
use crate::terminal;

/// Opens the project with the daemon. A name that a folder of this machine has which is gone is taken over.
pub(crate) fn send(context: &Context, client: &Client, opened: &Opened) -> Result<ProjectSummary, CliError> {
    let specification = specification(context, opened)?;
    let error = match client.open_project(&specification, false) {
        Ok(summary) => return Ok(summary),
        Err(error) => error,
    };
    if error.is_unknown_route() {
        return Err(CliError::new("the daemon is another engine, which has no projects")
            .with_hint("start hyperboxd, or use that engine's own `compose`"));
    }
    let taken = matches!(error, ClientError::Daemon { status: 409, .. });
    if taken && let Some(gone) = vanished_folder(client, &specification) {
        context.note(&format!(
            "{}: its folder was {gone}, which is gone; it is this one from now on",
            opened.name
        ));
        return Ok(client.open_project(&specification, true)?);
    }
    Err(error.into())
}

/// Opens the project with the daemon and brings it up, by one request where nobody else has the name.
pub(crate) fn open_and_up(
    context: &Context,
    client: &Client,
    opened: &Opened,
    request: &ProjectUp,
) -> Result<Messages<ProjectEvent>, CliError> {
    let credentials = credentials(context, opened)?;
    let at_once = ProjectUp {
        project: Some(Box::new(specification(context, opened)?)),
        ..request.clone()
    };
    match client.up_project(&opened.name, &at_once, &credentials) {
        // Whether the name can be had all the same, whether the daemon has projects at all, and whether it is an earlier one that does
        // not know this way, is found out by opening.
        Err(ClientError::Daemon {
            status: 400 | 404 | 409,
            ..
        }) => {
            send(context, client, opened)?;
            Ok(client.up_project(&opened.name, request, &credentials)?)
        }
        events => Ok(events?),
    }
}

fn specification(context: &Context, opened: &Opened) -> Result<ProjectSpecification, CliError> {
    if let Some(missing) = &opened.unset {
        return Err(CliError::new(missing.as_str()));
    }
    let local = context.host()?.socket_path().is_some();
    Ok(ProjectSpecification {
        name: opened.name.clone(),
        directory: opened.directory.display().to_string(),
        files: opened.files.iter().map(|file| file.display().to_string()).collect(),
        machine: if local { None } else { terminal::machine_name() },
        model: opened.document.clone(),
        limits: opened.limits.clone(),
        contents: opened.contents.clone(),
    })
}

/// The folder that has the name, if it was one of this machine and is no more.
fn vanished_folder(client: &Client, specification: &ProjectSpecification) -> Option<String> {
    let status = client.project_status(&specification.name).ok()?;
    let summary = status.summary;
    let ours = summary.machine == specification.machine;
    let gone = !summary.directory.is_empty() && !Path::new(&summary.directory).exists();
    (ours && gone).then_some(summary.directory)
}

/// The credentials of the registries that a project's images come from.
pub(crate) fn credentials(context: &Context, opened: &Opened) -> Result<BTreeMap<String, Credentials>, CliError> {
    let services = opened.model.services.iter();
    let images = services.map(|(name, service)| image(&opened.name, name, service));
    credentials_of(context, images)
}
