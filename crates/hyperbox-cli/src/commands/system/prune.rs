// SPDX-License-Identifier: MIT
//! `hb system prune`

use clap::Args;

use crate::commands::image::print_deleted;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::decimal_size;
use crate::options::filter;
use crate::question;

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove all unused images not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. `label=<key>=<value>`)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    /// Prune anonymous volumes
    #[arg(long)]
    volumes: bool,
}

pub(crate) const SPEC: Spec = spec!(PruneArgs, run, ["prune"], "Remove unused data", "[OPTIONS]");

fn run(context: &Context, arguments: PruneArgs) -> Outcome {
    let images = if arguments.all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    };
    let volumes = if arguments.volumes {
        "\n  - all anonymous volumes not used by at least one container"
    } else {
        ""
    };
    let warning = format!(
        "WARNING! This will remove:\n  - all stopped containers\n  \
         - all networks not used by at least one container{volumes}\n  - {images}\n"
    );
    if !question::confirmed(arguments.force, &warning)? {
        return Ok(0);
    }
    let client = context.client()?;
    let filters = filter::parse(&arguments.filter);
    let mut reclaimed = 0_u64;
    let containers = client.prune_containers(&filters)?;
    if !containers.containers_deleted.is_empty() {
        context.print(&format!(
            "Deleted Containers:\n{}\n",
            containers.containers_deleted.join("\n")
        ))?;
    }
    reclaimed = reclaimed.saturating_add(containers.space_reclaimed);
    let networks = client.prune_networks(&filters)?;
    if !networks.networks_deleted.is_empty() {
        context.print(&format!(
            "Deleted Networks:\n{}\n",
            networks.networks_deleted.join("\n")
        ))?;
    }
    if arguments.volumes {
        let volumes = client.prune_volumes(&filters)?;
        if !volumes.volumes_deleted.is_empty() {
            context.print(&format!("Deleted Volumes:\n{}\n", volumes.volumes_deleted.join("\n")))?;
        }
        reclaimed = reclaimed.saturating_add(volumes.space_reclaimed);
    }
    let mut of_images = filters.clone();
    of_images.add("dangling", if arguments.all { "false" } else { "true" });
    let images = client.prune_images(&of_images)?;
    print_deleted(context, &images.images_deleted)?;
    reclaimed = reclaimed.saturating_add(images.space_reclaimed);
    context.print(&format!(
        "Total reclaimed space: {}",
        decimal_size(i64::try_from(reclaimed).unwrap_or(i64::MAX))
    ))?;
    Ok(0)
}
