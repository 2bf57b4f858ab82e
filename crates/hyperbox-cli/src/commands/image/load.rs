// SPDX-License-Identifier: MIT
//! `hb load`

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use clap::Args;
use hyperbox_types::Platform;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome, go_text};
use crate::options;
use crate::progress;

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "FILE")]
    input: Option<String>,
    /// Load only the given platform
    #[arg(long, value_name = "OS/ARCHITECTURE", value_parser = options::platform)]
    platform: Option<Platform>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) const SPEC: Spec = spec!(
    LoadArgs,
    run,
    ["load"],
    "Load an image from a tar archive or STDIN",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: LoadArgs) -> Outcome {
    let mut input: Box<dyn Read> = match &arguments.input {
        Some(path) => Box::new(File::open(path).map_err(|error| {
            CliError::new(format!("cannot open {path}: {error}"))
                .docker_says(format!("open {path}: {}", go_text(&error)))
        })?),
        None if io::stdin().is_terminal() => {
            return Err(
                CliError::new("requested load from stdin, but stdin is empty").with_hint("name a file with --input")
            );
        }
        None => Box::new(io::stdin().lock()),
    };
    // A terminal is what progress is for; elsewhere only the names are of interest.
    let quiet = arguments.quiet || !context.output_is_terminal();
    let messages = context
        .client()?
        .load_images(&mut *input, arguments.platform.as_ref(), quiet)?;
    progress::show(messages, &mut io::stdout().lock(), context.output_is_terminal(), |_| {})?;
    Ok(0)
}
