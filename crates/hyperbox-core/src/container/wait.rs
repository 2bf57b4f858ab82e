// SPDX-License-Identifier: MIT
//! Waiting for containers.

use std::sync::Arc;

use tokio::sync::watch;

use super::{ContainerRecord, Phase};
use crate::seam::Task;

/// What everybody may see of a container, replaced as a whole with each change.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    /// The record; absent only before the actor runs.
    pub record: Option<Arc<ContainerRecord>>,
    /// The task, while it runs.
    pub task: Option<Arc<dyn Task>>,
    /// How many runs (or attempts) have ended.
    pub ends: u64,
    /// Exit code of the last one that did; the record shows that of the present run.
    pub last_exit: i32,
    /// How many launches have succeeded.
    pub launches: u64,
    /// The container is gone.
    pub removed: bool,
    /// How many removals have failed.
    pub failed_removals: u64,
    /// Why the last one did.
    pub removal_error: Option<String>,
}

impl Snapshot {
    pub(super) fn phase(&self) -> Phase {
        self.record.as_ref().map_or(Phase::Created, |record| record.state.phase)
    }
}

/// What to wait for; the meanings are Docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// It does not run (also when it never did).
    NotRunning,
    /// The next end of a run.
    NextExit,
    /// It is gone.
    Removed,
}

/// The result of waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitResult {
    /// Exit code of the last run.
    pub exit_code: i32,
    /// Why waiting for a removal ended without one.
    pub error: Option<String>,
}

/// A registered wait: whatever happens after it was made is seen.
#[derive(Debug)]
pub struct Waiter {
    condition: WaitCondition,
    /// Runs that had ended when the wait was registered.
    ends: u64,
    /// Removals that had failed by then.
    failed_removals: u64,
    snapshot: watch::Receiver<Snapshot>,
}

impl Waiter {
    pub(super) fn new(condition: WaitCondition, snapshot: watch::Receiver<Snapshot>) -> Self {
        let (ends, failed_removals) = {
            let now = snapshot.borrow();
            (now.ends, now.failed_removals)
        };
        Self {
            condition,
            ends,
            failed_removals,
            snapshot,
        }
    }

    /// Waits. Cancel-safe.
    pub async fn finish(mut self) -> WaitResult {
        let mut snapshot = self.snapshot.clone();
        // An error means that the actor is gone; its last words are still there.
        drop(snapshot.wait_for(|now| self.is_met(now)).await);
        let now = self.snapshot.borrow_and_update();
        let failed = self.condition == WaitCondition::Removed && !now.removed;
        WaitResult {
            exit_code: now.last_exit,
            error: now.removal_error.clone().filter(|_| failed),
        }
    }

    fn is_met(&self, now: &Snapshot) -> bool {
        let ended = now.ends > self.ends;
        now.removed
            || match self.condition {
                // A watch shows the latest state only: a run that ended may have been followed by another one already.
                WaitCondition::NotRunning => {
                    ended || !matches!(now.phase(), Phase::Running | Phase::Paused | Phase::Restarting)
                }
                WaitCondition::NextExit => ended,
                WaitCondition::Removed => now.failed_removals > self.failed_removals,
            }
    }
}
