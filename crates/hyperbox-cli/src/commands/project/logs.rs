// SPDX-License-Identifier: MIT
//! `hb project logs`: output of all containers of a project, each line with its container in front.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::channel;

use clap::Args;
use hyperbox_client::LogOptions;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options::timestamp;
use crate::project::following::{self, From, Member, Told};
use crate::project::{Colours, LinePrinter, ProjectOptions};

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Compose configuration files [default: those of the folder, or of the nearest one above it]
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Project name [default: that of the files, or the folder's]
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
    /// Follow log output until all containers have ended
    #[arg(short, long)]
    follow: bool,
    /// Show names without colours
    #[arg(long)]
    no_color: bool,
    /// Show output without names
    #[arg(long)]
    no_log_prefix: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Number of lines to show from the end of each container's log
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all")]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[arg(hide = true)]
    services: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    LogsArgs,
    run,
    ["logs"],
    "Show the output of the project's containers",
    "[OPTIONS] [SERVICE...]"
);

fn run(context: &Context, arguments: LogsArgs) -> Outcome {
    let options = ProjectOptions {
        file: arguments.file.clone(),
        project_name: arguments.project_name.clone(),
        ..ProjectOptions::default()
    };
    let name = super::name(context, &options)?;
    let log = log_options(&arguments)?;
    let client = context.client()?;
    let status = client.project_status(&name)?;
    let known: BTreeSet<&str> = status.services.iter().map(|service| service.name.as_str()).collect();
    if let Some(unknown) = arguments
        .services
        .iter()
        .find(|service| !known.contains(service.as_str()))
    {
        return Err(CliError::new(format!("{name}: no such service: {unknown}")));
    }
    let wanted = |service: &str| arguments.services.is_empty() || arguments.services.iter().any(|name| name == service);
    let plain = arguments.no_color || !io::stdout().is_terminal() || context.environment("NO_COLOR").is_some();
    let colours = if plain { Colours::Plain } else { Colours::Shown };
    let mut printer = LinePrinter::new(colours, !arguments.no_log_prefix);
    let (sender, receiver) = channel();
    if arguments.follow {
        following::listen(&client, &name, &sender, |told| told)?;
    }
    let mut members = Vec::new();
    for service in status.services.iter().filter(|service| wanted(&service.name)) {
        for container in &service.containers {
            members.push(Member::new(&name, &container.id, &container.name, &service.name));
        }
    }
    let mut open = members.len();
    for member in &members {
        printer.announce(&member.name);
        following::follow(&client, member, From::Asked(log.clone()), &sender, |told| told);
    }
    if open == 0 {
        return Ok(0);
    }
    for told in &receiver {
        match told {
            Told::Output { name, is_error, bytes } => {
                printer.output(&name, is_error, &bytes, &mut io::stdout().lock())?;
            }
            // A container that is started while its log is followed goes on with a new part of it.
            Told::Started(member) if wanted(&member.service) => {
                open += 1;
                following::follow(&client, &member, From::ThisRun, &sender, |told| told);
            }
            Told::Died { member, code } if wanted(&member.service) => {
                let text = format!("exited with code {code}");
                printer.remark(&member.name, &text, &mut io::stdout().lock())?;
            }
            Told::Started(_) | Told::Died { .. } => {}
            Told::Lost => return Err(following::lost()),
            Told::LogEnded { id } => {
                if let Some(member) = members.iter().find(|member| member.id == id) {
                    printer.end(&member.name, &mut io::stdout().lock())?;
                }
                open = open.saturating_sub(1);
                if open == 0 {
                    break;
                }
            }
        }
    }
    Ok(0)
}

fn log_options(arguments: &LogsArgs) -> Result<LogOptions, CliError> {
    let point = |flag: &str, text: Option<&str>| {
        text.map(|text| timestamp(text, Timestamp::now(), &TimeZone::system()))
            .transpose()
            .map_err(|reason| CliError::new(format!("invalid value for {flag:?}: {reason}")))
    };
    Ok(LogOptions {
        follow: arguments.follow,
        timestamps: arguments.timestamps,
        details: false,
        tail: Some(arguments.tail.clone()),
        since: point("since", arguments.since.as_deref())?,
        until: point("until", arguments.until.as_deref())?,
    })
}
