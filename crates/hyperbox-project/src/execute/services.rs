// SPDX-License-Identifier: MIT
//! What is done to the containers that services have, without making any: stop, start, restart, kill, pause, unpause.

use std::time::Duration;

use hyperbox_types::project::ProjectEvent;

use super::engine::{EngineError, StopWish};
use super::run::{OnFailure, Run, Summary, execute};
use super::telling;
use super::up::ready;
use crate::model::Model;
use crate::plan::{self, Observed, Plan, PlanError, with_dependencies};

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// They end, each before what it depends on.
    Stop,
    /// They start, each after what it depends on.
    Start {
        /// Whether the run ends only when all run or are healthy, and after which time that is given up.
        wait: Option<Option<Duration>>,
    },
    /// They end and start again.
    Restart {
        /// Whether what depends on them and is to restart with them is left alone.
        without_dependents: bool,
    },
    /// They get a signal; `SIGKILL` when none is said.
    Kill {
        /// Which.
        signal: Option<String>,
    },
    /// They are frozen.
    Pause,
    /// They go on.
    Unpause,
}

/// Does something to the containers of services; of all when none is named.
///
/// # Errors
/// Services that do not exist, the first failure of an operation.
pub async fn services(
    run: &Run<'_>,
    model: &Model,
    verb: &Verb,
    names: &[String],
    stop: StopWish,
    summary: &mut Summary,
) -> Result<(), EngineError> {
    let observed = run.engine.observe().await?;
    let plan = planned(model, &observed, verb, names)?;
    (run.tell)(ProjectEvent::Planned {
        operations: telling::planned(&plan, &observed),
    });
    for note in plan.notes() {
        run.note(note);
    }
    let on_failure = match verb {
        Verb::Start { .. } => OnFailure::Stop,
        _ => OnFailure::GoOn,
    };
    execute(run, &plan, stop, on_failure, summary).await?;
    if let Verb::Start { wait: Some(timeout) } = verb {
        let mut all = with_dependencies(model, names)?;
        all.retain(|name| observed.containers.iter().any(|container| container.service == *name));
        ready(run, &all, *timeout).await?;
    }
    Ok(())
}

fn planned(model: &Model, observed: &Observed, verb: &Verb, names: &[String]) -> Result<Plan, PlanError> {
    match verb {
        Verb::Stop => plan::stop(model, observed, names),
        Verb::Start { .. } => plan::start(model, observed, names),
        Verb::Restart { without_dependents } => plan::restart(model, observed, names, *without_dependents),
        Verb::Kill { signal } => plan::kill(model, observed, names, signal.as_deref()),
        Verb::Pause => plan::pause(model, observed, names),
        Verb::Unpause => plan::unpause(model, observed, names),
    }
}
