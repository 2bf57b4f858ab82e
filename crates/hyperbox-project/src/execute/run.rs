// SPDX-License-Identifier: MIT
//! A run: the operations of a plan, done in order and side by side.

use std::collections::BTreeSet;

use futures_util::future::{AbortHandle, Abortable, BoxFuture, Either, Shared, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future};
use hyperbox_types::project::{OperationPhase, ProjectEvent, RunSummary};

use super::engine::{EngineError, ProjectEngine, StopWish};
use super::perform::perform;
use super::schedule::Schedule;
use super::telling;
use crate::plan::{Action, Plan};

/// How many operations are done at a time.
pub const PARALLEL: usize = 16;

/// What all steps of a run need.
#[derive(Clone)]
pub struct Run<'a> {
    /// The engine.
    pub engine: &'a dyn ProjectEngine,
    /// Whom everything is told; does not block.
    pub tell: &'a (dyn Fn(ProjectEvent) + Send + Sync),
    /// Comes when the run is to end early.
    pub cancelled: Shared<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Run").finish_non_exhaustive()
    }
}

/// What a run did: counts, without the time that it took.
pub type Summary = RunSummary;

/// What happens to the rest when an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Nothing more is begun.
    Stop,
    /// Only what waits for it is not begun.
    GoOn,
}

impl Run<'_> {
    /// Whether the run is to end early.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.clone().now_or_never().is_some()
    }

    /// Fails when the run is to end early.
    pub(crate) fn go_on(&self) -> Result<(), EngineError> {
        match self.is_cancelled() {
            true => Err(EngineError::cancelled()),
            false => Ok(()),
        }
    }

    /// Does something that can be given up at any moment, unless the run ends early.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        match select(std::pin::pin!(work), self.cancelled.clone()).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(EngineError::cancelled()),
        }
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        (self.tell)(ProjectEvent::Note { text: text.into() });
    }
}

/// Does all operations of a plan; tells of each, and adds up what was done.
///
/// # Errors
/// The first failure, after everything that had been begun is finished.
pub(crate) async fn execute(
    run: &Run<'_>,
    plan: &Plan,
    stop: StopWish,
    on_failure: OnFailure,
    summary: &mut Summary,
) -> Result<(), EngineError> {
    let mut execution = Execution {
        run,
        plan,
        schedule: Schedule::new(plan, PARALLEL),
        waits: Vec::new(),
        failed: BTreeSet::new(),
        failure: None,
        halted: false,
    };
    let mut going = FuturesUnordered::new();
    let mut given_up = false;
    loop {
        while !execution.halted
            && let Some(index) = execution.schedule.begin()
        {
            going.push(execution.begin(index, stop));
        }
        let ended = if given_up {
            going.next().await
        } else {
            match select(going.next(), run.cancelled.clone()).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => {
                    given_up = true;
                    execution.halt(EngineError::cancelled());
                    run.engine.give_up();
                    continue;
                }
            }
        };
        let Some((index, result)) = ended else { break };
        execution.end(index, result, on_failure, summary);
    }
    execution.finish()
}

/// How an operation ended; `None` when it was given up.
type Ended = Option<Result<(), EngineError>>;

struct Execution<'a> {
    run: &'a Run<'a>,
    plan: &'a Plan,
    schedule: Schedule<'a>,
    /// What gives waiting up.
    waits: Vec<AbortHandle>,
    failed: BTreeSet<usize>,
    failure: Option<EngineError>,
    halted: bool,
}

impl<'a> Execution<'a> {
    fn begin(&mut self, index: usize, stop: StopWish) -> BoxFuture<'a, (usize, Ended)> {
        let (run, plan) = (self.run, self.plan);
        telling::operation(run, plan, index, OperationPhase::Started, None);
        let work = perform(run, plan, index, stop);
        if !self.schedule.only_waits(index) {
            return work.map(move |result| (index, Some(result))).boxed();
        }
        let (handle, registration) = AbortHandle::new_pair();
        self.waits.push(handle);
        let work = Abortable::new(work, registration);
        work.then(move |result| future::ready((index, result.ok()))).boxed()
    }

    fn end(&mut self, index: usize, ended: Ended, on_failure: OnFailure, summary: &mut Summary) {
        let (run, plan) = (self.run, self.plan);
        match ended {
            Some(Ok(())) => {
                telling::operation(run, plan, index, OperationPhase::Done, None);
                count(&plan.operations()[index].action, summary);
                self.schedule.done(index);
            }
            Some(Err(error)) => {
                telling::operation(run, plan, index, OperationPhase::Failed, Some(&error));
                self.fail(index);
                match on_failure {
                    OnFailure::Stop => self.halt(error),
                    OnFailure::GoOn => drop(self.failure.get_or_insert(error)),
                }
            }
            None => {
                telling::operation(run, plan, index, OperationPhase::Skipped, None);
                self.fail(index);
            }
        }
    }

    fn fail(&mut self, index: usize) {
        self.failed.insert(index);
        self.schedule.failed(index);
    }

    /// Nothing more is begun, and nothing is waited for.
    fn halt(&mut self, error: EngineError) {
        self.halted = true;
        self.failure.get_or_insert(error);
        for wait in self.waits.drain(..) {
            wait.abort();
        }
    }

    fn finish(self) -> Result<(), EngineError> {
        for index in self.schedule.left(&self.failed) {
            telling::operation(self.run, self.plan, index, OperationPhase::Skipped, None);
        }
        self.failure.map_or(Ok(()), Err)
    }
}

fn count(action: &Action, summary: &mut Summary) {
    match action {
        Action::CreateNetwork { .. } | Action::CreateVolume { .. } => summary.created += 1,
        Action::CreateContainer { replaces, .. } => {
            summary.created += 1;
            summary.removed += usize::from(replaces.is_some());
        }
        Action::StartContainer { .. } | Action::RestartContainer { .. } | Action::UnpauseContainer { .. } => {
            summary.started += 1;
        }
        Action::StopContainer { .. } | Action::KillContainer { .. } | Action::PauseContainer { .. } => {
            summary.stopped += 1;
        }
        Action::RemoveContainer { .. } | Action::RemoveNetwork { .. } | Action::RemoveVolume { .. } => {
            summary.removed += 1;
        }
        Action::Await { .. } => {}
    }
}
