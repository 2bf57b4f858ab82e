// SPDX-License-Identifier: MIT
//! The actor of one container: the only one who changes it.
//!
//! It takes commands, the end of the process and timers, asks [`lifecycle::step`](super::lifecycle) what they mean, performs the
//! actions in order and publishes a new snapshot. It runs until the container is removed; when the daemon ends it just stops, since
//! nothing of the container depends on it.
//!
//! Crash behaviour: a record is written before anyone is told of a change; what happens between the change of the world and the
//! record (a launch, an exit) is found again by `restore.rs` from what the task runtime knows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::shim::ExitRecord;
use hyperbox_types::{ContainerName, Signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use super::lifecycle::{self, Action, Event, Life, Refusal, Rules};
use super::operations::UpdateOptions;
use super::removal::RemoveOptions;
use super::service::Inner;
use super::table::Handle;
use super::wait::Snapshot;
use super::{ContainerRecord, HealthState, Phase};
use crate::seam::{AttachIo, Change, PendingAttach, Table, Task, TaskStatus};
use crate::time::Timestamp;
use crate::{Result, ServiceError, failpoint};

/// How long `stop` waits when nobody said otherwise.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// How to stop a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StopOptions {
    /// The polite signal; the container's when unset.
    pub signal: Option<Signal>,
    /// How long to wait before `SIGKILL`; the container's when unset, for ever when [`Duration::MAX`].
    pub timeout: Option<Duration>,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// What an actor can be asked.
pub(super) enum Command {
    Start {
        reply: Reply<()>,
    },
    Stop {
        options: StopOptions,
        reply: Reply<()>,
    },
    Restart {
        options: StopOptions,
        reply: Reply<()>,
    },
    Kill {
        signal: Signal,
        reply: Reply<()>,
    },
    Pause {
        reply: Reply<()>,
    },
    Unpause {
        reply: Reply<()>,
    },
    Rename {
        name: ContainerName,
        reply: Reply<()>,
    },
    Update {
        options: Box<UpdateOptions>,
        reply: Reply<()>,
    },
    Remove {
        options: RemoveOptions,
        reply: Reply<()>,
    },
    Attach {
        streams: Streams,
        reply: Reply<Box<dyn AttachIo>>,
    },
    Resized(TerminalSize),
    Health(HealthState),
}

/// One container's actor.
pub(super) struct Actor {
    pub(super) inner: Arc<Inner>,
    pub(super) record: ContainerRecord,
    pub(super) life: Life,
    pub(super) task: Option<Arc<dyn Task>>,
    pub(super) status: Option<watch::Receiver<TaskStatus>>,
    pub(super) pending_attaches: Vec<PendingAttach>,
    pub(super) removal: RemoveOptions,
    /// Size of the terminal for the next launch.
    pub(super) terminal_size: TerminalSize,
    /// Whether the persisted record may still be there.
    pub(super) gone: bool,
    commands: mpsc::Receiver<Command>,
    own_commands: mpsc::WeakSender<Command>,
    snapshot: watch::Sender<Snapshot>,
    patience: Option<Instant>,
    restart: Option<Instant>,
    prober: Option<JoinHandle<()>>,
    starters: Vec<Reply<()>>,
    /// Why the last launch failed, until those who asked for it know.
    launch_error: Option<ServiceError>,
    removers: Vec<Reply<()>>,
}

/// A task that an earlier daemon left running.
pub(super) struct Adopted {
    pub task: Arc<dyn Task>,
}

impl Actor {
    /// Makes the actor of a container and returns how to reach it. It does nothing before it is run.
    pub(super) fn new(inner: Arc<Inner>, record: ContainerRecord) -> (Self, Handle) {
        let (sender, commands) = mpsc::channel(32);
        let first = Snapshot {
            record: Some(Arc::new(record.clone())),
            ..Snapshot::default()
        };
        let (snapshot, receiver) = watch::channel(first);
        let handle = Handle {
            id: record.id.clone(),
            commands: sender.clone(),
            snapshot: receiver,
        };
        let life = Life {
            state: record.state.clone(),
            ..Life::default()
        };
        let actor = Self {
            inner,
            record,
            life,
            task: None,
            status: None,
            pending_attaches: Vec::new(),
            removal: RemoveOptions::default(),
            terminal_size: TerminalSize { rows: 24, columns: 80 },
            gone: false,
            commands,
            own_commands: sender.downgrade(),
            snapshot,
            patience: None,
            restart: None,
            prober: None,
            starters: Vec::new(),
            launch_error: None,
            removers: Vec::new(),
        };
        (actor, handle)
    }

    /// Takes over a task that runs already.
    pub(super) fn adopt(&mut self, adopted: Adopted) {
        self.life.state.pid = adopted.task.pid();
        self.take_task(adopted.task);
        self.start_prober();
        self.refresh();
    }

    pub(super) fn take_task(&mut self, task: Arc<dyn Task>) {
        self.status = Some(task.status());
        self.task = Some(task);
    }

    /// Lives until the container is removed or nobody can ask any more.
    pub(super) async fn run(mut self, first: Option<Event>) {
        if let Some(event) = first {
            self.feed(event).await;
        }
        while !self.gone {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                exit = ended(self.status.as_mut()) => {
                    self.status = None;
                    self.feed(Event::Exited(exit)).await;
                }
                () = until(self.patience) => {
                    self.patience = None;
                    self.feed(Event::PatienceOver).await;
                }
                () = until(self.restart) => {
                    self.restart = None;
                    self.feed(Event::RestartDue).await;
                }
            }
        }
        self.stop_prober();
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Start { reply } => self.begin_start(reply).await,
            Command::Stop { options, reply } => {
                let event = Event::StopRequested {
                    signal: options.signal,
                    patience: self.patience_of(options),
                };
                self.decide(event, reply).await;
            }
            Command::Restart { options, reply } => {
                let event = Event::RestartRequested {
                    signal: options.signal,
                    patience: self.patience_of(options),
                };
                self.decide(event, reply).await;
            }
            Command::Kill { signal, reply } => self.decide(Event::KillRequested { signal }, reply).await,
            Command::Pause { reply } => self.freeze(true, reply).await,
            Command::Unpause { reply } => self.freeze(false, reply).await,
            Command::Rename { name, reply } => answer(reply, self.rename(name)),
            Command::Update { options, reply } => {
                let updated = self.update(*options).await;
                answer(reply, updated);
            }
            Command::Remove { options, reply } => self.begin_removal(options, reply).await,
            Command::Attach { streams, reply } => {
                let attached = self.attach(streams).await;
                answer(reply, attached);
            }
            Command::Resized(size) => self.terminal_size = size,
            Command::Health(health) => self.take_health(health),
        }
    }

    fn patience_of(&self, options: StopOptions) -> Option<Duration> {
        let wish = options
            .timeout
            .or(self.record.spec.stop_timeout)
            .unwrap_or(DEFAULT_PATIENCE);
        (wish != Duration::MAX).then_some(wish)
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            restart: self.record.spec.restart,
            auto_remove: self.record.spec.auto_remove,
            stop_signal: self.record.spec.stop_signal.unwrap_or(Signal::TERM),
        }
    }

    fn step(&mut self, event: Event) -> std::result::Result<Vec<Action>, Refusal> {
        let rules = self.rules();
        lifecycle::step(&mut self.life, rules, event)
    }

    /// Decides on a client's wish and answers before performing what takes long.
    async fn decide(&mut self, event: Event, reply: Reply<()>) {
        match self.step(event) {
            Ok(actions) => {
                answer(reply, Ok(()));
                self.perform(actions).await;
            }
            Err(refusal) => answer(reply, Err(self.refuse(refusal))),
        }
    }

    async fn begin_start(&mut self, reply: Reply<()>) {
        match self.step(Event::StartRequested) {
            Ok(actions) => {
                self.restart = None;
                self.starters.push(reply);
                self.perform(actions).await;
            }
            Err(refusal) => answer(reply, Err(self.refuse(refusal))),
        }
    }

    async fn begin_removal(&mut self, options: RemoveOptions, reply: Reply<()>) {
        match self.step(Event::RemoveRequested { force: options.force }) {
            Ok(actions) => {
                self.removal = options;
                self.removers.push(reply);
                self.perform(actions).await;
            }
            Err(refusal) => answer(reply, Err(self.refuse(refusal))),
        }
    }

    /// Feeds an event that cannot be refused.
    pub(super) async fn feed(&mut self, event: Event) {
        if let Ok(actions) = self.step(event) {
            self.perform(actions).await;
        }
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        let mut queue: VecDeque<Action> = actions.into();
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Launch => {
                    let event = self.launch_and_answer().await;
                    let follow = self.step(event).unwrap_or_default();
                    queue.extend(follow);
                }
                Action::Signal(signal) => self.signal(signal, false).await,
                Action::KillAll => self.signal(Signal::KILL, true).await,
                Action::Thaw => self.thaw().await,
                Action::ArmPatience(duration) => self.patience = Instant::now().checked_add(duration),
                Action::ArmRestart(duration) => self.restart = Some(Instant::now() + duration),
                Action::Persist => self.persist(),
                Action::ReleaseRun => self.release_run().await,
                Action::Publish(action) => self.publish(action),
                Action::AutoRemove => {
                    self.removal = RemoveOptions {
                        force: true,
                        volumes: true,
                    };
                    self.remove().await;
                }
                Action::Remove => self.remove().await,
            }
        }
        self.answer_starters();
    }

    /// Launches and returns what came of it. Those who asked for the start get their answer once the record is written.
    async fn launch_and_answer(&mut self) -> Event {
        match self.launch().await {
            Ok(task) => {
                failpoint!("start.after-launch");
                let pid = task.pid();
                self.take_task(task);
                Event::Launched {
                    pid,
                    at: Timestamp::now(),
                }
            }
            Err(error) => {
                self.snapshot.send_modify(|snapshot| snapshot.ends += 1);
                let exit_code = match error.command_fault() {
                    Some(hyperbox_types::shim::CommandFault::NotFound) => 127,
                    Some(hyperbox_types::shim::CommandFault::NotExecutable) => 126,
                    None => 128,
                };
                let message = error.message().to_owned();
                self.launch_error = Some(error);
                Event::LaunchFailed {
                    exit_code,
                    error: message,
                }
            }
        }
    }

    fn answer_starters(&mut self) {
        if let Some(error) = self.launch_error.take() {
            let message = error.message().to_owned();
            let mut first = Some(error);
            for reply in self.starters.drain(..) {
                let error = first.take().unwrap_or_else(|| ServiceError::internal(message.clone()));
                answer(reply, Err(error));
            }
        }
        if self.life.state.phase.is_alive() {
            for reply in self.starters.drain(..) {
                answer(reply, Ok(()));
            }
            if self.prober.is_none() {
                self.start_prober();
            }
        }
    }

    fn take_health(&mut self, health: HealthState) {
        if !self.life.state.phase.is_alive() {
            return;
        }
        let changed = self.life.state.health.as_ref().map(|old| old.status) != Some(health.status);
        let status = health.status;
        self.life.state.health = Some(health);
        self.refresh();
        if changed {
            self.persist();
            self.inner
                .publish(format!("health_status: {}", status.as_str()), &self.record, []);
        }
    }

    /// Gives back what a run holds.
    async fn release_run(&mut self) {
        self.task = None;
        self.status = None;
        self.patience = None;
        self.stop_prober();
        if let Err(error) = self.inner.with.tasks.discard(&self.record.id).await {
            warn!(container = %self.record.id, %error, "task remains not discarded");
        }
        let endpoints = std::mem::take(&mut self.life.state.endpoints);
        self.inner.with.networks.release(&self.record.id, &endpoints).await;
    }

    fn start_prober(&mut self) {
        if let (Some(task), Some(sender)) = (self.task.clone(), self.own_commands.upgrade()) {
            self.prober = self.prober_for(task, sender).map(|prober| tokio::spawn(prober.run()));
        }
    }

    fn stop_prober(&mut self) {
        if let Some(prober) = self.prober.take() {
            prober.abort();
        }
    }

    fn persist(&mut self) {
        failpoint!("exit.before-record");
        if let Err(error) = self.try_persist() {
            // The change has happened in the world; the next daemon finds it there.
            warn!(container = %self.record.id, %error, "container record not written");
        }
        failpoint!("exit.after-record");
        self.refresh();
    }

    pub(super) fn try_persist(&mut self) -> Result<()> {
        self.record.state.clone_from(&self.life.state);
        let change = put(&self.record)?;
        self.inner.with.records.apply(&[change]).map_err(|error| {
            ServiceError::from_mechanism(
                format!("cannot record container {}", self.record.name),
                error.kind,
                error,
            )
        })
    }

    /// Shows everybody the present state.
    pub(super) fn refresh(&mut self) {
        self.record.state.clone_from(&self.life.state);
        let record = Arc::new(self.record.clone());
        let task = self.task.clone().filter(|_| self.life.state.phase.is_alive());
        self.snapshot.send_modify(|snapshot| {
            snapshot.record = Some(record);
            snapshot.task = task;
        });
    }

    fn publish(&mut self, action: &'static str) {
        let state = &self.life.state;
        match action {
            "die" => {
                info!(container = %self.record.id, exit = state.exit_code, "container ended");
                let code = state.exit_code.to_string();
                let ran = match (state.started_at, state.finished_at) {
                    (Some(started), Some(finished)) => finished.since(started).as_secs(),
                    _ => 0,
                };
                // Whoever waits for the end of a run may go on: the record follows, the facts are known.
                self.refresh();
                self.snapshot.send_modify(|snapshot| snapshot.ends += 1);
                self.inner.publish(
                    "die",
                    &self.record,
                    [("exitCode", code), ("execDuration", ran.to_string())],
                );
            }
            "start" => {
                failpoint!("start.after-record");
                self.snapshot.send_modify(|snapshot| snapshot.launches += 1);
                self.inner.publish("start", &self.record, []);
            }
            other => self.inner.publish(other, &self.record, []),
        }
    }

    /// Ends the removal: everybody who waits is told.
    pub(super) fn finish_removal(&mut self, result: &Result<(), String>) {
        let name = self.record.name.clone();
        match result {
            Ok(()) => {
                self.gone = true;
                self.inner.table.remove(&self.record.id);
                self.inner.table.release(&name, &self.record.id);
                self.inner.publish("destroy", &self.record, []);
                self.snapshot.send_modify(|snapshot| snapshot.removed = true);
            }
            Err(message) => {
                self.life.removal_requested = false;
                self.life.state.phase = Phase::Dead;
                self.persist();
                self.snapshot
                    .send_modify(|snapshot| snapshot.removal_error = Some(message.clone()));
            }
        }
        for reply in self.removers.drain(..) {
            let answered = result.clone().map_err(ServiceError::internal);
            answer(reply, answered);
        }
    }
}

