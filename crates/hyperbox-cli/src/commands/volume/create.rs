// SPDX-License-Identifier: MIT
//! `hb volume create`

use clap::Args;
use hyperbox_client::model::CreateVolume;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options::pairs;

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Specify volume driver name
    #[arg(short, long, value_name = "NAME", default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Specify volume name
    #[arg(long, value_name = "NAME", hide = true)]
    name: Option<String>,
    /// Set driver specific options
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,
    #[arg(hide = true)]
    volume: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(CreateArgs, run, ["create"], "Create a volume", "[OPTIONS] [VOLUME]");

fn run(context: &Context, arguments: CreateArgs) -> Outcome {
    if arguments.name.is_some() && arguments.volume.is_some() {
        return Err(CliError::new(
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
        ));
    }
    let volume = context.client()?.create_volume(&CreateVolume {
        name: arguments.volume.or(arguments.name).unwrap_or_default(),
        driver: arguments.driver,
        driver_opts: pairs(&arguments.opt),
        labels: pairs(&arguments.label),
    })?;
    context.print(&volume.name)?;
    Ok(0)
}
