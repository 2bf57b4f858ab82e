// SPDX-License-Identifier: MIT
//! `hb project open`: finds out what a folder is, says so, and starts it in the background.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use hyperbox_project::settings;

use super::up::{Wanted, dry_run, explanation, prepare, raise};
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::project::{Opened, ProjectOptions, send};

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    project: ProjectOptions,
    #[command(flatten)]
    wanted: Wanted,
    /// Show what the folder is taken for and why, and do nothing
    #[arg(long)]
    explain: bool,
    /// Tell the daemon of the project and start nothing
    #[arg(long)]
    only_open: bool,
    /// Write the proposed compose.yaml, or a hyperbox.toml beside Compose files, and do nothing else; overwrites nothing
    #[arg(long)]
    write: bool,
    #[arg(hide = true)]
    directory: Option<PathBuf>,
}

pub(crate) const SPEC: Spec = spec!(
    OpenArgs,
    run,
    ["open"],
    "Find out what a folder is, and start it",
    "[OPTIONS] [FOLDER]"
);

fn run(context: &Context, mut arguments: OpenArgs) -> Outcome {
    if let Some(directory) = arguments.directory.take() {
        if !directory.is_dir() {
            return Err(CliError::new(format!("{}: no such folder", directory.display())));
        }
        arguments.project.project_directory.get_or_insert(directory);
    }
    let opened = if arguments.explain {
        super::explained(context, &arguments.project)?
    } else {
        super::opened(context, &arguments.project)?
    };
    if arguments.write {
        let path = write(&opened)?;
        context.print(&format!("written: {}", path.display()))?;
        return Ok(0);
    }
    if arguments.explain {
        context.print(explanation(&opened).trim_end())?;
        return Ok(0);
    }
    if let Some(first) = opened.detection.as_ref().and_then(|found| found.findings.first())
        && !arguments.wanted.json
    {
        context.note(&format!(
            "{} is {}, by {}",
            opened.directory.display(),
            first.kind,
            first.evidence
        ));
        if opened.files.is_empty() {
            context.note("how it is run is proposed: --explain shows it, --write writes it");
        }
    }
    let client = context.client()?;
    let summary = send(context, &client, &opened)?;
    if arguments.only_open {
        context.print(&summary.name)?;
        return Ok(0);
    }
    let request = arguments.wanted.request(&[]);
    if arguments.wanted.dry_run {
        return dry_run(context, &client, &opened, &arguments.wanted, &request);
    }
    prepare(context, &client, &opened, &arguments.wanted, &request)?;
    raise(context, &client, &opened, &arguments.wanted, &request)?;
    Ok(0)
}

/// Writes what is proposed, where there is nothing yet.
fn write(opened: &Opened) -> Result<PathBuf, CliError> {
    let proposal = opened
        .detection
        .as_ref()
        .and_then(|detection| detection.proposal.as_ref());
    let (name, text) = match proposal {
        Some(proposal) => ("compose.yaml", proposal.compose.as_str()),
        None => (settings::FILE_NAME, settings::TEMPLATE),
    };
    let path = opened.directory.join(name);
    write_new(&path, text)?;
    Ok(path)
}

fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::new(format!("cannot write {}: {error}", path.display()));
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(CliError::new(format!(
                "{} is there already, and is not overwritten",
                path.display()
            )));
        }
        opened => opened.map_err(failed)?,
    };
    file.write_all(text.as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("compose.yaml");
        write_new(&path, "a").unwrap();
        let message = write_new(&path, "b").unwrap_err().to_string();
        assert!(
            message.ends_with("is there already, and is not overwritten"),
            "{message}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a");
    }
}
