// SPDX-License-Identifier: MIT
//! Finds a container of an earlier daemon: a living shim, an exit record, or what a killed shim left.

use std::time::Duration;

use hyperbox_core::seam::TaskError;
use hyperbox_types::shim::{ExitRecord, LaunchRecord, ShimCall, ShimReply};
use hyperbox_types::{ErrorKind, ExecId};

use crate::control::Messages;
use crate::process::Process;
use crate::run_directory::RunDirectory;

/// A shim answers at once, except while it starts its container.
const PATIENCE: Duration = Duration::from_secs(30);

/// A killed process is gone by then.
const DEATH: Duration = Duration::from_secs(10);

/// A shim that answered.
#[derive(Debug)]
pub(crate) struct Greeting {
    /// The connection.
    pub(crate) messages: Messages,
    /// What it has made.
    pub(crate) record: LaunchRecord,
    /// Set when the container has ended and its output is complete.
    pub(crate) exit: Option<ExitRecord>,
    /// Whether the container is frozen.
    pub(crate) paused: bool,
    /// Execs that run.
    pub(crate) execs: Vec<ExecId>,
}

/// Greets the shim; `None` when there is none, or when it ends instead of answering.
pub(crate) async fn greet(directory: &RunDirectory) -> Result<Option<Greeting>, TaskError> {
    let Ok(socket) = directory.connect().await else {
        return Ok(None);
    };
    let mut messages = Messages::new(socket);
    let Ok(answer) = tokio::time::timeout(PATIENCE, messages.ask(ShimCall::Hello)).await else {
        let message = format!("the shim in {} does not answer", directory.path().display());
        return Err(TaskError::new(ErrorKind::Unavailable, message));
    };
    match answer {
        Ok(ShimReply::Hello {
            record,
            exit,
            paused,
            execs,
            ..
        }) => Ok(Some(Greeting {
            messages,
            record,
            exit,
            paused,
            execs,
        })),
        Ok(_) => Err(TaskError::new(
            ErrorKind::Internal,
            "the shim gave an unexpected greeting",
        )),
        Err(_) => Ok(None),
    }
}

/// Ends a container whose shim is gone, as nobody could look after it. Returns its exit if it had been alive.
pub(crate) async fn end_orphan(directory: &RunDirectory) -> Result<Option<ExitRecord>, TaskError> {
    let Some(record) = directory.launch_record() else {
        return Ok(None);
    };
    let alive = Process::find(record.init_pid, record.init_start_time);
    if let Some(init) = &alive {
        init.kill()
            .map_err(|error| TaskError::io(format!("cannot kill process {}", record.init_pid), error))?;
    }
    // Also thaws frozen processes, without which the kill has no effect.
    crate::cgroup::remove(&record.cgroups).await?;
    let Some(init) = alive else {
        return Ok(None);
    };
    init.wait(DEATH)
        .await
        .map_err(|error| TaskError::io(format!("process {} does not end", record.init_pid), error))?;
    Ok(Some(ExitRecord {
        code: init.exit_code().unwrap_or(128 + 9),
        finished_at_ns: crate::logs::now_ns(),
        out_of_memory: false,
    }))
}
