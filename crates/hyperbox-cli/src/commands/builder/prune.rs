// SPDX-License-Identifier: MIT
//! `hb builder prune`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::decimal_size;
use crate::options::{self, filter};
use crate::question;

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove all unused build cache, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. `until=24h`)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    /// Amount of disk space to keep for cache
    #[arg(long, value_name = "BYTES", value_parser = options::parse_bytes)]
    keep_storage: Option<i64>,
}

pub(crate) const SPEC: Spec = spec!(PruneArgs, run, ["prune"], "Remove build cache", "[OPTIONS]");

fn run(context: &Context, arguments: PruneArgs) -> Outcome {
    let warning = if arguments.all {
        "WARNING! This will remove all build cache."
    } else {
        "WARNING! This will remove all dangling build cache."
    };
    if !question::confirmed(arguments.force, warning)? {
        return Ok(0);
    }
    let filters = filter::parse(&arguments.filter);
    let pruned = context
        .client()?
        .prune_builds(arguments.all, arguments.keep_storage, &filters)?;
    if !pruned.caches_deleted.is_empty() {
        context.print(&format!(
            "Deleted build cache objects:\n{}\n",
            pruned.caches_deleted.join("\n")
        ))?;
    }
    context.print(&format!(
        "Total reclaimed space: {}",
        decimal_size(pruned.space_reclaimed.try_into().unwrap_or(i64::MAX))
    ))?;
    Ok(0)
}
