// SPDX-License-Identifier: MIT
//! `hb run`: one request to HyperBox; create, attach, wait and start to an engine that has only Docker's API.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{ArgAction, Args};
use hyperbox_client::model::Container;
use hyperbox_client::{AttachOptions, Client, ClientError, RunSession, WaitCondition};
use hyperbox_types::run::{RunEvent, RunRequest, Streams};
use serde_json::value::RawValue;

use super::{exit_code, image_first, start_code};
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, EXIT_ENGINE, Outcome};
use crate::options::flags::ContainerFlags;
use crate::session::{AttachRemote, DetachKeys, OutputEnd, RunRemote, Session, Wiring, copy_run, copy_upgraded};
use crate::terminal;
use crate::timeline::Timeline;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    flags: ContainerFlags,
    /// Run container in background and print container ID
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Proxy received signals to the process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    sig_proxy: bool,
    /// Print a timeline of the start; with a file, write it there for Perfetto or Chrome's about:tracing, too
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "FILE")]
    trace: Option<Option<PathBuf>>,
}

pub(crate) const SPEC: Spec = spec!(
    RunArgs,
    run,
    ["run"],
    "Create and run a new container from an image",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]"
);

fn run(context: &Context, mut arguments: RunArgs) -> Outcome {
    let mut timeline = Timeline::default();
    timeline.mark("arguments read");
    arguments.detach_keys = context.detach_keys(arguments.detach_keys.take());
    let flags = &arguments.flags;
    let mut container = image_first::request(context, flags)?;
    if arguments.detach {
        if !flags.attach.is_empty() {
            return Err(CliError::new(
                "conflicting options: cannot specify both --attach and --detach",
            ));
        }
        container.attach_stdin = false;
        container.attach_stdout = false;
        container.attach_stderr = false;
        container.stdin_once = false;
    } else if container.attach_stdin && container.tty && !io::stdin().is_terminal() {
        return Err(CliError::new("the input device is not a TTY")
            .with_hint("leave out -t, or give a terminal with a tool such as `script`"));
    }
    if container.tty && io::stdout().is_terminal() {
        container.host_config.console_size = terminal::size().map(|size| [size.rows, size.columns]);
    }
    let keys = match arguments.detach_keys.as_deref() {
        Some(text) if !arguments.detach => {
            DetachKeys::parse(text).map_err(|reason| CliError::new(reason).with_code(EXIT_ENGINE))?
        }
        _ => DetachKeys::default(),
    };
    let client = context.client().map_err(|error| error.with_code(EXIT_ENGINE))?;
    let request = request(&arguments, &container)?;
    let begun = image_first::with_image(context, &client, flags, &container.image, || {
        match client.run(&request) {
            Ok(session) => Ok(Begun::Run(Box::new(session))),
            // Another engine with Docker's API.
            Err(error) if error.is_unknown_route() => create(&client, flags, &request.container),
            Err(error) => Err(error),
        }
    })
    .map_err(|error| error.with_code(EXIT_ENGINE).prefixed())?;
    let job = Job {
        context,
        client: &client,
        arguments: &arguments,
        container: &container,
        keys,
    };
    match begun {
        Begun::Run(session) => {
            timeline.mark("request accepted");
            let outcome = job.on_one_connection(*session, &mut timeline);
            timeline.mark("end heard of");
            job.show(&timeline)?;
            outcome
        }
        Begun::Created { id, warnings } => {
            if arguments.trace.is_some() {
                context.note("WARNING: this engine tells no timeline of a start");
            }
            job.in_steps(&id, &warnings)
        }
    }
}

fn request(arguments: &RunArgs, container: &Container) -> Result<RunRequest, CliError> {
    Ok(RunRequest {
        name: arguments.flags.name.clone(),
        platform: arguments.flags.platform.clone(),
        container: serde_json::value::to_raw_value(container).map_err(|error| CliError::from_error(&error))?,
        attach: Streams {
            stdin: container.attach_stdin,
            stdout: container.attach_stdout,
            stderr: container.attach_stderr,
        },
        terminal: if container.tty { terminal::size() } else { None },
        trace: arguments.trace.is_some(),
    })
}

/// What there is after the first answer.
enum Begun {
    Run(Box<RunSession>),
    Created { id: String, warnings: Vec<String> },
}

fn create(client: &Client, flags: &ContainerFlags, body: &RawValue) -> Result<Begun, ClientError> {
    let created = client.create_container(flags.name.as_deref(), flags.platform.as_deref(), body)?;
    Ok(Begun::Created {
        id: created.id,
        warnings: created.warnings,
    })
}

struct Job<'a> {
    context: &'a Context,
    client: &'a Client,
    arguments: &'a RunArgs,
    container: &'a Container,
    keys: DetachKeys,
}

