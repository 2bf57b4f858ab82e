// SPDX-License-Identifier: MIT
//! `hb push`

use std::io;

use clap::{ArgAction, Args};
use hyperbox_types::{ImageReference, Platform};

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::{options, progress};

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Skip image signing
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    disable_content_trust: bool,
    /// Push only when the image is for the given platform
    #[arg(long, value_name = "OS/ARCHITECTURE", value_parser = options::platform)]
    platform: Option<Platform>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    name: String,
}

pub(crate) const SPEC: Spec = spec!(
    PushArgs,
    run,
    ["push"],
    "Upload an image to a registry",
    "[OPTIONS] NAME[:TAG]"
);

fn run(context: &Context, arguments: PushArgs) -> Outcome {
    let typed = ImageReference::parse_untagged(&arguments.name)?;
    if arguments.all_tags && typed.tag().is_some() {
        return Err(CliError::new("tag can't be used with --all-tags/-a"));
    }
    let tag = match (typed.tag(), arguments.all_tags) {
        (_, true) => None,
        (Some(tag), false) => Some(tag.as_str().to_owned()),
        (None, false) => {
            if !arguments.quiet {
                context.print("Using default tag: latest")?;
            }
            Some("latest".to_owned())
        }
    };
    let repository = typed.repository();
    let credentials = context.registry_header(repository.host())?;
    let messages = context.client()?.push_image(
        &repository.familiar(),
        tag.as_deref(),
        arguments.platform.as_ref(),
        credentials.as_deref(),
    )?;
    if arguments.quiet {
        progress::swallow(messages)?;
        let name = tag.map_or_else(|| repository.to_string(), |tag| format!("{repository}:{tag}"));
        context.print(&name)?;
    } else {
        progress::show(messages, &mut io::stdout().lock(), context.output_is_terminal(), |_| {})?;
    }
    Ok(0)
}
