// SPDX-License-Identifier: MIT
//! `hb down`, `hb project down`: stops and removes a project's containers and networks. The project stays open.

use clap::Args;
use hyperbox_types::project::{ProjectDown, RemovedImages};

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::project::{ProjectOptions, progress};

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    project: ProjectOptions,
    /// Tell each event as a line of JSON on standard output
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Remove containers of services that the files do not have
    #[arg(long)]
    remove_orphans: bool,
    /// Remove images: `local` for those that the files give no name, or `all`
    #[arg(long, value_name = "WHICH", value_parser = images)]
    rmi: Option<RemovedImages>,
    /// Seconds that containers get to stop
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<i64>,
    /// Remove volumes
    #[arg(short, long)]
    volumes: bool,
    #[arg(hide = true)]
    services: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    DownArgs,
    run,
    ["down"],
    "Stop and remove the containers and networks of the project",
    "[OPTIONS] [SERVICE...]"
);

fn images(text: &str) -> Result<RemovedImages, String> {
    match text {
        "local" => Ok(RemovedImages::Local),
        "all" => Ok(RemovedImages::All),
        _ => Err("must be local or all".to_owned()),
    }
}

fn run(context: &Context, arguments: DownArgs) -> Outcome {
    let name = super::name(context, &arguments.project)?;
    let request = ProjectDown {
        services: arguments.services,
        volumes: arguments.volumes,
        images: arguments.rmi,
        remove_orphans: arguments.remove_orphans,
        timeout: arguments.timeout,
    };
    let events = context.client()?.down_project(&name, &request)?;
    let style = progress::Style::choose(arguments.json, arguments.quiet);
    progress::show(&name, events, style, |_| Ok(()))?;
    Ok(0)
}
