// SPDX-License-Identifier: MIT
//! The life of a container as a pure state machine.
//!
//! [`step`] takes the present life and an event and returns the actions to perform, in order; it touches nothing else. The actor of
//! the container (`actor.rs`) owns the life, performs the actions and feeds back what came of them.
//!
//! ```text
//!            start           launched            process ended
//!  Created ─────────▶ (launch) ─────▶ Running ─────────────────────▶ Exited ──┐ start
//!     ▲                  │            ▲ │ ▲     restart policy says so  │     │
//!     └── launch failed ─┘      unpause │ │ pause      ▼                ▼     ▼
//!                                       ▼ │       Restarting ──due──▶ (launch)
//!                                      Paused
//!  any phase ── remove ──▶ Removing ──▶ gone
//! ```
//!
//! A stop or kill by hand is remembered in two ways, both until the next start by hand: `restarts_cancelled` keeps every policy from
//! following the present run with another one; `manually_stopped`, which is recorded, tells the next daemon. As with Docker, any
//! signal by hand counts for a container without a stop signal of its own; with one, only that signal and `SIGKILL` cancel restarts.

use std::time::Duration;

use hyperbox_types::Signal;
use hyperbox_types::shim::ExitRecord;

use super::{ContainerState, HealthStatus, Phase, RestartPolicy};
use crate::seam::Endpoint;
use crate::time::Timestamp;

/// The first pause before a restart; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// A run of that length makes the next pause the first again.
const STABLE_RUN: Duration = Duration::from_secs(10);
/// How long a stop without any patience waits between the polite signal and `SIGKILL`. Docker's two signals go through two runs of
/// its runtime; whoever ends at once on the first is not killed by the second.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(10);

/// The engine's view of one container's life: the persisted state and what matters only to this daemon process.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Life {
    pub state: ContainerState,
    /// A launch is under way.
    pub launching: bool,
    /// Start again as soon as the present run ended (`restart`).
    pub restart_requested: bool,
    /// Remove as soon as the present run ended.
    pub removal_requested: bool,
    /// A stop (or the stop of a restart) is under way; the end of the run is its success.
    pub stopping: bool,
    /// Endpoints of the run that ended, until they are given back.
    pub leaving: Vec<Endpoint>,
    /// Last pause before a restart.
    pub backoff: Option<Duration>,
    /// No policy follows the present run, or pause, with another run.
    pub restarts_cancelled: bool,
    /// Brought back with the daemon and not running yet: what it needs may not be up, so a launch that fails is tried again.
    pub reviving: bool,
}

/// Unchanging facts that decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub restart: RestartPolicy,
    pub auto_remove: bool,
    /// The container's own; without one it is `SIGTERM`.
    pub stop_signal: Option<Signal>,
}

impl Rules {
    /// Tells whether a signal by hand is meant as the end.
    fn ends_with(self, signal: Signal) -> bool {
        signal == Signal::KILL || self.stop_signal.is_none_or(|own| own == signal)
    }
}

/// Something that happened or is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// A client wants it started.
    StartRequested,
    /// The process runs.
    Launched { pid: u32, at: Timestamp },
    /// The process could not be started.
    LaunchFailed { exit_code: i32, error: String },
    /// A client wants it stopped within that time; `None` waits for ever.
    StopRequested {
        signal: Option<Signal>,
        patience: Option<Duration>,
    },
    /// A client wants it stopped and started again.
    RestartRequested {
        signal: Option<Signal>,
        patience: Option<Duration>,
    },
    /// The patience of a stop is over.
    PatienceOver,
    /// A client sends a signal.
    KillRequested { signal: Signal },
    /// All processes are frozen.
    Paused,
    /// All processes run again.
    Unpaused,
    /// The kernel killed a process of the container for want of memory.
    MemoryKilled,
    /// The process ended.
    Exited(ExitRecord),
    /// The pause before a restart is over.
    RestartDue,
    /// A client wants it removed.
    RemoveRequested { force: bool },
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Start the process.
    Launch,
    /// Send a signal to the first process and tell listeners.
    Signal(Signal),
    /// Send `SIGKILL` to all processes and tell listeners.
    KillAll,
    /// Thaw a frozen container so that it can receive its signal.
    Thaw,
    /// Come back with [`Event::PatienceOver`], unless an earlier wish is less patient.
    ArmPatience(Duration),
    /// Come back with [`Event::RestartDue`].
    ArmRestart(Duration),
    /// Write the record.
    Persist,
    /// Give published ports and names back and tell listeners that the run has left its networks.and volumes.
    Disconnected,
    /// Give back what a run holds: task remains, network endpoint. Only after the record tells how the run ended, since the
    /// remains are the only other place that knows.
    ReleaseRun,
    /// Tell listeners.
    Publish(&'static str),
    /// Remove the container (and what its last run still holds) and its anonymous volumes.
    AutoRemove,
    /// Remove the container (and what its last run still holds) as the client asked.
    Remove,
}

