// SPDX-License-Identifier: MIT
//! `hb container prune`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::decimal_size;
use crate::options::filter;
use crate::question;

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Provide filter values (e.g. `until=<timestamp>`)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

pub(crate) const SPEC: Spec = spec!(PruneArgs, run, ["prune"], "Remove all stopped containers", "[OPTIONS]");

fn run(context: &Context, arguments: PruneArgs) -> Outcome {
    if !question::confirmed(arguments.force, "WARNING! This will remove all stopped containers.")? {
        return Ok(0);
    }
    let pruned = context.client()?.prune_containers(&filter::parse(&arguments.filter))?;
    if !pruned.containers_deleted.is_empty() {
        context.print(&format!(
            "Deleted Containers:\n{}\n",
            pruned.containers_deleted.join("\n")
        ))?;
    }
    context.print(&format!(
        "Total reclaimed space: {}",
        decimal_size(pruned.space_reclaimed.try_into().unwrap_or(i64::MAX))
    ))?;
    Ok(0)
}
