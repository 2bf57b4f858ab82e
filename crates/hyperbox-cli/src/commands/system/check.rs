// SPDX-License-Identifier: MIT
//! `hb system check`: looks for damage in the daemon's store, and mends it.
//!
//! Exit codes: 0 when nothing harmful is left, 4 when damage is left (as fsck(8)), others when the check could not be done.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, ValueEnum};
use hyperbox_client::credentials::Credentials;
use hyperbox_client::{Client, Filters};
use hyperbox_types::ImageReference;
use hyperbox_types::check::{CheckEvent, CheckSummary, Finding, Outcome as Done};

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::decimal_size;
use crate::terminal;

/// The exit code when damage is left.
const DAMAGED: u8 = 4;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Mend what is found: fetch and unpack again, remove what is lost or of no use
    #[arg(long)]
    repair: bool,
    /// Output: 'text', or 'json' for one document per line, progress included
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true, hide_default_value = true)]
    format: Format,
    /// Print findings only
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) const SPEC: Spec = spec!(
    CheckArgs,
    run,
    ["check"],
    "Look for damage in images, layers and records",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: CheckArgs) -> Outcome {
    let client = context.client()?;
    let credentials = if arguments.repair {
        credentials(context, &client)?
    } else {
        BTreeMap::new()
    };
    let shows_progress = arguments.format == Format::Text && !arguments.quiet && context.output_is_terminal();
    let mut output = context.output();
    for event in client.check(arguments.repair, &credentials)? {
        let event = event?;
        if arguments.format == Format::Json {
            if !(arguments.quiet && matches!(event, CheckEvent::Progress { .. })) {
                serde_json::to_writer(&mut output, &event).map_err(|error| CliError::from_error(&error))?;
                output.write_all(b"\n")?;
                output.flush()?;
            }
            if let CheckEvent::Finished(summary) = event {
                return Ok(code(summary));
            }
            continue;
        }
        match event {
            CheckEvent::Progress { done, total, item } if shows_progress => {
                write!(output, "\r\x1b[K{}", fitting(&format!("{done}/{total} {item}")))?;
            }
            CheckEvent::Progress { .. } => {}
            CheckEvent::Finding(finding) => {
                let clear = if shows_progress { "\r\x1b[K" } else { "" };
                write!(output, "{clear}{}", describe(&finding))?;
            }
            CheckEvent::Finished(summary) => {
                if shows_progress {
                    output.write_all(b"\r\x1b[K")?;
                }
                if !arguments.quiet {
                    writeln!(output, "{}", conclude(summary, arguments.repair))?;
                }
                output.flush()?;
                return Ok(code(summary));
            }
            CheckEvent::Failed { message } => return Err(CliError::new(message)),
        }
        output.flush()?;
    }
    Err(CliError::new("the daemon broke off the check"))
}

fn code(summary: CheckSummary) -> u8 {
    if summary.is_sound() { 0 } else { DAMAGED }
}

/// Returns what is known of the registries that images came from.
fn credentials(context: &Context, client: &Client) -> Result<BTreeMap<String, Credentials>, CliError> {
    let store = context.credentials()?;
    let mut known = BTreeMap::new();
    for image in client.list_images(true, &Filters::default())? {
        for name in &image.repo_digests {
            let Ok(reference) = ImageReference::parse(name) else {
                continue;
            };
            let host = reference.repository().host();
            if let Some(credentials) = store.lookup(host)? {
                known.insert(host.to_string(), credentials);
            }
        }
    }
    Ok(known)
}

/// Cuts a line to the width of the terminal.
fn fitting(line: &str) -> String {
    let width = terminal::size().map_or(80, |size| size.columns);
    line.chars().take(usize::from(width.saturating_sub(1))).collect()
}

fn describe(finding: &Finding) -> String {
    let problem = serde_json::to_value(finding.problem).unwrap_or_default();
    let problem = problem.as_str().unwrap_or_default().replace('-', " ");
    let mut text = format!("{problem}: {}\n  {}\n", finding.subject, finding.detail);
    if !finding.needed_by.is_empty() {
        text.push_str(&format!("  needed by: {}\n", finding.needed_by.join(", ")));
    }
    text.push_str(&match &finding.outcome {
        Done::Nothing => String::new(),
        Done::Repaired { how } => format!("  repaired: {how}\n"),
        Done::Removed { what } => format!("  removed: {what}\n"),
        Done::Left { why } => format!("  not repaired: {why}\n"),
    });
    text
}

fn conclude(summary: CheckSummary, repair: bool) -> String {
    let size = decimal_size(i64::try_from(summary.bytes).unwrap_or(i64::MAX));
    let in_part = match summary.layers_in_part {
        0 => String::new(),
        count => format!(", in part: {count}"),
    };
    let elsewhere = match summary.blobs_elsewhere {
        0 => String::new(),
        count => format!(", blobs that only registries have: {count}"),
    };
    let checked = format!(
        "whole blobs: {} ({size}){elsewhere}, layers: {}{in_part}",
        summary.blobs, summary.layers
    );
    let left = summary.problems - summary.settled;
    let verdict = match (summary.problems, left, repair) {
        (0, _, _) => "no damage".to_owned(),
        (problems, 0, _) => format!("problems: {problems}, all settled"),
        (problems, left, true) => format!("problems: {problems}, {left} of them left"),
        (problems, _, false) => format!("problems: {problems}; 'hb system check --repair' mends what can be mended"),
    };
    let harmless = match (summary.harmless, repair) {
        (0, _) => String::new(),
        (count, false) => format!("; harmless remains: {count}, which --repair clears"),
        (count, true) => format!("; harmless remains: {count}"),
    };
    format!("{checked}; {verdict}{harmless}")
}

#[cfg(test)]
mod tests {
    use hyperbox_types::check::Problem;

    use super::*;

    #[test]
    fn findings_say_what_was_done() {
        let mut finding = Finding {
            problem: Problem::BlobDamaged,
            subject: "sha256:1".to_owned(),
            detail: "it has 1 bytes instead of 2".to_owned(),
            needed_by: vec!["a:1".to_owned(), "b:1".to_owned()],
            outcome: Done::Nothing,
        };
        let told = "blob damaged: sha256:1\n  it has 1 bytes instead of 2\n  needed by: a:1, b:1\n";
        assert_eq!(describe(&finding), told);
        finding.outcome = Done::Left {
            why: "later".to_owned(),
        };
        assert_eq!(describe(&finding), format!("{told}  not repaired: later\n"));
    }

    #[test]
    fn the_last_line_tells_what_is_left() {
        let mut summary = CheckSummary {
            blobs: 3,
            bytes: 2000,
            layers: 1,
            ..CheckSummary::default()
        };
        let whole = "whole blobs: 3 (2kB), layers: 1";
        assert_eq!(conclude(summary, false), format!("{whole}; no damage"));
        (summary.problems, summary.settled, summary.harmless) = (2, 1, 1);
        assert_eq!(
            conclude(summary, true),
            format!("{whole}; problems: 2, 1 of them left; harmless remains: 1")
        );
        assert_eq!(code(summary), 4);
        summary.settled = 2;
        assert_eq!(code(summary), 0);
    }
}
