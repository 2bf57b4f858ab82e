// SPDX-License-Identifier: MIT
//! `hb up`, `hb project up`: opens a project, builds what has to be built, and has the daemon make and start what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::sync::mpsc::{Sender, channel};

use clap::Args;
use hyperbox_client::{Client, Messages};
use hyperbox_project::detect::explain;
use hyperbox_project::plan::with_dependencies;
use hyperbox_types::project::{ProjectEvent, ProjectUp, PullPolicy, RecreatePolicy};

use super::watch::{Source, again};
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::project::attached::{Attached, Happening, Wishes};
use crate::project::building::{self, BuildOptions};
use crate::project::{
    Colours, LinePrinter, Opened, ProjectOptions, credentials, following, open_and_up, progress, send,
};
use crate::watching::{self, Watched};

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    project: ProjectOptions,
    #[command(flatten)]
    wanted: Wanted,
    /// Stop all containers when one ends; its exit code counts
    #[arg(long, conflicts_with = "detach")]
    abort_on_container_exit: bool,
    /// Run in the background
    #[arg(short, long)]
    detach: bool,
    /// Show what the folder is taken for and why, and do nothing
    #[arg(long)]
    explain: bool,
    /// Return the exit code of this service's container; implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE", conflicts_with = "detach")]
    exit_code_from: Option<String>,
    /// Show no output of this service (repeatable)
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,
    /// Show names without colours
    #[arg(long)]
    no_color: bool,
    /// Show output without names
    #[arg(long)]
    no_log_prefix: bool,
    /// Watch files, and rebuild or refresh containers when they change
    #[arg(short, long, conflicts_with = "detach")]
    watch: bool,
    #[arg(hide = true)]
    services: Vec<String>,
}

/// What is wanted of a project, for all commands that bring one up.
#[derive(Debug, Default, Args)]
pub(crate) struct Wanted {
    /// Recreate what the named services depend on, even if nothing has changed
    #[arg(long, conflicts_with = "no_recreate")]
    always_recreate_deps: bool,
    /// Build images before starting containers
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Recreate containers even if nothing has changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// Tell each event as a line of JSON on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// Build no image, even if it is missing
    #[arg(long)]
    no_build: bool,
    /// Do not start what services depend on
    #[arg(long)]
    no_deps: bool,
    /// Leave containers that exist as they are
    #[arg(long)]
    no_recreate: bool,
    /// Create containers without starting them
    #[arg(long)]
    no_start: bool,
    /// Pull images: `always`, `missing` or `never`
    #[arg(long, value_name = "POLICY", value_parser = pull_policy)]
    pull: Option<PullPolicy>,
    /// Show no progress
    #[arg(short, long, alias = "quiet-pull")]
    quiet: bool,
    /// Take other ports of this machine where somebody else has those of the files
    #[arg(long)]
    remap: bool,
    /// Remove containers of services that the files do not have
    #[arg(long)]
    remove_orphans: bool,
    /// Give containers new anonymous volumes
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
    /// Run so many containers of a service, whatever the files say (repeatable)
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = scale)]
    scale: Vec<(String, u32)>,
    /// Seconds that containers get to stop
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<i64>,
    /// Return when services run or are healthy; implies --detach
    #[arg(long)]
    wait: bool,
    /// Give up waiting after so many seconds
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
}

pub(crate) const SPEC: Spec = spec!(
    UpArgs,
    run,
    ["up"],
    "Build and start the project of the folder",
    "[OPTIONS] [SERVICE...]"
);

fn pull_policy(text: &str) -> Result<PullPolicy, String> {
    match text {
        "always" => Ok(PullPolicy::Always),
        "missing" => Ok(PullPolicy::Missing),
        "never" => Ok(PullPolicy::Never),
        _ => Err("must be always, missing or never".to_owned()),
    }
}

fn scale(text: &str) -> Result<(String, u32), String> {
    let (service, number) = text
        .split_once('=')
        .filter(|(service, _)| !service.is_empty())
        .ok_or("must be SERVICE=NUMBER")?;
    let number = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    Ok((service.to_owned(), number))
}

impl Wanted {
    /// As the daemon takes it.
    pub(super) fn request(&self, services: &[String]) -> ProjectUp {
        ProjectUp {
            services: services.to_vec(),
            no_deps: self.no_deps,
            scale: self.scale.iter().cloned().collect(),
            project: None,
            recreate: match (self.force_recreate, self.no_recreate) {
                (true, _) => RecreatePolicy::Always,
                (_, true) => RecreatePolicy::Never,
                _ => RecreatePolicy::Changed,
            },
            always_recreate_deps: self.always_recreate_deps,
            renew_anonymous_volumes: self.renew_anon_volumes,
            remove_orphans: self.remove_orphans,
            no_start: self.no_start,
            pull: self.pull,
            remap: self.remap,
            timeout: self.timeout,
            wait: self.wait,
            wait_timeout: self.wait_timeout,
        }
    }

