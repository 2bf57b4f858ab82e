// SPDX-License-Identifier: MIT
//! `hb create`

use clap::Args;

use super::image_first;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options::flags::ContainerFlags;

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    flags: ContainerFlags,
}

pub(crate) const SPEC: Spec = spec!(
    CreateArgs,
    run,
    ["create"],
    "Create a new container",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]"
);

fn run(context: &Context, arguments: CreateArgs) -> Outcome {
    let flags = arguments.flags;
    let container = image_first::request(context, &flags)?;
    let body = serde_json::value::to_raw_value(&container).map_err(|error| CliError::from_error(&error))?;
    let client = context.client()?;
    let created = image_first::with_image(context, &client, &flags, &container.image, || {
        client.create_container(flags.name.as_deref(), flags.platform.as_deref(), &body)
    })?;
    for warning in &created.warnings {
        context.note(&format!("WARNING: {warning}"));
    }
    image_first::record_id(&flags, &created.id)?;
    context.print(&created.id)?;
    Ok(0)
}
