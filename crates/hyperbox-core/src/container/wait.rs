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
    /// How many launches have succeeded.
    pub launches: u64,
    /// The container is gone.
    pub removed: bool,
    /// Why the last removal failed.
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
    ends: u64,
    snapshot: watch::Receiver<Snapshot>,
}

impl Waiter {
    pub(super) fn new(condition: WaitCondition, snapshot: watch::Receiver<Snapshot>) -> Self {
        let ends = snapshot.borrow().ends;
        Self {
            condition,
            ends,
            snapshot,
        }
    }

    /// Waits. Cancel-safe.
    pub async fn finish(mut self) -> WaitResult {
        let (condition, ends) = (self.condition, self.ends);
        // An error means that the actor is gone; its last words are still there.
        drop(
            self.snapshot
                .wait_for(|snapshot| is_met(condition, ends, snapshot))
                .await,
        );
        let snapshot = self.snapshot.borrow();
        WaitResult {
            exit_code: snapshot.record.as_ref().map_or(0, |record| record.state.exit_code),
            error: snapshot
                .removal_error
                .clone()
                .filter(|_| condition == WaitCondition::Removed),
        }
    }
}

fn is_met(condition: WaitCondition, ends: u64, snapshot: &Snapshot) -> bool {
    snapshot.removed
        || match condition {
            WaitCondition::NotRunning => {
                !matches!(snapshot.phase(), Phase::Running | Phase::Paused | Phase::Restarting)
            }
            WaitCondition::NextExit => snapshot.ends > ends,
            WaitCondition::Removed => snapshot.removal_error.is_some(),
        }
}
