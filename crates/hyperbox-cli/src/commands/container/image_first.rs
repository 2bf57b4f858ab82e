// SPDX-License-Identifier: MIT
//! Creating a container from an image that may have to be pulled first.

use std::io;
use std::io::IsTerminal;

use hyperbox_client::model::Container;
use hyperbox_client::{Client, ClientError};
use hyperbox_types::ImageReference;

use crate::context::Context;
use crate::error::{CliError, EXIT_ENGINE};
use crate::options::container::{Surroundings, build};
use crate::options::flags::ContainerFlags;
use crate::progress;

/// Builds the request from the options; files and environment are read here.
pub(super) fn request(context: &Context, flags: &ContainerFlags) -> Result<Container, CliError> {
    let current = std::env::current_dir().unwrap_or_default();
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("open {path}: {}", plain(&error)));
    let around = Surroundings {
        current: &current.to_string_lossy(),
        read: &read,
        variable: &|name| context.environment(name),
    };
    let mut container = build(flags, &around).map_err(|reason| CliError::new(reason).with_code(EXIT_ENGINE))?;
    container.env.extend(context.proxy_variables(&flags.env)?);
    if let Some(path) = &flags.cidfile
        && std::path::Path::new(path).exists()
    {
        return Err(CliError::new(format!(
            "container ID file found, make sure the other container isn't running or delete {path}"
        ))
        .with_code(EXIT_ENGINE));
    }
    Ok(container)
}

/// Says what the system says, in Docker's spelling.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::InvalidData => "the file is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

/// Calls `create`, and pulls the image before or, when it is missing, after the first attempt.
pub(super) fn with_image<T>(
    context: &Context,
    client: &Client,
    flags: &ContainerFlags,
    image: &str,
    create: impl Fn() -> Result<T, ClientError>,
) -> Result<T, CliError> {
    if flags.pull == "always" {
        pull(context, client, flags, image)?;
    }
    match create() {
        Err(error) if flags.pull == "missing" && is_missing_image(&error) => {
            if !flags.quiet {
                let name = ImageReference::parse(image).map_or_else(|_| image.to_owned(), |image| image.familiar());
                context.note(&format!("Unable to find image '{name}' locally"));
            }
            pull(context, client, flags, image)?;
            Ok(create()?)
        }
        other => Ok(other?),
    }
}

fn is_missing_image(error: &ClientError) -> bool {
    error.is_not_found() && error.to_string().to_ascii_lowercase().contains("no such image")
}

fn pull(context: &Context, client: &Client, flags: &ContainerFlags, image: &str) -> Result<(), CliError> {
    let reference = ImageReference::parse(image).map_err(|error| CliError::from_error(&error))?;
    let credentials = context.registry_header(reference.repository().host())?;
    let messages = client.pull_image(&reference, false, flags.platform.as_deref(), credentials.as_deref())?;
    if flags.quiet {
        return progress::swallow(messages);
    }
    // Standard output belongs to the container.
    let mut output = io::stderr().lock();
    progress::show(messages, &mut output, io::stderr().is_terminal(), |_| {})
}

/// Writes the id of a new container where the user wants it.
pub(super) fn record_id(flags: &ContainerFlags, id: &str) -> Result<(), CliError> {
    match &flags.cidfile {
        None => Ok(()),
        Some(path) => std::fs::write(path, id).map_err(|error| {
            CliError::new(format!(
                "failed to write the container ID ({id}) to file {path}: {error}"
            ))
        }),
    }
}
