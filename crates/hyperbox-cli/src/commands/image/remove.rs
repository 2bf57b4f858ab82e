// SPDX-License-Identifier: MIT
//! `hb rmi`

use clap::Args;
use hyperbox_types::Platform;

use crate::commands::targets::each_quiet;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options;

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Remove only what is for the given platforms
    #[arg(long, value_name = "OS/ARCHITECTURE", value_parser = options::platform, value_delimiter = ',')]
    platform: Vec<Platform>,
    #[arg(required = true, value_name = "IMAGE", hide = true)]
    images: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    RemoveArgs,
    run,
    ["rm", "remove"],
    "Remove one or more images",
    "[OPTIONS] IMAGE [IMAGE...]"
);
pub(crate) const SPEC_RMI: Spec = spec!(
    RemoveArgs,
    run,
    ["rmi"],
    "Remove one or more images",
    "[OPTIONS] IMAGE [IMAGE...]"
);

fn run(context: &Context, arguments: RemoveArgs) -> Outcome {
    let client = context.client()?;
    each_quiet(context, &arguments.images, |name| {
        match client.remove_image(name, arguments.force, arguments.no_prune, &arguments.platform) {
            // Forcing means that it shall be gone, and it is.
            Err(error) if arguments.force && error.is_not_found() => {
                context.complain(&CliError::from(error));
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(removed) => {
                for entry in removed {
                    if let Some(deleted) = entry.deleted {
                        context.print(&format!("Deleted: {deleted}"))?;
                    } else if let Some(untagged) = entry.untagged {
                        context.print(&format!("Untagged: {untagged}"))?;
                    }
                }
                Ok(())
            }
        }
    })
}
