// SPDX-License-Identifier: MIT
//! `hb import`

use std::fs::File;
use std::io::{self, Read};

use clap::Args;
use hyperbox_client::ImportSource;

use crate::commands::container::commit::split;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome, go_text};
use crate::progress;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "LIST")]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long, default_value = "", hide_default_value = true)]
    message: String,
    /// Set platform if server is multi-platform capable
    #[arg(long, default_value = "", hide_default_value = true)]
    platform: String,
    #[arg(hide = true)]
    source: String,
    #[arg(hide = true)]
    name: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(
    ImportArgs,
    run,
    ["import"],
    "Import the contents from a tarball to create a filesystem image",
    "[OPTIONS] FILE|URL|- [REPOSITORY[:TAG]]"
);

fn run(context: &Context, arguments: ImportArgs) -> Outcome {
    let (repository, tag) = split(arguments.name.as_deref())?;
    let source = &arguments.source;
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    let mut input: Box<dyn Read> = if source == "-" {
        Box::new(io::stdin().lock())
    } else if is_url {
        Box::new(io::empty())
    } else {
        Box::new(File::open(source).map_err(|error| CliError::new(format!("open {source}: {}", go_text(&error))))?)
    };
    let origin = if is_url {
        ImportSource::Url(source)
    } else {
        ImportSource::Archive(&mut *input)
    };
    let messages = context.client()?.import_image(
        origin,
        (&repository, &tag),
        &arguments.message,
        &arguments.change,
        &arguments.platform,
    )?;
    progress::show(messages, &mut io::stdout().lock(), context.output_is_terminal(), |_| {})?;
    Ok(0)
}
