// SPDX-License-Identifier: MIT
//! `hb image optimize`: files that several layers have are stored once.

use std::io::Write;

use clap::{Args, ValueEnum};
use hyperbox_types::optimize::OptimizeReport;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::decimal_size;

#[derive(Debug, Args)]
pub(crate) struct OptimizeArgs {
    /// Give each layer a form of its own again
    #[arg(long, conflicts_with = "release_blobs")]
    undo: bool,
    /// Also remove compressed layers that a registry has; push and save fetch them again
    #[arg(long)]
    release_blobs: bool,
    /// Output: 'text' or 'json'
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true, hide_default_value = true)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) const SPEC: Spec = spec!(
    OptimizeArgs,
    run,
    ["optimize"],
    "Store files that several layers have once",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: OptimizeArgs) -> Outcome {
    let report = context.client()?.optimize(arguments.undo, arguments.release_blobs)?;
    let mut output = context.output();
    match arguments.format {
        Format::Json => {
            serde_json::to_writer(&mut output, &report).map_err(|error| CliError::from_error(&error))?;
            output.write_all(b"\n")?;
        }
        Format::Text => write!(output, "{}", describe(&report))?,
    }
    output.flush()?;
    Ok(0)
}

fn describe(report: &OptimizeReport) -> String {
    let size = |size: u64| decimal_size(i64::try_from(size).unwrap_or(i64::MAX));
    let mut text = format!(
        "layers changed: {}; all layers on disk: {} -> {}\n",
        report.layers,
        size(report.before),
        size(report.after)
    );
    if report.sharing_layers > 0 {
        text.push_str(&format!(
            "layers that share files: {}; {} stored as {}\n",
            report.sharing_layers,
            size(report.referenced),
            size(report.stored)
        ));
    }
    if report.released_blobs > 0 {
        text.push_str(&format!(
            "compressed layers left to registries: {} ({})\n",
            report.released_blobs,
            size(report.released_bytes)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told() {
        let mut report = OptimizeReport {
            before: 2000,
            after: 2000,
            ..OptimizeReport::default()
        };
        assert_eq!(describe(&report), "layers changed: 0; all layers on disk: 2kB -> 2kB\n");
        report.sharing_layers = 2;
        report.referenced = 4000;
        report.stored = 2000;
        report.released_blobs = 3;
        report.released_bytes = 1000;
        let told = "layers changed: 0; all layers on disk: 2kB -> 2kB\nlayers that share files: 2; 4kB stored as 2kB\n\
                    compressed layers left to registries: 3 (1kB)\n";
        assert_eq!(describe(&report), told);
    }
}
