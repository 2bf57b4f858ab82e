// SPDX-License-Identifier: MIT
//! `hb export`

use std::io::{self, IsTerminal};

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    #[arg(hide = true)]
    container: String,
}

pub(crate) const SPEC: Spec = spec!(
    ExportArgs,
    run,
    ["export"],
    "Export a container's filesystem as a tar archive",
    "[OPTIONS] CONTAINER"
);

fn run(context: &Context, arguments: ExportArgs) -> Outcome {
    if arguments.output.is_none() && io::stdout().is_terminal() {
        return Err(CliError::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    let mut body = context.client()?.export_container(&arguments.container)?;
    crate::output_file::write(arguments.output.as_deref(), &mut body)?;
    Ok(0)
}
