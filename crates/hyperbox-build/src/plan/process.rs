// SPDX-License-Identifier: MIT
//! RUN.

use hyperbox_core::image::change;
use hyperbox_dockerfile::{CommandLine, Heredoc, Instruction, Located, Run};

use super::stage::Work;
use super::step::{Action, PlannedRun};
use super::{mounts, refused};
use crate::BuildError;
use crate::config::DEFAULT_PATH;
use crate::step::RunFile;

/// The argument of a build that says what its machines are called.
const HOSTNAME: &str = "BUILDKIT_SANDBOX_HOSTNAME";
/// Where scripts of here-documents are seen.
const SCRIPTS: &str = "/dev/pipes";

pub(super) fn run(work: &mut Work<'_>, one: &Located<Instruction>, run: Run) -> Result<(), BuildError> {
    let mut mounts = Vec::new();
    for (position, mount) in run.mounts.iter().enumerate() {
        mounts.push(mounts::plan(work, mount, position, one.lines)?);
    }
    let mut shown = one.text.clone();
    let mut files = Vec::new();
    let line = match (run.command, run.heredocs.as_slice()) {
        (line, []) => line,
        (CommandLine::Shell(text), documents) => {
            if let Some(summary) = lone(&text, documents).map(|document| summary(&document.content)) {
                shown = format!("{shown} ({summary})");
            }
            CommandLine::Shell(with_documents(&text, documents, &mut files))
        }
        (CommandLine::Exec(words), _) => {
            return Err(refused(
                &format!("parsing produced an invalid run command: {words:?}"),
                one.lines,
            ));
        }
    };
    let config = &work.evaluated.image.config;
    let arguments = change::words(line, &config.shell);
    let scope = &work.evaluated.scope;
    let mut environment = scope.environment();
    if scope.get("PATH").is_none() {
        environment.push(DEFAULT_PATH.to_owned());
    }
    let mut told = String::from("RUN ");
    if let Some(declared) = scope.told() {
        told.push_str(&declared);
        told.push(' ');
    }
    told.push_str(&arguments.join(" "));
    told.push_str(" # buildkit");
    let planned = PlannedRun {
        arguments,
        proxies: work.plan.globals.proxies(),
        environment,
        hostname: work
            .plan
            .globals
            .given(HOSTNAME)
            .filter(|name| !name.is_empty())
            .cloned(),
        user: config.user.clone(),
        working_dir: change::directory("/", &config.working_dir),
        files,
        mounts,
        network: run.network,
        security: run.security,
    };
    work.step(one, Action::Run(Box::new(planned)), &shown, told);
    Ok(())
}

/// Returns the here-document that is all of the command.
fn lone<'a>(text: &str, documents: &'a [Heredoc]) -> Option<&'a Heredoc> {
    let [document] = documents else { return None };
    let digits = text.trim().trim_start_matches(|each: char| each.is_ascii_digit());
    let word = digits.strip_prefix("<<")?;
    let word = word.strip_prefix('-').unwrap_or(word).replace(['"', '\''], "");
    (word == document.name).then_some(document)
}

/// Puts documents where the shell finds them: behind the command, or in place of it when it is nothing else. A document that names its
/// interpreter becomes a file.
fn with_documents(text: &str, documents: &[Heredoc], files: &mut Vec<RunFile>) -> String {
    match lone(text, documents) {
        Some(document) if document.content.starts_with("#!") => {
            let path = format!("{SCRIPTS}/{}", document.name);
            files.push(RunFile {
                path: path.clone(),
                content: document.content.clone(),
                mode: 0o755,
            });
            path
        }
        Some(document) => document.content.clone(),
        None => documents.iter().fold(text.to_owned(), |whole, document| {
            format!("{whole}\n{}{}", document.content, document.name)
        }),
    }
}

/// Shows a document in a line: all of it if it is one, else its beginning.
fn summary(content: &str) -> String {
    let content = content.trim();
    match content.split_once('\n') {
        None => content.to_owned(),
        Some((first, _)) => format!("{first}..."),
    }
}