/// Why an event is refused in this phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is in the wished state.
    NotModified,
    /// A frozen container cannot do that.
    Paused,
    /// It is not running.
    NotRunning,
    /// It is being removed.
    Removing,
    /// It is dead.
    Dead,
    /// It runs, or is about to be restarted, and removal was not forced.
    Running,
    /// It is frozen and removal was not forced.
    RunningPaused,
}

/// Decides what an event does to a life.
pub(super) fn step(life: &mut Life, rules: Rules, event: Event) -> Result<Vec<Action>, Refusal> {
    match event {
        Event::StartRequested => start(life),
        Event::Launched { pid, at } => Ok(launched(life, pid, at)),
        Event::LaunchFailed { exit_code, error } => Ok(launch_failed(life, rules, exit_code, error)),
        Event::StopRequested { signal, patience } => stop(life, rules, signal, patience),
        Event::RestartRequested { signal, patience } => restart(life, rules, signal, patience),
        Event::PatienceOver => Ok(patience_over(life)),
        Event::KillRequested { signal } => kill(life, rules, signal),
        Event::Paused => Ok(change_phase(life, Phase::Running, Phase::Paused, "pause")),
        Event::Unpaused => Ok(change_phase(life, Phase::Paused, Phase::Running, "unpause")),
        Event::MemoryKilled => Ok(memory_killed(life)),
        Event::Exited(exit) => Ok(exited(life, rules, &exit)),
        Event::RestartDue => Ok(restart_due(life)),
        Event::RemoveRequested { force } => remove(life, force),
    }
}

fn start(life: &mut Life) -> Result<Vec<Action>, Refusal> {
    match life.state.phase {
        _ if life.launching => Err(Refusal::NotModified),
        Phase::Running => Err(Refusal::NotModified),
        Phase::Paused => Err(Refusal::Paused),
        Phase::Removing => Err(Refusal::Removing),
        Phase::Dead => Err(Refusal::Dead),
        // As with Docker, it counts as running between two runs.
        Phase::Restarting => Err(Refusal::NotModified),
        Phase::Created | Phase::Exited => Ok(begin(life)),
    }
}

fn begin(life: &mut Life) -> Vec<Action> {
    life.state.manually_stopped = false;
    life.state.restart_count = 0;
    life.backoff = None;
    life.restarts_cancelled = false;
    life.reviving = false;
    life.launching = true;
    vec![Action::Launch]
}

fn launched(life: &mut Life, pid: u32, at: Timestamp) -> Vec<Action> {
    life.launching = false;
    life.restart_requested = false;
    life.stopping = false;
    life.reviving = false;
    let state = &mut life.state;
    state.phase = Phase::Running;
    state.pid = pid;
    state.started_at = Some(at);
    state.exit_code = 0;
    state.error.clear();
    state.out_of_memory = false;
    if let Some(health) = &mut state.health {
        // What earlier runs left in the log stays.
        health.status = HealthStatus::Starting;
        health.failing_streak = 0;
    }
    let mut actions = vec![Action::Persist, Action::Publish("start")];
    if life.removal_requested {
        actions.push(Action::KillAll);
    }
    actions
}

fn launch_failed(life: &mut Life, rules: Rules, exit_code: i32, error: String) -> Vec<Action> {
    life.launching = false;
    life.restart_requested = false;
    let state = &mut life.state;
    let restarting = state.phase == Phase::Restarting;
    state.pid = 0;
    if !restarting || life.reviving {
        state.exit_code = exit_code;
    }
    state.error = error;
    life.leaving = std::mem::take(&mut state.endpoints);
    state.ports.clear();
    let mut actions = vec![Action::Disconnected];
    if restarting {
        // A restart that fails is the last one, and the end of the last run stays what is told.
        if life.reviving
            && let Some(pause) = next_backoff(life, rules, exit_code, None)
        {
            life.state.restart_count += 1;
            actions.extend([Action::Persist, Action::ReleaseRun, Action::ArmRestart(pause)]);
            return actions;
        }
        life.state.phase = Phase::Exited;
    }
    actions.extend(close_run(life, rules));
    actions
}

