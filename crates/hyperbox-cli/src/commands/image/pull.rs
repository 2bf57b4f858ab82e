// SPDX-License-Identifier: MIT
//! `hb pull`

use std::io;

use clap::{ArgAction, Args};
use hyperbox_client::Host;
use hyperbox_types::ImageReference;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::progress;

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Skip image verification
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    disable_content_trust: bool,
    /// Take what changed from another HyperBox (unix:///path or tcp://host:port, as the daemon sees it)
    #[arg(long, value_name = "HOST", conflicts_with = "all_tags")]
    delta_from: Option<Host>,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    name: String,
}

pub(crate) const SPEC: Spec = spec!(
    PullArgs,
    run,
    ["pull"],
    "Download an image from a registry",
    "[OPTIONS] NAME[:TAG|@DIGEST]"
);

fn run(context: &Context, arguments: PullArgs) -> Outcome {
    let typed = ImageReference::parse_untagged(&arguments.name)?;
    let reference = ImageReference::parse(&arguments.name)?;
    if arguments.all_tags && (typed.tag().is_some() || typed.digest().is_some()) {
        return Err(CliError::new("tag can't be used with --all-tags/-a"));
    }
    if typed.tag().is_none() && typed.digest().is_none() && !arguments.all_tags && !arguments.quiet {
        context.print("Using default tag: latest")?;
    }
    let credentials = context.registry_header(reference.repository().host())?;
    let (client, platform) = (context.client()?, arguments.platform.as_deref());
    let messages = match &arguments.delta_from {
        Some(host) => client.pull_image_delta(&reference, platform, host, credentials.as_deref())?,
        None => client.pull_image(&reference, arguments.all_tags, platform, credentials.as_deref())?,
    };
    if arguments.quiet {
        progress::swallow(messages)?;
    } else {
        progress::show(messages, &mut io::stdout().lock(), context.output_is_terminal(), |_| {})?;
    }
    let name = if arguments.all_tags {
        reference.repository().to_string()
    } else {
        reference.to_string()
    };
    context.print(&name)?;
    Ok(0)
}
