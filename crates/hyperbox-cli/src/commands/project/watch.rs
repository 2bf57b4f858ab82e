// SPDX-License-Identifier: MIT
//! `hb watch`, `hb project watch`: watches files and rebuilds or refreshes containers when they change.

use clap::Args;

use hyperbox_types::project::{ProjectEvent, ProjectUp, RecreatePolicy};

use super::up::{Wanted, prepare, raise};
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::project::{Opened, ProjectOptions, credentials, progress, send};
use crate::watching::{self, Reload, Rules, Watched};

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    project: ProjectOptions,
    /// Do not build and start services before watching
    #[arg(long)]
    no_up: bool,
    #[arg(hide = true)]
    services: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    WatchArgs,
    run,
    ["watch"],
    "Watch files, and rebuild or refresh containers when they change",
    "[OPTIONS] [SERVICE...]"
);

/// A project that is watched by commands: where it is, and what is wanted of it.
pub(super) struct Source<'a> {
    pub(super) context: &'a Context,
    pub(super) options: ProjectOptions,
    pub(super) services: Vec<String>,
    /// What is asked of the daemon when the project's files have changed; nothing when services are not to be brought up.
    pub(super) request: Option<ProjectUp>,
    pub(super) remark: &'a dyn Fn(&str),
    /// Hears what the project is from now on, before it is brought up.
    pub(super) reread: &'a dyn Fn(&Opened),
}

impl Reload for Source<'_> {
    fn read(&self) -> Result<Watched, CliError> {
        let (opened, sources) = super::opened_with_sources(self.context, &self.options)?;
        Ok(Watched {
            rules: Rules::all(&opened, &self.services)?,
            opened,
            sources,
        })
    }

    fn apply(&self, opened: &Opened) -> Result<(), CliError> {
        (self.reread)(opened);
        let Some(request) = &self.request else { return Ok(()) };
        let client = self.context.client()?;
        send(self.context, &client, opened)?;
        prepare(self.context, &client, opened, &Wanted::default(), request)?;
        let events = client.up_project(&opened.name, request, &credentials(self.context, opened)?)?;
        let told = |event: &ProjectEvent| {
            if let (ProjectEvent::Operation { .. } | ProjectEvent::Note { .. }, Some(line)) =
                (event, progress::line_of(event))
            {
                (self.remark)(&line);
            }
            Ok(())
        };
        let summary = progress::show(&opened.name, events, progress::Style::Quiet, told)?;
        (self.remark)(&progress::summary_line(&opened.name, summary));
        Ok(())
    }
}

/// What is asked again and again: only what is different changes, and nobody waits.
pub(super) fn again(request: &ProjectUp) -> ProjectUp {
    ProjectUp {
        recreate: RecreatePolicy::Changed,
        always_recreate_deps: false,
        wait: false,
        ..request.clone()
    }
}

fn run(context: &Context, arguments: WatchArgs) -> Outcome {
    let (opened, sources) = super::opened_with_sources(context, &arguments.project)?;
    let rules = Rules::of(&opened, &arguments.services)?;
    let client = context.client()?;
    send(context, &client, &opened)?;
    let wanted = Wanted::default();
    let request = wanted.request(&arguments.services);
    if !arguments.no_up {
        prepare(context, &client, &opened, &wanted, &request)?;
        raise(context, &client, &opened, &wanted, &request)?;
    }
    let remark = |line: &str| context.note(line);
    let source = Source {
        context,
        options: arguments.project,
        services: arguments.services,
        request: (!arguments.no_up).then(|| again(&request)),
        remark: &remark,
        reread: &|_| {},
    };
    let watched = Watched { opened, sources, rules };
    watching::watch(context, watched, &source, &remark)?;
    Ok(0)
}