    fn style(&self) -> progress::Style {
        progress::Style::choose(self.json, self.quiet)
    }
}

fn run(context: &Context, arguments: UpArgs) -> Outcome {
    if arguments.explain {
        let opened = super::explained(context, &arguments.project)?;
        context.print(explanation(&opened).trim_end())?;
        return Ok(0);
    }
    let (opened, watched) = if arguments.watch {
        let (opened, sources) = super::opened_with_sources(context, &arguments.project)?;
        // Whoever does not watch does not pay for finding out what to watch, and nothing is begun that could not be watched.
        let rules = watching::Rules::of(&opened, &arguments.services)?;
        let watched = Watched {
            opened: opened.clone(),
            sources,
            rules,
        };
        (opened, Some(watched))
    } else {
        (super::opened(context, &arguments.project)?, None)
    };
    let client = context.client()?;
    let request = arguments.wanted.request(&arguments.services);
    let in_background = arguments.detach || request.wait || request.no_start || arguments.wanted.json;
    let builds = !arguments.wanted.no_build && !to_build(&opened, &request)?.is_empty();
    if in_background && !builds && !arguments.wanted.dry_run {
        let events = open_and_up(context, &client, &opened, &request)?;
        show_run(context, &client, &opened.name, &arguments.wanted, events)?;
        // The program ends: giving the memory back bit by bit costs time only.
        std::mem::forget(opened);
        return Ok(0);
    }
    send(context, &client, &opened)?;
    if arguments.wanted.dry_run {
        return dry_run(context, &client, &opened, &arguments.wanted, &request);
    }
    prepare(context, &client, &opened, &arguments.wanted, &request)?;
    if in_background {
        raise(context, &client, &opened, &arguments.wanted, &request)?;
        return Ok(0);
    }
    attach(context, &client, &opened, watched, &arguments, &request)
}

/// What a project was taken for.
pub(super) fn explanation(opened: &Opened) -> String {
    match &opened.detection {
        Some(detection) => explain(&opened.directory, detection),
        None => {
            let files: Vec<String> = opened.files.iter().map(|file| file.display().to_string()).collect();
            format!(
                "Folder: {}\nIt is: a Compose project, by {} (named)\n",
                opened.directory.display(),
                files.join(", ")
            )
        }
    }
}

/// Shows what would be done.
pub(super) fn dry_run(
    context: &Context,
    client: &Client,
    opened: &Opened,
    wanted: &Wanted,
    request: &ProjectUp,
) -> Outcome {
    let plan = client.plan_project(&opened.name, request, &credentials(context, opened)?)?;
    if wanted.json {
        let text = serde_json::to_string(&plan).map_err(|error| CliError::from_error(&error))?;
        context.print(&text)?;
        return Ok(0);
    }
    let builds = if wanted.build {
        to_build(opened, request)?
    } else {
        plan.builds.into_iter().collect()
    };
    for service in builds {
        context.print(&format!("build the image of {service}"))?;
    }
    for image in &plan.missing_images {
        context.print(&format!("pull {image}"))?;
    }
    let text = if plan.text.is_empty() {
        "nothing to do"
    } else {
        plan.text.trim_end()
    };
    context.print(text)?;
    Ok(0)
}

/// Builds what has to be built before the daemon can go on.
pub(super) fn prepare(
    context: &Context,
    client: &Client,
    opened: &Opened,
    wanted: &Wanted,
    request: &ProjectUp,
) -> Result<(), CliError> {
    let candidates = to_build(opened, request)?;
    if candidates.is_empty() || wanted.no_build {
        return Ok(());
    }
    let always = |name: &String| {
        let service = opened.model.services.get(name);
        service.is_some_and(|service| service.pull_policy.as_deref() == Some("build"))
    };
    let services: BTreeSet<String> = if wanted.build {
        candidates
    } else {
        let plan = client.plan_project(&opened.name, request, &BTreeMap::new())?;
        let forced = candidates.iter().filter(|name| always(name)).cloned();
        plan.builds.into_iter().chain(forced).collect()
    };
    let options = BuildOptions {
        json: wanted.json,
        quiet: wanted.quiet,
        ..BuildOptions::default()
    };
    if !services.is_empty() {
        building::build(context, client, opened, &services, options)?;
    }
    Ok(())
}

/// The services that take part and are built here.
fn to_build(opened: &Opened, request: &ProjectUp) -> Result<BTreeSet<String>, CliError> {
    let taking_part = if request.no_deps && !request.services.is_empty() {
        request.services.clone()
    } else {
        with_dependencies(&opened.model, &request.services).map_err(|error| CliError::from_error(&error))?
    };
    let built = |name: &String| {
        opened
            .model
            .services
            .get(name)
            .is_some_and(|service| service.build.is_some())
    };
    Ok(taking_part.into_iter().filter(built).collect())
}

