// SPDX-License-Identifier: MIT
//! `hb volume prune`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::decimal_size;
use crate::options::filter;
use crate::question;

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. `label=<label>`)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

pub(crate) const SPEC: Spec = spec!(PruneArgs, run, ["prune"], "Remove unused local volumes", "[OPTIONS]");

fn run(context: &Context, arguments: PruneArgs) -> Outcome {
    let mut filters = filter::parse(&arguments.filter);
    if arguments.all {
        if filters.has("all") {
            return Err(CliError::new(
                "conflicting options: cannot specify both --all and --filter all=1",
            ));
        }
        filters.add("all", "true");
    }
    let which = if arguments.all { "all local" } else { "anonymous local" };
    let warning = format!("WARNING! This will remove {which} volumes not used by at least one container.");
    if !question::confirmed(arguments.force, &warning)? {
        return Ok(0);
    }
    let pruned = context.client()?.prune_volumes(&filters)?;
    if !pruned.volumes_deleted.is_empty() {
        context.print(&format!("Deleted Volumes:\n{}\n", pruned.volumes_deleted.join("\n")))?;
    }
    context.print(&format!(
        "Total reclaimed space: {}",
        decimal_size(pruned.space_reclaimed.try_into().unwrap_or(i64::MAX))
    ))?;
    Ok(0)
}
