// SPDX-License-Identifier: MIT
//! `hb image diff`: in what two images differ.
//!
//! One line per path: `A` only the second image has it, `D` only the first one, `C` both, but not the same; then what is shared.

use std::io::Write;

use clap::{Args, ValueEnum};
use hyperbox_types::image_diff::{ImageDiff, PathChange};

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::decimal_size;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[arg(hide = true)]
    left: String,
    #[arg(hide = true)]
    right: String,
    /// Output: 'text' or 'json'
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true, hide_default_value = true)]
    format: Format,
    /// Print only what is shared and what is not
    #[arg(short, long)]
    summary: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) const SPEC: Spec = spec!(
    DiffArgs,
    run,
    ["diff"],
    "Show in what two images differ",
    "[OPTIONS] IMAGE IMAGE"
);

fn run(context: &Context, arguments: DiffArgs) -> Outcome {
    let mut diff = context.client()?.image_difference(&arguments.left, &arguments.right)?;
    if arguments.summary {
        diff.changes.clear();
    }
    let mut output = context.output();
    match arguments.format {
        Format::Json => {
            serde_json::to_writer(&mut output, &diff).map_err(|error| CliError::from_error(&error))?;
            output.write_all(b"\n")?;
        }
        Format::Text => {
            for change in &diff.changes {
                writeln!(output, "{}", line(change))?;
            }
            writeln!(output, "{}", conclude(&diff))?;
        }
    }
    output.flush()?;
    Ok(0)
}

fn line(change: &PathChange) -> String {
    let size = |size: u64| decimal_size(i64::try_from(size).unwrap_or(i64::MAX));
    let path = &change.path;
    match (change.left_size, change.right_size) {
        (None, Some(right)) => format!("A {path} ({})", size(right)),
        (Some(left), None) => format!("D {path} ({})", size(left)),
        (Some(left), Some(right)) if left != right => format!("C {path} ({} -> {})", size(left), size(right)),
        _ => format!("C {path}"),
    }
}

fn conclude(diff: &ImageDiff) -> String {
    let size = |size: u64| decimal_size(i64::try_from(size).unwrap_or(i64::MAX));
    format!(
        "{} layers shared, {} and {} of their own; in those {} shared, {} only in the first, {} only in the second",
        diff.shared_layers,
        diff.left_layers,
        diff.right_layers,
        size(diff.shared_bytes),
        size(diff.left_bytes),
        size(diff.right_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_sizes_where_they_differ() {
        for (left, right, text) in [
            (None, Some(5), "A /a (5B)"),
            (Some(2000), None, "D /a (2kB)"),
            (Some(1), Some(2), "C /a (1B -> 2B)"),
            (Some(1), Some(1), "C /a"),
        ] {
            let change = PathChange {
                path: "/a".to_owned(),
                left_size: left,
                right_size: right,
            };
            assert_eq!(line(&change), text);
        }
    }
}
