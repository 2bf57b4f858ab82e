// SPDX-License-Identifier: MIT
//! `hb tag`

use clap::Args;
use hyperbox_types::ImageReference;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome, docker_reference};

#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    #[arg(hide = true)]
    source: String,
    #[arg(hide = true)]
    target: String,
}

pub(crate) const SPEC: Spec = spec!(
    TagArgs,
    run,
    ["tag"],
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"
);

fn run(context: &Context, arguments: TagArgs) -> Outcome {
    let target = ImageReference::parse(&arguments.target).map_err(|error| {
        let wrong = format!(
            "Error parsing reference: {:?} is not a valid repository/tag",
            arguments.target
        );
        CliError::new(format!("{wrong}: {error}"))
            .bare()
            .docker_says(format!("{wrong}: {}", docker_reference(&error)))
    })?;
    let Some(tag) = target.tag().filter(|_| target.digest().is_none()) else {
        return Err(CliError::new(format!(
            "refusing to create a tag with a digest reference: {}",
            arguments.target
        )));
    };
    context
        .client()?
        .tag_image(&arguments.source, &target.repository().familiar(), tag.as_str())?;
    Ok(0)
}
