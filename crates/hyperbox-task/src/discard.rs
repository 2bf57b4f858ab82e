// SPDX-License-Identifier: MIT
//! Removes whatever a task left, whatever state its shim is in.

use std::time::Duration;

use hyperbox_core::seam::TaskError;
use hyperbox_types::shim::{LaunchRecord, ShimCall};

use crate::control::Messages;
use crate::process::Process;
use crate::reattach::{Greeting, end_orphan, greet};
use crate::run_directory::RunDirectory;

/// How long a shim may take to finish after its container was killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a shim that has reported the exit may take to clean up. Beyond that it is only waiting for somebody to read the
/// rest of the output, which needs nothing of what is removed here.
const LINGER: Duration = Duration::from_millis(500);

/// Kills what runs and removes everything. Idempotent.
pub(crate) async fn discard(directory: &RunDirectory) -> Result<(), TaskError> {
    if !directory.exists() {
        return Ok(());
    }
    if let Some(greeting) = greet(directory).await? {
        end_shim(greeting).await?;
    }
    remove_remains(directory).await
}

/// Removes what is left when there is no shim any more, or none that does more than wait for readers. Idempotent.
pub(crate) async fn remove_remains(directory: &RunDirectory) -> Result<(), TaskError> {
    end_orphan(directory).await?;
    directory
        .remove()
        .map_err(|error| TaskError::io(format!("cannot remove {}", directory.path().display()), error))
}

/// Ends a living shim by ending its container, and kills it when that does not help.
async fn end_shim(greeting: Greeting) -> Result<(), TaskError> {
    let Greeting {
        mut messages,
        record,
        exit,
        paused,
        ..
    } = greeting;
    if exit.is_some() {
        // Whether it is done or lingers, there is nothing left to kill.
        let _ = tokio::time::timeout(LINGER, end_of(&mut messages)).await;
        return Ok(());
    }
    let shim = Process::open(record.shim_pid);
    if let Some(init) = Process::find(record.init_pid, record.init_start_time) {
        init.kill()
            .map_err(|error| TaskError::io(format!("cannot kill process {}", record.init_pid), error))?;
    }
    if paused {
        // A frozen process of v1 dies only when it is thawed; a shim that cannot do that is killed below.
        drop(tokio::time::timeout(PATIENCE, messages.ask(ShimCall::Resume)).await);
    }
    if tokio::time::timeout(PATIENCE, end_of(&mut messages)).await.is_err() {
        kill_shim(shim, &record).await?;
    }
    Ok(())
}

async fn end_of(messages: &mut Messages) {
    while let Ok(Some(_)) = messages.next().await {}
}

async fn kill_shim(shim: Option<Process>, record: &LaunchRecord) -> Result<(), TaskError> {
    let Some(shim) = shim else {
        return Ok(());
    };
    tracing::warn!(shim = record.shim_pid, "a shim does not end and is killed");
    let failed = |error| TaskError::io(format!("cannot kill shim {}", record.shim_pid), error);
    shim.kill().map_err(failed)?;
    shim.wait(PATIENCE).await.map_err(failed)
}
