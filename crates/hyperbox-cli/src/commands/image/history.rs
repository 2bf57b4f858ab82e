// SPDX-License-Identifier: MIT
//! `hb history`

use clap::{ArgAction, Args};
use hyperbox_types::Platform;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::{List, ago, ellipsis, three_digits};
use crate::options;
use crate::template::Value;

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show history of the given platform only
    #[arg(long, value_name = "OS/ARCHITECTURE", value_parser = options::platform)]
    platform: Option<Platform>,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    image: String,
}

pub(crate) const SPEC: Spec = spec!(
    HistoryArgs,
    run,
    ["history"],
    "Show the history of an image",
    "[OPTIONS] IMAGE"
);

const LIST: List = List {
    row: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    quiet: "{{.ID}}",
    titles: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
};

fn run(context: &Context, arguments: HistoryArgs) -> Outcome {
    let steps = context
        .client()?
        .image_history(&arguments.image, arguments.platform.as_ref())?;
    let rows: Vec<Value> = steps
        .iter()
        .map(|step| {
            let bare = step.id.strip_prefix("sha256:").unwrap_or(&step.id);
            let id = if arguments.no_trunc {
                step.id.clone()
            } else {
                bare.chars().take(12).collect()
            };
            let by = step.created_by.replace('\t', " ");
            let at = jiff::Timestamp::from_second(step.created).unwrap_or_default();
            let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            Value::map([
                ("Comment", Value::from(step.comment.as_str())),
                ("CreatedAt", at.clone().into()),
                (
                    "CreatedBy",
                    if arguments.no_trunc { by } else { ellipsis(&by, 45) }.into(),
                ),
                (
                    "CreatedSince",
                    if arguments.human { ago(step.created) } else { at }.into(),
                ),
                (
                    "ID",
                    if id == "<missing>" {
                        "<missing>".into()
                    } else {
                        Value::from(id)
                    },
                ),
                (
                    "Size",
                    if arguments.human {
                        three_digits(step.size)
                    } else {
                        step.size.to_string()
                    }
                    .into(),
                ),
            ])
        })
        .collect();
    LIST.print(context, arguments.format.as_deref(), arguments.quiet, &rows)?;
    Ok(0)
}
