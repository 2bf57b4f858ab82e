// SPDX-License-Identifier: MIT
//! `hb commit`

use clap::Args;
use hyperbox_client::Commit;
use hyperbox_types::ImageReference;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct CommitArgs {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long, default_value = "", hide_default_value = true)]
    author: String,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "LIST")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long, default_value = "", hide_default_value = true)]
    message: String,
    /// Pause container during commit
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pause: bool,
    #[arg(hide = true)]
    container: String,
    #[arg(hide = true)]
    name: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(
    CommitArgs,
    run,
    ["commit"],
    "Create a new image from a container's changes",
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]"
);

fn run(context: &Context, arguments: CommitArgs) -> Outcome {
    let (repository, tag) = split(arguments.name.as_deref())?;
    let commit = Commit {
        repository: &repository,
        tag: &tag,
        author: &arguments.author,
        comment: &arguments.message,
        changes: &arguments.change,
        no_pause: !arguments.pause,
    };
    let id = context.client()?.commit_container(&arguments.container, &commit)?;
    context.print(&id)?;
    Ok(0)
}

/// Splits a name into repository and tag.
pub(crate) fn split(name: Option<&str>) -> Result<(String, String), CliError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok((String::new(), String::new()));
    };
    let parsed = ImageReference::parse(name).map_err(|error| CliError::new(error.to_string()))?;
    let tag = parsed.tag().map_or("latest", |tag| tag.as_str()).to_owned();
    Ok((parsed.repository().to_string(), tag))
}
