// SPDX-License-Identifier: MIT
//! `hb project config`: the resolved model, as `docker compose config` shows it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use hyperbox_project::compose::{to_json, to_yaml};
use hyperbox_project::create::image;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::project::ProjectOptions;

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    project: ProjectOptions,
    /// Format output: 'yaml' or 'json'
    #[arg(long, value_name = "FORMAT", default_value = "yaml", value_parser = ["yaml", "json"])]
    format: String,
    /// Print the names of images
    #[arg(long)]
    images: bool,
    /// The same as --format json
    #[arg(long)]
    json: bool,
    /// Print the names of networks
    #[arg(long)]
    networks: bool,
    /// Save to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only say what is wrong
    #[arg(short, long)]
    quiet: bool,
    /// Print the names of services
    #[arg(long)]
    services: bool,
    /// Print the names of volumes
    #[arg(long)]
    volumes: bool,
}

pub(crate) const SPEC: Spec = spec!(
    ConfigArgs,
    run,
    ["config"],
    "Show the project's files, resolved",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: ConfigArgs) -> Outcome {
    let opened = super::opened(context, &arguments.project)?;
    if arguments.quiet {
        return Ok(0);
    }
    let names: Option<BTreeSet<String>> = if arguments.services {
        Some(opened.model.services.keys().cloned().collect())
    } else if arguments.volumes {
        Some(opened.model.volumes.keys().cloned().collect())
    } else if arguments.networks {
        Some(opened.model.networks.keys().cloned().collect())
    } else if arguments.images {
        let services = opened.model.services.iter();
        Some(
            services
                .map(|(name, service)| image(&opened.name, name, service))
                .collect(),
        )
    } else {
        None
    };
    let text = match names {
        Some(names) => names.into_iter().collect::<Vec<_>>().join("\n"),
        None if arguments.json || arguments.format == "json" => to_json(&opened.document),
        None => to_yaml(&opened.document).trim_end().to_owned(),
    };
    match &arguments.output {
        Some(path) => std::fs::write(path, text + "\n")
            .map_err(|error| CliError::new(format!("cannot write {}: {error}", path.display())))?,
        None if text.is_empty() => {}
        None => context.print(&text)?,
    }
    Ok(0)
}