/// What follows a run that is not followed by another one.
fn close_run(life: &Life, rules: Rules) -> Vec<Action> {
    match after_end(life, rules) {
        // The removal records the end and gives back what the run holds.
        Some(removal) => vec![removal],
        None => vec![Action::Persist, Action::ReleaseRun],
    }
}

fn stop(
    life: &mut Life,
    rules: Rules,
    signal: Option<Signal>,
    patience: Option<Duration>,
) -> Result<Vec<Action>, Refusal> {
    match life.state.phase {
        Phase::Running | Phase::Paused => {
            life.state.manually_stopped = true;
            life.restarts_cancelled = true;
            life.restart_requested = false;
            life.stopping = true;
            Ok(interrupt(life, rules, signal, patience))
        }
        Phase::Restarting => {
            life.state.manually_stopped = true;
            life.restarts_cancelled = true;
            life.state.phase = Phase::Exited;
            let mut actions = vec![Action::Persist, Action::Publish("stop")];
            actions.extend(after_end(life, rules));
            Ok(actions)
        }
        Phase::Created | Phase::Exited | Phase::Removing | Phase::Dead => Err(Refusal::NotModified),
    }
}

fn interrupt(life: &Life, rules: Rules, signal: Option<Signal>, patience: Option<Duration>) -> Vec<Action> {
    let signal = signal.or(rules.stop_signal).unwrap_or(Signal::TERM);
    let mut actions = Vec::new();
    if life.state.phase == Phase::Paused {
        actions.push(Action::Thaw);
    }
    actions.push(Action::Signal(signal));
    actions.extend(patience.map(|patience| Action::ArmPatience(patience.max(SHORTEST_PATIENCE))));
    actions
}

fn restart(
    life: &mut Life,
    rules: Rules,
    signal: Option<Signal>,
    patience: Option<Duration>,
) -> Result<Vec<Action>, Refusal> {
    match life.state.phase {
        Phase::Running | Phase::Paused => {
            life.restart_requested = true;
            life.stopping = true;
            life.state.manually_stopped = false;
            Ok(interrupt(life, rules, signal, patience))
        }
        Phase::Restarting if !life.launching => {
            life.state.phase = Phase::Exited;
            let mut actions = vec![Action::Publish("stop")];
            actions.extend(begin(life));
            Ok(actions)
        }
        _ => start(life),
    }
}

fn patience_over(life: &Life) -> Vec<Action> {
    match life.state.phase {
        Phase::Running => vec![Action::KillAll],
        // Frozen while it was being stopped: with version 1 of control groups not even SIGKILL gets through.
        Phase::Paused => vec![Action::Thaw, Action::KillAll],
        _ => Vec::new(),
    }
}

fn kill(life: &mut Life, rules: Rules, signal: Signal) -> Result<Vec<Action>, Refusal> {
    let final_signal = rules.ends_with(signal);
    match life.state.phase {
        Phase::Running | Phase::Paused => {
            let mut actions = Vec::new();
            // Whoever kills what is being restarted makes the restart quicker.
            life.state.manually_stopped = !life.restart_requested;
            if final_signal {
                life.restarts_cancelled = true;
                if life.state.phase == Phase::Paused {
                    actions.push(Action::Thaw);
                }
            }
            actions.push(Action::Signal(signal));
            Ok(actions)
        }
        // There is no process that could get another signal.
        Phase::Restarting if !final_signal => {
            life.state.manually_stopped = true;
            Ok(vec![Action::Persist])
        }
        Phase::Restarting => {
            life.state.manually_stopped = true;
            life.restarts_cancelled = true;
            life.state.phase = Phase::Exited;
            let mut actions = vec![Action::Persist];
            actions.extend(after_end(life, rules));
            Ok(actions)
        }
        Phase::Created | Phase::Exited | Phase::Removing | Phase::Dead => Err(Refusal::NotRunning),
    }
}

fn change_phase(life: &mut Life, from: Phase, to: Phase, event: &'static str) -> Vec<Action> {
    if life.state.phase != from {
        return Vec::new();
    }
    life.state.phase = to;
    if to == Phase::Paused {
        nobody_vouches(&mut life.state);
    }
    vec![Action::Persist, Action::Publish(event)]
}

/// As with Docker, a container that is not checked any more is not healthy.
fn nobody_vouches(state: &mut ContainerState) {
    if let Some(health) = &mut state.health {
        health.status = HealthStatus::Unhealthy;
    }
}