/// Returns the change that writes a record.
pub(super) fn put(record: &ContainerRecord) -> Result<Change> {
    let value = serde_json::to_string(record).map_err(|error| {
        ServiceError::internal(format!("cannot encode the record of container {}", record.name)).with_source(error)
    })?;
    Ok(Change::Put {
        table: Table::Containers,
        key: record.id.to_string(),
        value,
    })
}

/// Answers; a client that went away does not mind.
pub(super) fn answer<T>(reply: Reply<T>, result: Result<T>) {
    // The receiver may be gone, and nobody has to know.
    drop(reply.send(result));
}

/// Waits for the end of a task; for ever when there is none.
async fn ended(status: Option<&mut watch::Receiver<TaskStatus>>) -> ExitRecord {
    let Some(status) = status else {
        return std::future::pending().await;
    };
    let last = match status.wait_for(|status| *status != TaskStatus::Running).await {
        Ok(status) => status.clone(),
        Err(_) => TaskStatus::Lost,
    };
    match last {
        TaskStatus::Exited(exit) => exit,
        TaskStatus::Running | TaskStatus::Lost => lost(),
    }
}

/// What is recorded for a process of which nobody knows how it ended.
pub(super) fn lost() -> ExitRecord {
    ExitRecord {
        code: 255,
        finished_at_ns: Timestamp::now().0,
        out_of_memory: false,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
