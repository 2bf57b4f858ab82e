// SPDX-License-Identifier: MIT
//! `hb save`

use std::io::{self, IsTerminal};

use clap::Args;
use hyperbox_types::Platform;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options;

#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Save only the given platform
    #[arg(long, value_name = "OS/ARCHITECTURE", value_parser = options::platform)]
    platform: Option<Platform>,
    #[arg(required = true, value_name = "IMAGE", hide = true)]
    images: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    SaveArgs,
    run,
    ["save"],
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    "[OPTIONS] IMAGE [IMAGE...]"
);

fn run(context: &Context, arguments: SaveArgs) -> Outcome {
    if arguments.output.is_none() && io::stdout().is_terminal() {
        return Err(CliError::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    let mut body = context
        .client()?
        .save_images(&arguments.images, arguments.platform.as_ref())?;
    crate::output_file::write(arguments.output.as_deref(), &mut body)?;
    Ok(0)
}
