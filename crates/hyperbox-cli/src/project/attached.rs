// SPDX-License-Identifier: MIT
//! `hb up` in the foreground: the run, the output of the containers, their ends, the user's interrupts, and what watching tells, in one loop.
//!
//! The first interrupt stops the project, the second one kills it. An interrupt while the run goes on ends the program, which cancels the run.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use hyperbox_client::{Client, Messages, ServiceVerb};
use hyperbox_types::project::{OperationPhase, ProjectEvent, ProjectServices};

use super::following::{self, From, Member, Told, lost};
use super::lines::LinePrinter;
use super::progress::{broken, gone, line_of, summary_line};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::terminal;

/// The exit code of what an interrupt ended: 128 and the number of SIGINT, as shells count.
const EXIT_INTERRUPTED: u8 = 130;
/// How long the last output of containers that were stopped is waited for.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// What comes in.
#[derive(Debug)]
pub(crate) enum Happening {
    /// Of the run.
    Run(Result<ProjectEvent, CliError>),
    /// The run's stream is over.
    RunEnded,
    /// Of containers.
    Container(Told),
    /// The user pressed Ctrl-C.
    Interrupted,
    /// Of stopping; the end of it when there is none.
    Stopping(Option<ProjectEvent>),
    /// Of watching: a line for the user.
    Remark(String),
    /// Of watching: the project was read again, and the output of these services is shown from now on.
    Services(BTreeSet<String>),
}

/// What is shown, and what ends it.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Services whose output is shown.
    pub(crate) services: BTreeSet<String>,
    /// Whether the end of any container stops the project.
    pub(crate) abort_on_exit: bool,
    /// The service whose exit code counts.
    pub(crate) exit_code_from: Option<String>,
    /// Whether it goes on when nothing runs, since files are watched.
    pub(crate) stays: bool,
    /// Seconds that containers get to stop.
    pub(crate) timeout: Option<i64>,
}

/// What is known of a container that is shown.
#[derive(Debug, Default)]
struct Shown {
    name: String,
    running: bool,
    log_open: bool,
    /// How it ended, until that is told.
    ended: Option<i64>,
}

pub(crate) struct Attached<'a> {
    pub(crate) context: &'a Context,
    pub(crate) client: &'a Client,
    pub(crate) project: &'a str,
    pub(crate) wishes: Wishes,
    pub(crate) printer: LinePrinter,
    pub(crate) sender: Sender<Happening>,
    /// What begins when the run is done, such as watching.
    pub(crate) afterwards: Option<Box<dyn FnOnce() + 'a>>,
    shown: BTreeMap<String, Shown>,
    /// Containers that the run has started, and those whose start was told as an event: each comes by a way of its own.
    started: BTreeSet<String>,
    seen: BTreeSet<String>,
    run_done: bool,
    /// Whether the end of a container is to stop the project.
    aborts: bool,
    /// Whether stopping is over.
    stopped: bool,
    interrupts: usize,
    exit_code: u8,
}

impl<'a> Attached<'a> {
    pub(crate) fn new(
        context: &'a Context,
        client: &'a Client,
        project: &'a str,
        wishes: Wishes,
        printer: LinePrinter,
        sender: Sender<Happening>,
    ) -> Self {
        Self {
            context,
            client,
            project,
            wishes,
            printer,
            sender,
            afterwards: None,
            shown: BTreeMap::new(),
            started: BTreeSet::new(),
            seen: BTreeSet::new(),
            run_done: false,
            aborts: false,
            stopped: false,
            interrupts: 0,
            exit_code: 0,
        }
    }

