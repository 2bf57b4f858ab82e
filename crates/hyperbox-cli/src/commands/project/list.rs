// SPDX-License-Identifier: MIT
//! `hb project list`: all projects of the daemon; those whose folder is gone are marked.

use std::path::Path;

use clap::Args;
use hyperbox_types::project::{ProjectState, ProjectSummary};

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::{List, natural};
use crate::template::Value;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// All as one JSON document
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Only display names
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) const SPEC: Spec = spec!(ListArgs, run, ["list", "ls"], "List projects", "[OPTIONS]");

const LIST: List = List {
    row: "{{.Name}}\t{{.State}}\t{{.Ports}}\t{{.Directory}}",
    quiet: "{{.Name}}",
    titles: &[
        ("Name", "NAME"),
        ("State", "STATE"),
        ("Ports", "PORTS"),
        ("Directory", "FOLDER"),
        ("Folder", "FOLDER STATE"),
        ("Machine", "MACHINE"),
        ("Files", "FILES"),
        ("Created", "CREATED"),
        ("Changed", "CHANGED"),
    ],
};

fn run(context: &Context, arguments: ListArgs) -> Outcome {
    show(context, arguments.format, arguments.json, arguments.quiet)
}

/// Shows the list.
pub(super) fn show(context: &Context, format: Option<String>, json: bool, quiet: bool) -> Outcome {
    let mut projects = context.client()?.list_projects()?;
    projects.sort_by(|left, right| natural(&left.name, &right.name));
    if json {
        let text = serde_json::to_string(&projects).map_err(|error| CliError::from_error(&error))?;
        context.print(&text)?;
        return Ok(0);
    }
    let local = context.host()?.socket_path().is_some();
    let rows: Vec<Value> = projects
        .iter()
        .map(|project| row(project, folder(project, local)))
        .collect();
    LIST.print(context, format.as_deref(), quiet, &rows)?;
    let gone: Vec<&str> = projects
        .iter()
        .filter(|project| folder(project, local) == Folder::Gone)
        .map(|project| project.name.as_str())
        .collect();
    if let Some(first) = gone.first() {
        context.note(&format!(
            "{}: the folder is gone; `hb project remove {first}` removes what is left",
            gone.join(", ")
        ));
    }
    Ok(0)
}

/// Whether a project's folder is where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    Present,
    Gone,
    /// It is on another machine, or nobody knows which one it was.
    Elsewhere,
}

/// Looks for a project's folder. Only its own machine can tell.
pub(super) fn folder(project: &ProjectSummary, local: bool) -> Folder {
    let here = match &project.machine {
        None => local,
        Some(machine) => terminal::machine_name().as_ref() == Some(machine),
    };
    match here && !project.directory.is_empty() {
        false => Folder::Elsewhere,
        true if Path::new(&project.directory).is_dir() => Folder::Present,
        true => Folder::Gone,
    }
}

/// What the containers of a project do, in words.
pub(super) fn state(project: &ProjectSummary) -> String {
    match project.state {
        ProjectState::Empty => "no containers".to_owned(),
        ProjectState::Running => format!("running ({})", project.running),
        ProjectState::Partial => format!("partly running ({} of {})", project.running, project.containers),
        ProjectState::Stopped => format!("stopped ({})", project.containers),
    }
}

fn row(project: &ProjectSummary, folder: Folder) -> Value {
    let ports = project
        .ports
        .map_or_else(String::new, |range| format!("{}-{}", range.first, range.last));
    let (mark, word) = match folder {
        Folder::Present => ("", "present"),
        Folder::Gone => (" (gone)", "gone"),
        Folder::Elsewhere => ("", "unknown"),
    };
    let text = |value: &Option<String>| Value::from(value.clone().unwrap_or_default());
    Value::map([
        ("Changed", text(&project.changed)),
        ("Created", text(&project.created)),
        ("Directory", format!("{}{mark}", project.directory).into()),
        ("Files", project.files.join(",").into()),
        ("Folder", word.into()),
        ("Machine", text(&project.machine)),
        ("Name", project.name.as_str().into()),
        ("Ports", ports.into()),
        ("State", state(project).into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(directory: &str, machine: Option<&str>) -> ProjectSummary {
        ProjectSummary {
            name: "p".to_owned(),
            directory: directory.to_owned(),
            files: Vec::new(),
            machine: machine.map(str::to_owned),
            opened: true,
            state: ProjectState::Partial,
            running: 1,
            containers: 2,
            ports: Some(hyperbox_types::project::PortRange {
                first: 10000,
                last: 10999,
            }),
            created: None,
            changed: None,
        }
    }

    #[test]
    fn folders_that_are_gone() {
        let here = tempfile::tempdir().unwrap();
        let here = here.path().to_str().unwrap();
        for (directory, machine, local, expected) in [
            (here, None, true, Folder::Present),
            ("/no/such/folder", None, true, Folder::Gone),
            ("/no/such/folder", None, false, Folder::Elsewhere),
            ("/no/such/folder", Some("some other machine"), true, Folder::Elsewhere),
            ("", None, true, Folder::Elsewhere),
        ] {
            assert_eq!(folder(&project(directory, machine), local), expected, "{directory}");
        }
    }

    #[test]
    fn rows() {
        let rows = [row(&project("/w/p", None), Folder::Gone)];
        assert_eq!(
            LIST.render(None, false, &rows).unwrap(),
            "NAME      STATE                     PORTS         FOLDER\n\
             p         partly running (1 of 2)   10000-10999   /w/p (gone)\n"
        );
    }
}
