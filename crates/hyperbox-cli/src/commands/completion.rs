// SPDX-License-Identifier: MIT
//! `hb completion`

use std::io::Write;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::{Spec, spec, tree};
use crate::context::Context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// bash, zsh, fish, powershell or elvish
    #[arg(hide = true)]
    shell: String,
}

pub(crate) const SPEC: Spec = spec!(
    CompletionArgs,
    run,
    ["completion"],
    "Generate the completion script for a shell (bash, zsh, fish, powershell)",
    "SHELL"
);

fn run(context: &Context, arguments: CompletionArgs) -> Outcome {
    let shell = Shell::from_str(&arguments.shell, true).map_err(|_| {
        CliError::new(format!("unknown shell: {}", arguments.shell))
            .with_hint("one of bash, zsh, fish, powershell, elvish")
    })?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut tree(), "hb", &mut script);
    let mut output = context.output();
    output.write_all(&script)?;
    output.flush()?;
    Ok(0)
}
