// SPDX-License-Identifier: MIT
//! `hb image prune`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::decimal_size;
use crate::options::filter;
use crate::question;

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. `until=<timestamp>`)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

pub(crate) const SPEC: Spec = spec!(PruneArgs, run, ["prune"], "Remove unused images", "[OPTIONS]");

fn run(context: &Context, arguments: PruneArgs) -> Outcome {
    let warning = if arguments.all {
        "WARNING! This will remove all images without at least one container associated to them."
    } else {
        "WARNING! This will remove all dangling images."
    };
    if !question::confirmed(arguments.force, warning)? {
        return Ok(0);
    }
    let mut filters = filter::parse(&arguments.filter);
    filters.add("dangling", if arguments.all { "false" } else { "true" });
    let pruned = context.client()?.prune_images(&filters)?;
    print_deleted(context, &pruned.images_deleted)?;
    context.print(&format!(
        "Total reclaimed space: {}",
        decimal_size(pruned.space_reclaimed.try_into().unwrap_or(i64::MAX))
    ))?;
    Ok(0)
}

/// Lists what was removed.
pub(crate) fn print_deleted(
    context: &Context,
    removed: &[hyperbox_client::model::RemovedImage],
) -> Result<(), crate::error::CliError> {
    if removed.is_empty() {
        return Ok(());
    }
    let mut text = "Deleted Images:\n".to_owned();
    for entry in removed {
        if let Some(untagged) = &entry.untagged {
            text.push_str(&format!("untagged: {untagged}\n"));
        }
        if let Some(deleted) = &entry.deleted {
            text.push_str(&format!("deleted: {deleted}\n"));
        }
    }
    context.print(&text)
}