/// Brings it up in the background.
pub(super) fn raise(
    context: &Context,
    client: &Client,
    opened: &Opened,
    wanted: &Wanted,
    request: &ProjectUp,
) -> Result<(), CliError> {
    let events = client.up_project(&opened.name, request, &credentials(context, opened)?)?;
    show_run(context, client, &opened.name, wanted, events)
}

/// Shows a run to its end.
fn show_run(
    context: &Context,
    client: &Client,
    name: &str,
    wanted: &Wanted,
    events: Messages<ProjectEvent>,
) -> Result<(), CliError> {
    let style = wanted.style();
    progress::show(name, events, style, |_| Ok(()))?;
    if style == progress::Style::Live {
        show_addresses(context, client, name)?;
    }
    Ok(())
}

/// Tells people where what they started is found.
fn show_addresses(context: &Context, client: &Client, name: &str) -> Result<(), CliError> {
    for service in client.project_status(name)?.services {
        for port in service.containers.iter().flat_map(|container| &container.ports) {
            if let Some(url) = &port.url {
                context.note(&format!("   {}: {url}", service.name));
            }
        }
    }
    Ok(())
}

/// Brings it up in the foreground.
fn attach(
    context: &Context,
    client: &Client,
    opened: &Opened,
    watched: Option<Watched>,
    arguments: &UpArgs,
    request: &ProjectUp,
) -> Outcome {
    let (sender, receiver) = channel();
    let colours = if arguments.no_color || !std::io::stdout().is_terminal() || context.environment("NO_COLOR").is_some()
    {
        Colours::Plain
    } else {
        Colours::Shown
    };
    let wishes = Wishes {
        services: shown_services(opened, arguments)?,
        abort_on_exit: arguments.abort_on_container_exit || arguments.exit_code_from.is_some(),
        exit_code_from: arguments.exit_code_from.clone(),
        stays: arguments.watch,
        timeout: arguments.wanted.timeout,
    };
    following::listen(client, &opened.name, &sender, Happening::Container)?;
    let events = client.up_project(&opened.name, request, &credentials(context, opened)?)?;
    let printer = LinePrinter::new(colours, !arguments.no_log_prefix);
    let mut attached = Attached::new(context, client, &opened.name, wishes, printer, sender.clone());
    if let Some(watched) = watched {
        attached.afterwards = Some(Box::new(move || {
            start_watching(context, watched, arguments, again(request), sender);
        }));
    }
    attached.read_run(events);
    attached.run(&receiver)
}

/// Watches on a thread of its own, which ends with the program.
fn start_watching(
    context: &Context,
    watched: Watched,
    arguments: &UpArgs,
    request: ProjectUp,
    sender: Sender<Happening>,
) {
    let (own, options, services) = (context.another(), arguments.project.clone(), arguments.services.clone());
    let hidden = arguments.no_attach.clone();
    std::thread::spawn(move || {
        let remark = |line: &str| drop(sender.send(Happening::Remark(line.to_owned())));
        let named = services.clone();
        let reread = |opened: &Opened| drop(sender.send(Happening::Services(with_output(opened, &named, &hidden))));
        let source = Source {
            context: &own,
            options,
            services,
            request: Some(request),
            remark: &remark,
            reread: &reread,
        };
        if let Err(error) = watching::watch(&own, watched, &source, &remark) {
            drop(sender.send(Happening::Run(Err(error))));
        }
    });
}

/// The services whose output is shown: those that were named, else all, without those that say `attach: false`.
fn shown_services(opened: &Opened, arguments: &UpArgs) -> Result<BTreeSet<String>, CliError> {
    if let Some(name) = &arguments.exit_code_from
        && !opened.model.services.contains_key(name)
    {
        return Err(CliError::new(format!("no such service: {name}")));
    }
    Ok(with_output(opened, &arguments.services, &arguments.no_attach))
}

/// Those of the services named, or of all, that are not hidden.
fn with_output(opened: &Opened, named: &[String], hidden: &[String]) -> BTreeSet<String> {
    let shown = opened.model.services.iter().filter(|(name, service)| {
        let wanted = named.is_empty() || named.contains(name);
        wanted && service.attach != Some(false) && !hidden.contains(name)
    });
    shown.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_anew() {
        let request = |force_recreate, always_recreate_deps, no_recreate| {
            let wanted = Wanted {
                force_recreate,
                always_recreate_deps,
                no_recreate,
                ..Wanted::default()
            };
            let request = wanted.request(&["web".to_owned()]);
            (request.recreate, request.always_recreate_deps)
        };
        assert_eq!(request(false, false, false), (RecreatePolicy::Changed, false));
        assert_eq!(request(true, false, false), (RecreatePolicy::Always, false));
        assert_eq!(request(false, false, true), (RecreatePolicy::Never, false));
        // Only what the services depend on.
        assert_eq!(request(false, true, false), (RecreatePolicy::Changed, true));
    }
}