impl Job<'_> {
    fn wiring(&self) -> Wiring {
        Wiring {
            stdin: self.container.attach_stdin,
            tty: self.container.tty,
            forward_signals: self.arguments.sig_proxy,
        }
    }

    fn created(&self, id: &str, warnings: &[String]) -> Result<(), CliError> {
        for warning in warnings {
            self.context.note(&format!("WARNING: {warning}"));
        }
        image_first::record_id(&self.arguments.flags, id).map_err(|error| error.with_code(EXIT_ENGINE))
    }

    /// Prints the timeline, and writes it, if that is wished.
    fn show(&self, timeline: &Timeline) -> Result<(), CliError> {
        let Some(file) = &self.arguments.trace else {
            return Ok(());
        };
        self.context.note(timeline.text().trim_end());
        let Some(file) = file else { return Ok(()) };
        fs::write(file, timeline.trace_events().to_string()).map_err(|error| {
            CliError::new(format!("cannot write the timeline to {}: {error}", file.display())).with_code(EXIT_ENGINE)
        })
    }

    fn on_one_connection(&self, mut session: RunSession, timeline: &mut Timeline) -> Outcome {
        let detach = self.arguments.detach;
        let traced = self.arguments.trace.is_some();
        let forwarding = if detach {
            None
        } else {
            Some(Session::start(
                self.wiring(),
                self.keys.clone(),
                Box::new(RunRemote(session.writer)),
            )?)
        };
        let (mut id, mut told) = (String::new(), false);
        let end = copy_run(&mut session.reader, |event| {
            match event {
                RunEvent::Created { id: created, warnings } => {
                    created.as_str().clone_into(&mut id);
                    self.created(&id, warnings)?;
                }
                RunEvent::Started => {
                    timeline.mark("start heard of");
                    if detach {
                        told = true;
                        self.context.print(&id)?;
                        return Ok(traced);
                    }
                }
                RunEvent::Traced { marks } => {
                    timeline.hear(marks);
                    return Ok(!detach);
                }
                _ => {}
            }
            Ok(true)
        });
        if detach && !told && !id.is_empty() && matches!(end, Ok(OutputEnd::Failed(_))) {
            // The container is there: as with Docker's command, a script knows what to remove.
            self.context.print(&id)?;
        }
        match end {
            Ok(OutputEnd::Exited(code)) => Ok(exit_code(code.into())),
            Ok(OutputEnd::Failed(error)) => Err(error),
            Ok(OutputEnd::Closed) if detach => Ok(0),
            _ if forwarding.is_some_and(|forwarding| forwarding.is_detached()) => Ok(0),
            Ok(OutputEnd::Closed) => Err(CliError::new(format!(
                "the daemon closed the connection; container {id} may still run"
            ))
            .with_hint("see `hb ps`, and `hb attach` or `hb logs` for its output")
            .with_code(EXIT_ENGINE)),
            Err(error) => Err(error.with_code(EXIT_ENGINE)),
        }
    }

    fn in_steps(&self, id: &str, warnings: &[String]) -> Outcome {
        self.created(id, warnings)?;
        let engine = |error: ClientError| CliError::from(error).with_code(EXIT_ENGINE).prefixed();
        let container = self.container;
        let options = AttachOptions {
            stdin: container.attach_stdin,
            stdout: container.attach_stdout,
            stderr: container.attach_stderr,
            logs: false,
            detach_keys: self.arguments.detach_keys.as_deref(),
        };
        let attached = options.stdin || options.stdout || options.stderr;
        let upgraded = if attached {
            Some(self.client.attach_container(id, options).map_err(engine)?)
        } else {
            None
        };
        let condition = if self.arguments.flags.rm {
            WaitCondition::Removed
        } else {
            WaitCondition::NextExit
        };
        let wait = self.client.wait_container(id, condition).map_err(engine)?;
        if let Err(error) = self.client.start_container(id, None) {
            let code = start_code(&error.to_string());
            if self.arguments.detach {
                self.context.print(id)?;
            }
            if self.arguments.flags.rm {
                // The daemon removes it now; the next container of that name shall find it gone.
                drop(wait.finish());
            }
            return Err(CliError::from(error).with_code(code).prefixed());
        }
        if self.arguments.detach {
            self.context.print(id)?;
            return Ok(0);
        }
        let (reader, writer) = match upgraded {
            Some(upgraded) => (Some(upgraded.reader), Some(upgraded.writer)),
            None => (None, None),
        };
        let remote = AttachRemote {
            writer,
            client: self.client.clone(),
            container: id.to_owned(),
        };
        let session = Session::start(self.wiring(), self.keys.clone(), Box::new(remote))?;
        if let Some(reader) = reader {
            let copied = copy_upgraded(reader, container.tty);
            if session.is_detached() {
                return Ok(0);
            }
            copied?;
        }
        let result = wait.finish().map_err(engine)?;
        if let Some(failure) = result.error.filter(|failure| !failure.message.is_empty()) {
            return Err(CliError::new(failure.message).with_code(EXIT_ENGINE));
        }
        Ok(exit_code(result.status_code))
    }
}
