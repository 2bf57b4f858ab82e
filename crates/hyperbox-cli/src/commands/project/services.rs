// SPDX-License-Identifier: MIT
//! `hb project start|stop|restart|kill|pause|unpause`: what is done to containers that exist.

use clap::Args;
use hyperbox_client::ServiceVerb;
use hyperbox_types::project::ProjectServices;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::project::{ProjectOptions, progress};

/// What all of them take.
#[derive(Debug, Args)]
pub(crate) struct ServicesArgs {
    #[command(flatten)]
    project: ProjectOptions,
    /// Tell each event as a line of JSON on standard output
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    services: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    services: ServicesArgs,
    /// Return when services run or are healthy
    #[arg(long)]
    wait: bool,
    /// Give up waiting after so many seconds
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    services: ServicesArgs,
    /// Seconds that containers get to stop
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    services: ServicesArgs,
    /// Leave alone what depends on the services
    #[arg(long)]
    no_deps: bool,
    /// Seconds that containers get to stop
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    #[command(flatten)]
    services: ServicesArgs,
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,
}

pub(crate) const START: Spec = spec!(
    StartArgs,
    start,
    ["start"],
    "Start containers of the project that exist",
    "[OPTIONS] [SERVICE...]"
);
pub(crate) const STOP: Spec = spec!(
    StopArgs,
    stop,
    ["stop"],
    "Stop the project and keep its containers",
    "[OPTIONS] [SERVICE...]"
);
pub(crate) const RESTART: Spec = spec!(
    RestartArgs,
    restart,
    ["restart"],
    "Stop containers of the project and start them again",
    "[OPTIONS] [SERVICE...]"
);
pub(crate) const KILL: Spec = spec!(
    KillArgs,
    kill,
    ["kill"],
    "Send a signal to containers of the project",
    "[OPTIONS] [SERVICE...]"
);
pub(crate) const PAUSE: Spec = spec!(
    ServicesArgs,
    pause,
    ["pause"],
    "Freeze containers of the project",
    "[OPTIONS] [SERVICE...]"
);
pub(crate) const UNPAUSE: Spec = spec!(
    ServicesArgs,
    unpause,
    ["unpause"],
    "Let frozen containers of the project go on",
    "[OPTIONS] [SERVICE...]"
);

fn start(context: &Context, arguments: StartArgs) -> Outcome {
    let request = ProjectServices {
        wait: arguments.wait,
        wait_timeout: arguments.wait_timeout,
        ..ProjectServices::default()
    };
    run(context, arguments.services, ServiceVerb::Start, request)
}

fn stop(context: &Context, arguments: StopArgs) -> Outcome {
    let request = ProjectServices {
        timeout: arguments.timeout,
        ..ProjectServices::default()
    };
    run(context, arguments.services, ServiceVerb::Stop, request)
}

fn restart(context: &Context, arguments: RestartArgs) -> Outcome {
    let request = ProjectServices {
        no_deps: arguments.no_deps,
        timeout: arguments.timeout,
        ..ProjectServices::default()
    };
    run(context, arguments.services, ServiceVerb::Restart, request)
}

fn kill(context: &Context, arguments: KillArgs) -> Outcome {
    let request = ProjectServices {
        signal: Some(arguments.signal),
        ..ProjectServices::default()
    };
    run(context, arguments.services, ServiceVerb::Kill, request)
}

fn pause(context: &Context, arguments: ServicesArgs) -> Outcome {
    run(context, arguments, ServiceVerb::Pause, ProjectServices::default())
}

fn unpause(context: &Context, arguments: ServicesArgs) -> Outcome {
    run(context, arguments, ServiceVerb::Unpause, ProjectServices::default())
}

fn run(context: &Context, arguments: ServicesArgs, verb: ServiceVerb, mut request: ProjectServices) -> Outcome {
    let name = super::name(context, &arguments.project)?;
    request.services = arguments.services;
    let events = context.client()?.project_services(&name, verb, &request)?;
    let style = progress::Style::choose(arguments.json, arguments.quiet);
    progress::show(&name, events, style, |_| Ok(()))?;
    Ok(0)
}