    /// Reads a run on a thread of its own.
    pub(crate) fn read_run(&self, messages: Messages<ProjectEvent>) {
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            for event in messages {
                if sender.send(Happening::Run(event.map_err(broken))).is_err() {
                    return;
                }
            }
            drop(sender.send(Happening::RunEnded));
        });
    }

    /// Goes on until everything has ended, or the user wants it to.
    ///
    /// # Errors
    /// Why the run, or stopping, failed.
    pub(crate) fn run(mut self, receiver: &Receiver<Happening>) -> Outcome {
        let sender = self.sender.clone();
        terminal::watch_interrupts(move || drop(sender.send(Happening::Interrupted)))?;
        loop {
            let Some(happening) = self.next(receiver)? else {
                self.rest()?;
                return Ok(self.exit_code);
            };
            match happening {
                Happening::Run(event) => self.run_event(&event?)?,
                Happening::RunEnded if !self.run_done => {
                    return Err(gone());
                }
                Happening::RunEnded => {}
                Happening::Container(told) => self.container(told)?,
                Happening::Interrupted if !self.run_done => return Err(CliError::silent(EXIT_INTERRUPTED)),
                Happening::Interrupted => self.interrupted(),
                Happening::Stopping(Some(event)) => self.stop_event(&event),
                Happening::Stopping(None) => self.stopped = true,
                Happening::Remark(line) => self.context.note(&line),
                Happening::Services(services) => self.wishes.services = services,
            }
            if self.is_over() {
                return Ok(self.exit_code);
            }
        }
    }

    /// What comes next; nothing when all was stopped and no output follows any more.
    fn next(&self, receiver: &Receiver<Happening>) -> Result<Option<Happening>, CliError> {
        if !self.stopped {
            let happening = receiver.recv();
            return happening
                .map(Some)
                .map_err(|_| CliError::new("nothing is left to wait for"));
        }
        Ok(receiver.recv_timeout(LAST_OUTPUT).ok())
    }

    /// Whether everything has ended and all of it was shown.
    fn is_over(&self) -> bool {
        let quiet = self.shown.values().all(|shown| !shown.running && !shown.log_open);
        let asked_to_stay = self.wishes.stays || self.interrupts > 0;
        let all_told = self.started.is_subset(&self.seen);
        quiet && all_told && self.run_done && (self.stopped || !asked_to_stay)
    }

    fn run_event(&mut self, event: &ProjectEvent) -> Result<(), CliError> {
        if let Some(line) = line_of(event) {
            self.context.note(&line);
        }
        match event {
            ProjectEvent::Operation {
                text,
                phase: OperationPhase::Done,
                ..
            } => {
                let name = text.strip_prefix("start ");
                self.started
                    .extend(name.map(|name| Member::new(self.project, "", name, "").name));
                Ok(())
            }
            ProjectEvent::Done { summary } => {
                self.context.note(&summary_line(self.project, *summary));
                self.run_done = true;
                self.attach_to_running()?;
                self.abort_if_wanted();
                if let Some(begin) = self.afterwards.take() {
                    begin();
                }
                Ok(())
            }
            ProjectEvent::Failed { message, hint, .. } => {
                let error = CliError::new(message.clone());
                Err(match hint {
                    Some(hint) => error.with_hint(hint.0.clone()),
                    None => error,
                })
            }
            _ => Ok(()),
        }
    }

    /// Follows what ran before this run, from now on.
    fn attach_to_running(&mut self) -> Result<(), CliError> {
        let status = self.client.project_status(self.project)?;
        for service in &status.services {
            for container in &service.containers {
                let member = Member::new(self.project, &container.id, &container.name, &service.name);
                let runs = matches!(container.state.as_str(), "running" | "paused" | "restarting");
                if runs && self.wishes.services.contains(&member.service) && !self.shown.contains_key(&member.id) {
                    self.follow(&member, From::Now);
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, member: &Member, from: From) {
        self.printer.announce(&member.name);
        let shown = self.shown.entry(member.id.clone()).or_default();
        shown.name.clone_from(&member.name);
        shown.running = true;
        shown.log_open = true;
        shown.ended = None;
        following::follow(self.client, member, from, &self.sender, Happening::Container);
    }

    fn container(&mut self, told: Told) -> Result<(), CliError> {
        match told {
            Told::Output { name, is_error, bytes } => {
                self.printer.output(&name, is_error, &bytes, &mut io::stdout().lock())?;
            }
            Told::Started(member) => {
                self.seen.insert(member.name.clone());
                if self.wishes.services.contains(&member.service) {
                    self.follow(&member, From::ThisRun);
                }
            }
            Told::LogEnded { id } => {
                if let Some(shown) = self.shown.get_mut(&id) {
                    shown.log_open = false;
                }
                self.tell_end(&id)?;
            }
            Told::Died { member, code } => self.died(&member, code)?,
            // All that is left to come is output.
            Told::Lost if self.stopped => {}
            Told::Lost => return Err(lost()),
        }
        Ok(())
    }

    fn died(&mut self, member: &Member, code: i64) -> Result<(), CliError> {
        let restarts = self
            .client
            .container_state(&member.id)
            .is_ok_and(|container| container.state.running || container.state.restarting);
        if let Some(shown) = self.shown.get_mut(&member.id) {
            shown.running = restarts;
            shown.ended = Some(code);
        }
        self.tell_end(&member.id)?;
        let first = !self.aborts && self.interrupts == 0;
        let counts = match &self.wishes.exit_code_from {
            Some(service) => *service == member.service,
            None => self.wishes.abort_on_exit && first,
        };
        if counts {
            self.exit_code = u8::try_from(code & 0xff).unwrap_or(u8::MAX);
        }
        self.aborts |= self.wishes.abort_on_exit && !restarts;
        self.abort_if_wanted();
        Ok(())
    }

    /// Stops the project because a container has ended; a run that goes on comes to its end first.
    fn abort_if_wanted(&mut self) {
        if self.aborts && self.run_done && self.interrupts == 0 {
            self.context.note("Aborting on container exit...");
            self.interrupts = 1;
            self.stop(ServiceVerb::Stop);
        }
    }

    /// Says how a container ended, once its output is complete.
    fn tell_end(&mut self, id: &str) -> Result<(), CliError> {
        let Some(shown) = self.shown.get_mut(id).filter(|shown| !shown.log_open) else {
            return Ok(());
        };
        if let Some(code) = shown.ended.take() {
            let text = format!("exited with code {code}");
            self.printer.remark(&shown.name, &text, &mut io::stdout().lock())?;
        }
        Ok(())
    }

    fn interrupted(&mut self) {
        self.interrupts += 1;
        self.exit_code = EXIT_INTERRUPTED;
        match self.interrupts {
            1 => {
                self.context
                    .note("Gracefully stopping... (press Ctrl+C again to force)");
                self.stop(ServiceVerb::Stop);
            }
            2 => self.stop(ServiceVerb::Kill),
            _ => {}
        }
    }

    /// Stops the project on a thread of its own; output goes on meanwhile.
    fn stop(&self, verb: ServiceVerb) {
        let (client, project, sender) = (self.client.clone(), self.project.to_owned(), self.sender.clone());
        let services = ProjectServices {
            timeout: self.wishes.timeout,
            ..ProjectServices::default()
        };
        std::thread::spawn(move || {
            let failed = |error: CliError| Happening::Run(Err(error));
            match client.project_services(&project, verb, &services) {
                Err(error) => drop(sender.send(failed(error.into()))),
                Ok(events) => {
                    for event in events.map_while(Result::ok) {
                        drop(sender.send(Happening::Stopping(Some(event))));
                    }
                    drop(sender.send(Happening::Stopping(None)));
                }
            }
        });
    }

    fn stop_event(&self, event: &ProjectEvent) {
        match event {
            ProjectEvent::Failed { message, .. } => self.context.note(&format!("hb: {message}")),
            other => {
                if let Some(line) = line_of(other) {
                    self.context.note(&line);
                }
            }
        }
    }

    /// Writes lines that have no end yet.
    fn rest(&mut self) -> Result<(), CliError> {
        let names: Vec<String> = self.shown.values().map(|shown| shown.name.clone()).collect();
        for name in names {
            self.printer.end(&name, &mut io::stdout().lock())?;
        }
        Ok(())
    }
}
