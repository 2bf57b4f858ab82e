// SPDX-License-Identifier: MIT
//! `hb top`

use std::io::Write;

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::align_wide;

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[arg(required = true, trailing_var_arg = true, value_name = "CONTAINER", hide = true)]
    container_and_options: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    TopArgs,
    run,
    ["top"],
    "Display the running processes of a container",
    "CONTAINER [ps OPTIONS]"
);

fn run(context: &Context, arguments: TopArgs) -> Outcome {
    let Some((container, options)) = arguments.container_and_options.split_first() else {
        return Ok(1);
    };
    let top = context.client()?.top_container(container, &options.join(" "))?;
    let lines: Vec<String> = std::iter::once(&top.titles)
        .chain(&top.processes)
        .map(|row| row.join("\t"))
        .collect();
    let mut output = context.output();
    output.write_all(align_wide(&lines).as_bytes())?;
    output.flush()?;
    Ok(0)
}
