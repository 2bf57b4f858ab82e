// SPDX-License-Identifier: MIT
//! The actor of one container: the only one who changes it.
//!
//! It takes commands, the end of the process and timers, asks [`lifecycle::step`](super::lifecycle) what they mean, performs the
//! actions in order and publishes a new snapshot. It runs until the container is removed; when the daemon ends it just stops, since
//! nothing of the container depends on it.
//!
//! Crash behaviour: a record is written before anyone is told of a change; what happens between the change of the world and the
//! record (a launch, an exit) is found again by `restore.rs` from what the task runtime knows.

mod showing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hyperbox_types::Signal;
use hyperbox_types::run::TerminalSize;
use hyperbox_types::shim::ExitRecord;
pub(super) use showing::put;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;

use super::command::{Command, Reply, StopOptions, answer};
use super::lifecycle::{self, Action, Event, Life, Refusal, Rules};
use super::removal::RemoveOptions;
use super::service::Inner;
use super::table::Handle;
use super::wait::Snapshot;
use super::{ContainerRecord, HealthState, Phase};
use crate::seam::{PendingAttach, Task, TaskStatus};
use crate::time::Timestamp;
use crate::trace::Trace;
use crate::{Result, ServiceError, failpoint};

/// How long `stop` waits when nobody said otherwise.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// One container's actor.
pub(super) struct Actor {
    pub(super) inner: Arc<Inner>,
    pub(super) record: ContainerRecord,
    pub(super) life: Life,
    pub(super) task: Option<Arc<dyn Task>>,
    pub(super) status: Option<watch::Receiver<TaskStatus>>,
    /// How many processes were killed for want of memory, and of how many listeners know.
    memory_kills: Option<watch::Receiver<u64>>,
    told_kills: u64,
    pub(super) pending_attaches: Vec<PendingAttach>,
    pub(super) removal: RemoveOptions,
    /// Where to note when what was done for the run.
    pub(super) trace: Option<Trace>,
    /// Size of the terminal for the next launch.
    pub(super) terminal_size: TerminalSize,
    /// Whether the persisted record may still be there.
    pub(super) gone: bool,
    /// Held from a launch until its outcome is shown, so that nobody mounts the container's files beside it; see `files.rs`.
    files: Arc<tokio::sync::RwLock<()>>,
    launch_turn: Option<tokio::sync::OwnedRwLockWriteGuard<()>>,
    /// Held likewise, so that others do not decide what is mounted for volumes; see `providers.rs`.
    pub(super) volume_turn: Option<tokio::sync::OwnedMutexGuard<()>>,
    commands: mpsc::Receiver<Command>,
    own_commands: mpsc::WeakSender<Command>,
    snapshot: watch::Sender<Snapshot>,
    patience: Option<Instant>,
    restart: Option<Instant>,
    prober: Option<JoinHandle<()>>,
    /// Who waits for a run to begin.
    starters: Vec<Reply<()>>,
    /// Who waits for the run to end.
    stoppers: Vec<Reply<()>>,
    /// What came of the last launch, until those who asked for it know.
    launched: Option<Result<()>>,
    removers: Vec<Reply<()>>,
}

impl Actor {
    /// Makes the actor of a container and returns how to reach it. It does nothing before it is run.
    pub(super) fn new(inner: Arc<Inner>, record: ContainerRecord) -> (Self, Handle) {
        let (sender, commands) = mpsc::channel(32);
        let first = Snapshot {
            record: Some(Arc::new(record.clone())),
            last_exit: record.state.exit_code,
            ..Snapshot::default()
        };
        let (snapshot, receiver) = watch::channel(first);
        let handle = Handle {
            id: record.id.clone(),
            commands: sender.clone(),
            snapshot: receiver,
            files: Arc::default(),
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
            memory_kills: None,
            told_kills: 0,
            pending_attaches: Vec::new(),
            removal: RemoveOptions::default(),
            trace: None,
            terminal_size: TerminalSize { rows: 24, columns: 80 },
            gone: false,
            files: Arc::clone(&handle.files),
            launch_turn: None,
            volume_turn: None,
            commands,
            own_commands: sender.downgrade(),
            snapshot,
            patience: None,
            restart: None,
            prober: None,
            starters: Vec::new(),
            stoppers: Vec::new(),
            launched: None,
            removers: Vec::new(),
        };
        (actor, handle)
    }

    /// Takes over a task that an earlier daemon left running; its health goes on from where it was.
    pub(super) fn adopt(&mut self, task: Arc<dyn Task>) {
        self.life.state.pid = task.pid();
        self.take_task(task);
        // An earlier daemon told of these.
        self.told_kills = self.memory_kills.as_ref().map_or(0, |kills| *kills.borrow());
        self.start_prober();
        self.refresh();
    }

