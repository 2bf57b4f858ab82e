// SPDX-License-Identifier: MIT
//! `hb network prune`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::options::filter;
use crate::question;

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Provide filter values (e.g. "until=TIMESTAMP")
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

pub(crate) const SPEC: Spec = spec!(PruneArgs, run, ["prune"], "Remove all unused networks", "[OPTIONS]");

const WARNING: &str = "WARNING! This will remove all custom networks not used by at least one container.";

fn run(context: &Context, arguments: PruneArgs) -> Outcome {
    let filters = filter::parse(&arguments.filter);
    if !question::confirmed(arguments.force, WARNING)? {
        return Ok(0);
    }
    let pruned = context.client()?.prune_networks(&filters)?;
    if !pruned.networks_deleted.is_empty() {
        context.print(&format!("Deleted Networks:\n{}\n", pruned.networks_deleted.join("\n")))?;
    }
    Ok(0)
}