/// The container may live on: as with Docker its state tells of the kill from now until the next run.
fn memory_killed(life: &mut Life) -> Vec<Action> {
    if !life.state.phase.is_alive() {
        return Vec::new();
    }
    life.state.out_of_memory = true;
    vec![Action::Persist, Action::Publish("oom")]
}

fn exited(life: &mut Life, rules: Rules, exit: &ExitRecord) -> Vec<Action> {
    if !life.state.phase.is_alive() {
        return Vec::new();
    }
    let ended = Timestamp(exit.finished_at_ns);
    let ran = life.state.started_at.map(|started| ended.since(started));
    let state = &mut life.state;
    state.pid = 0;
    state.exit_code = exit.code;
    // Of kills that nobody saw happen (the daemon was not there), the end of the run tells once.
    let untold = exit.out_of_memory && !state.out_of_memory;
    state.out_of_memory |= exit.out_of_memory;
    state.finished_at = Some(ended);
    state.phase = Phase::Exited;
    life.leaving = std::mem::take(&mut state.endpoints);
    state.ports.clear();
    nobody_vouches(state);
    let mut actions = Vec::new();
    if untold {
        actions.push(Action::Publish("oom"));
    }
    actions.push(Action::Disconnected);
    if std::mem::take(&mut life.stopping) {
        actions.push(Action::Publish("stop"));
    }
    actions.push(Action::Publish("die"));
    if std::mem::take(&mut life.restart_requested) && !life.removal_requested {
        actions.extend([Action::Persist, Action::ReleaseRun]);
        actions.extend(begin(life));
        return actions;
    }
    if !life.removal_requested
        && let Some(pause) = next_backoff(life, rules, exit.code, ran)
    {
        life.state.phase = Phase::Restarting;
        life.state.restart_count += 1;
        actions.extend([Action::Persist, Action::ReleaseRun, Action::ArmRestart(pause)]);
        return actions;
    }
    actions.extend(close_run(life, rules));
    actions
}

/// Decides whether the policy wants another run, and after what pause.
fn next_backoff(life: &mut Life, rules: Rules, exit_code: i32, ran: Option<Duration>) -> Option<Duration> {
    if life.restarts_cancelled {
        return None;
    }
    let wanted = match rules.restart {
        RestartPolicy::Never => false,
        RestartPolicy::Always => true,
        RestartPolicy::UnlessStopped => !life.state.manually_stopped,
        RestartPolicy::OnFailure { maximum_retries } => {
            exit_code != 0 && (maximum_retries == 0 || life.state.restart_count < maximum_retries)
        }
    };
    if !wanted {
        return None;
    }
    let stable = ran.is_some_and(|ran| ran >= STABLE_RUN);
    let pause = match life.backoff {
        Some(last) if !stable => (last * 2).min(LONGEST_BACKOFF),
        _ => FIRST_BACKOFF,
    };
    life.backoff = Some(pause);
    Some(pause)
}

fn after_end(life: &Life, rules: Rules) -> Option<Action> {
    if life.removal_requested {
        Some(Action::Remove)
    } else if rules.auto_remove {
        Some(Action::AutoRemove)
    } else {
        None
    }
}

fn restart_due(life: &mut Life) -> Vec<Action> {
    if life.state.phase != Phase::Restarting || life.launching || life.restarts_cancelled {
        return Vec::new();
    }
    life.launching = true;
    vec![Action::Launch]
}

fn remove(life: &mut Life, force: bool) -> Result<Vec<Action>, Refusal> {
    match life.state.phase {
        _ if life.removal_requested => Err(Refusal::Removing),
        Phase::Running | Phase::Restarting if !force => Err(Refusal::Running),
        Phase::Paused if !force => Err(Refusal::RunningPaused),
        Phase::Running | Phase::Paused => {
            life.removal_requested = true;
            life.restart_requested = false;
            life.stopping = false;
            life.state.manually_stopped = true;
            life.restarts_cancelled = true;
            let mut actions = Vec::new();
            if life.state.phase == Phase::Paused {
                actions.push(Action::Thaw);
            }
            actions.push(Action::KillAll);
            Ok(actions)
        }
        _ if life.launching => {
            life.removal_requested = true;
            Ok(Vec::new())
        }
        Phase::Created | Phase::Exited | Phase::Dead | Phase::Restarting | Phase::Removing => {
            life.removal_requested = true;
            Ok(vec![Action::Remove])
        }
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