    fn take_task(&mut self, task: Arc<dyn Task>) {
        self.status = Some(task.status());
        self.memory_kills = Some(task.memory_kills());
        self.told_kills = 0;
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
                () = changed(self.memory_kills.as_mut()) => self.tell_memory_kills().await,
                exit = ended(self.status.as_mut()) => {
                    self.status = None;
                    self.mark("end heard of");
                    // What happened before the end is told before it.
                    self.tell_memory_kills().await;
                    self.memory_kills = None;
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

    /// Tells of every kill that nobody was told of.
    async fn tell_memory_kills(&mut self) {
        let now = self.memory_kills.as_mut().map_or(0, |kills| *kills.borrow_and_update());
        while self.told_kills < now {
            self.told_kills += 1;
            self.feed(Event::MemoryKilled).await;
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Start { trace, reply } => {
                if trace.is_some() {
                    self.trace = trace;
                }
                self.mark("start begun");
                self.begin(Event::StartRequested, reply, |actor| &mut actor.starters)
                    .await;
            }
            Command::Stop { options, reply } => {
                let event = Event::StopRequested {
                    signal: options.signal,
                    patience: self.patience_of(options),
                };
                self.begin(event, reply, |actor| &mut actor.stoppers).await;
            }
            Command::Restart { options, reply } => {
                let event = Event::RestartRequested {
                    signal: options.signal,
                    patience: self.patience_of(options),
                };
                self.begin(event, reply, |actor| &mut actor.starters).await;
            }
            Command::Kill { signal, reply } => self.kill(signal, reply).await,
            Command::Pause { reply } => self.freeze(true, reply).await,
            Command::Unpause { reply } => self.freeze(false, reply).await,
            Command::Rename { name, reply } => answer(reply, self.rename(name)),
            Command::Update { options, reply } => {
                let updated = self.update(*options).await;
                answer(reply, updated);
            }
            Command::Remove {
                options,
                reference,
                reply,
            } => self.begin_removal(options, &reference, reply).await,
            Command::Attach { streams, reply } => {
                let attached = self.attach(streams).await;
                answer(reply, attached);
            }
            Command::Connect { network, wish, reply } => {
                let connected = self.connect(&network, *wish).await;
                answer(reply, connected);
            }
            Command::Disconnect { network, force, reply } => {
                let disconnected = self.disconnect(&network, force).await;
                answer(reply, disconnected);
            }
            Command::ForgetNetwork { network, force, reply } => {
                let forgotten = self.forget_network(&network, force);
                answer(reply, forgotten);
            }
            Command::Resized(size) => self.terminal_size = size,
            Command::Health { run, health } => self.take_health(run, health),
            Command::Probe { run, action, facts } => self.tell_probe(run, action, facts),
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
            stop_signal: self.record.spec.stop_signal,
        }
    }

    fn step(&mut self, event: Event) -> std::result::Result<Vec<Action>, Refusal> {
        let rules = self.rules();
        lifecycle::step(&mut self.life, rules, event)
    }

    /// Begins what a client wishes; who asked waits in `queue` until it has come about.
    async fn begin(&mut self, event: Event, reply: Reply<()>, queue: impl FnOnce(&mut Self) -> &mut Vec<Reply<()>>) {
        match self.step(event) {
            Ok(actions) => {
                queue(self).push(reply);
                self.perform(actions).await;
            }
            Err(refusal) => answer(reply, Err(self.refuse(refusal))),
        }
    }

    async fn kill(&mut self, signal: Signal, reply: Reply<Option<u64>>) {
        match self.step(Event::KillRequested { signal }) {
            Ok(actions) => {
                let ends = self.life.state.phase.is_alive().then(|| self.snapshot.borrow().ends);
                self.perform(actions).await;
                answer(reply, Ok(ends));
            }
            Err(refusal) => answer(reply, Err(self.refuse(refusal))),
        }
    }

    async fn begin_removal(&mut self, options: RemoveOptions, reference: &str, reply: Reply<()>) {
        match self.step(Event::RemoveRequested { force: options.force }) {
            Ok(actions) => {
                self.removal = options;
                self.removers.push(reply);
                self.perform(actions).await;
            }
            Err(refusal) => answer(reply, Err(self.refuse_removal(refusal, reference))),
        }
    }

    /// Feeds an event that cannot be refused.
    pub(super) async fn feed(&mut self, event: Event) {
        if let Ok(actions) = self.step(event) {
            self.perform(actions).await;
        }
    }

    /// Notes a moment, if somebody wants to know.
    pub(super) fn mark(&self, step: &str) {
        if let Some(trace) = &self.trace {
            trace.mark(step);
        }
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        let mut queue: VecDeque<Action> = actions.into();
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Launch => queue.extend(self.try_launch().await),
                Action::Signal(signal) => self.signal(signal, false).await,
                Action::KillAll => self.signal(Signal::KILL, true).await,
                Action::Thaw => self.thaw().await,
                Action::ArmPatience(duration) => {
                    let over = Instant::now().checked_add(duration);
                    self.patience = self.patience.into_iter().chain(over).min();
                }
                Action::ArmRestart(duration) => self.restart = Some(Instant::now() + duration),
                Action::Persist => self.persist(),
                Action::Disconnected => {
                    let networks = &self.inner.with.networks;
                    networks.leave(&self.record.id, &self.life.leaving).await;
                    self.inner.with.volumes.tell_unmounted(&self.record);
                }
                Action::ReleaseRun => self.release_run().await,
                Action::Publish(action) => self.publish(action),
                Action::AutoRemove | Action::Remove => self.remove().await,
            }
        }
        self.launch_turn = None;
        self.volume_turn = None;
        self.settle();
    }

    /// Launches and returns what follows. Those who asked for the start get their answer once that is done.
    async fn try_launch(&mut self) -> Vec<Action> {
        self.restart = None;
        self.launch_turn = Some(Arc::clone(&self.files).write_owned().await);
        // Before the networks are told, as Docker does. Also of a launch that fails: what follows tells that they are free again.
        self.inner.with.volumes.tell_mounted(&self.record);
        let launched = self.launch().await;
        match launched {
            Ok((task, at)) => {
                failpoint!("start.after-launch");
                let pid = task.pid();
                self.take_task(task);
                self.launched = Some(Ok(()));
                self.step(Event::Launched { pid, at }).unwrap_or_default()
            }
            Err(error) => {
                // Whoever attached before the start sees the end of the stream.
                self.pending_attaches.clear();
                let exit_code = match error.command_fault() {
                    Some(hyperbox_types::shim::CommandFault::NotFound) => 127,
                    Some(hyperbox_types::shim::CommandFault::NotExecutable) => 126,
                    // What an earlier run left stays, as with Docker.
                    None if self.life.state.exit_code != 0 => self.life.state.exit_code,
                    None => 128,
                };
                let failed = Event::LaunchFailed {
                    exit_code,
                    error: error.message().to_owned(),
                };
                self.launched = Some(Err(error));
                let follow = self.step(failed).unwrap_or_default();
                self.show_end();
                follow
            }
        }
    }

    /// Answers those whose wish has come about, or cannot any more.
    fn settle(&mut self) {
        let alive = self.life.state.phase.is_alive();
        if !alive {
            self.answer_stoppers();
        }
        match self.launched.take() {
            Some(Ok(())) => {
                if alive {
                    self.start_prober();
                }
                for reply in self.starters.drain(..) {
                    answer(reply, Ok(()));
                }
            }
            Some(Err(error)) => {
                for reply in self.starters.drain(..) {
                    answer(reply, Err(error.repeated()));
                }
            }
            None if self.life.restart_requested => {}
            None => {
                let overtaken = if self.life.removal_requested {
                    self.refuse(Refusal::Removing)
                } else {
                    let id = &self.record.id;
                    ServiceError::conflict(format!("container {id} was stopped before it could be started again"))
                };
                for reply in self.starters.drain(..) {
                    answer(reply, Err(overtaken.repeated()));
                }
            }
        }
    }

    fn answer_stoppers(&mut self) {
        for reply in self.stoppers.drain(..) {
            answer(reply, Ok(()));
        }
    }

    fn take_health(&mut self, run: u64, health: HealthState) {
        // A verdict may have been on its way when its run ended.
        if !self.life.state.phase.is_alive() || run != self.snapshot.borrow().launches {
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

    /// Tells of the process of a health check.
    fn tell_probe(&mut self, run: u64, action: String, facts: Vec<(&'static str, String)>) {
        if self.life.state.phase.is_alive() && run == self.snapshot.borrow().launches {
            self.inner.publish(action, &self.record, facts);
        }
    }

    /// Forgets the run that ended.
    pub(super) fn close_run(&mut self) {
        self.task = None;
        self.status = None;
        self.memory_kills = None;
        self.patience = None;
        self.stop_prober();
    }

    /// Gives back what a run holds.
    pub(super) async fn release_run(&mut self) {
        self.close_run();
        if let Err(error) = self.inner.with.tasks.discard(&self.record.id).await {
            warn!(container = %self.record.id, %error, "task remains not discarded");
        }
        let endpoints = std::mem::take(&mut self.life.leaving);
        self.inner.with.networks.release(&self.record.id, &endpoints).await;
    }

    /// Checks the health from now on, unless the container is frozen.
    pub(super) fn start_prober(&mut self) {
        self.stop_prober();
        if self.life.state.phase != Phase::Running {
            return;
        }
        let run = self.snapshot.borrow().launches;
        if let (Some(task), Some(sender)) = (self.task.clone(), self.own_commands.upgrade()) {
            self.prober = self
                .prober_for(task, run, sender)
                .map(|prober| tokio::spawn(prober.run()));
        }
    }

    pub(super) fn stop_prober(&mut self) {
        if let Some(prober) = self.prober.take() {
            prober.abort();
        }
    }
}

/// Waits for a change; for ever when there is nothing to change.
async fn changed(number: Option<&mut watch::Receiver<u64>>) {
    let changed = match number {
        Some(number) => number.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        // The task is gone, or there is none: its end tells.
        std::future::pending::<()>().await;
    }
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
