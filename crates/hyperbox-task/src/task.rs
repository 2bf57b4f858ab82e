// SPDX-License-Identifier: MIT
//! A running container behind its shim.

use async_trait::async_trait;
use hyperbox_core::seam::{AttachIo, PendingAttach, Task, TaskError, TaskStatus};
use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::shim::{CgroupStats, ExecLaunch, FdRole, LaunchRecord, ShimCall, ShimReply, Stdio, UserSpec};
use hyperbox_types::{ErrorKind, ExecId, Signal};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::control::{Control, Messages};
use crate::run_directory::RunDirectory;

/// A task. Dropping it ends the connection, not the container.
#[derive(Debug)]
pub(crate) struct ShimTask {
    directory: RunDirectory,
    record: LaunchRecord,
    control: Control,
}

impl ShimTask {
    /// Takes over a connection on which the greeting was exchanged.
    pub(crate) fn new(directory: RunDirectory, record: LaunchRecord, messages: Messages, execs: Vec<ExecId>) -> Self {
        let control = Control::start(messages, directory.clone(), &record, execs);
        Self {
            directory,
            record,
            control,
        }
    }

    /// Returns what tells that the shim has ended.
    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.control.closed()
    }

    async fn command(&self, call: ShimCall) -> Result<(), TaskError> {
        match self.control.call(call, Vec::new()).await? {
            ShimReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

#[async_trait]
impl Task for ShimTask {
    fn pid(&self) -> u32 {
        self.record.init_pid
    }

    fn status(&self) -> watch::Receiver<TaskStatus> {
        self.control.status()
    }

    fn memory_kills(&self) -> watch::Receiver<u64> {
        self.control.memory_kills()
    }

    async fn attach(&self, exec: Option<&ExecId>, streams: Streams) -> Result<Box<dyn AttachIo>, TaskError> {
        let failed = |error| TaskError {
            kind: ErrorKind::FailedPrecondition,
            ..TaskError::io("the container's shim has ended", error)
        };
        let socket = self.directory.connect().await.map_err(failed)?;
        let call = ShimCall::Attach {
            exec: exec.cloned(),
            streams,
        };
        Ok(Box::new(attach(socket, call).await?))
    }

    async fn exec(
        &self,
        exec: &ExecId,
        process: String,
        user: UserSpec,
        stdio: Stdio,
        attached: Vec<PendingAttach>,
    ) -> Result<u32, TaskError> {
        let launch = ExecLaunch {
            exec: exec.clone(),
            process,
            user,
            stdio,
            fds: attached.iter().map(|pending| FdRole::Attach(pending.streams)).collect(),
        };
        let descriptors = attached.into_iter().map(|pending| pending.stream).collect();
        if !self.control.expect_exec(exec) {
            let message = format!("there is an exec {} in the container already", exec.short());
            return Err(TaskError::new(ErrorKind::AlreadyExists, message));
        }
        match self.control.call(ShimCall::Exec(Box::new(launch)), descriptors).await {
            Ok(ShimReply::Started { pid }) => Ok(pid),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => {
                self.control.forget_exec(exec);
                Err(error)
            }
        }
    }

    async fn wait_exec(&self, exec: &ExecId) -> Result<i32, TaskError> {
        let unknown = || {
            TaskError::new(
                ErrorKind::NotFound,
                format!("no exec {} in the container", exec.short()),
            )
        };
        let mut exit = self.control.exec_exit(exec).ok_or_else(unknown)?;
        let mut closed = self.control.closed();
        tokio::select! {
            // In this order: a code that arrived before the connection ended counts.
            biased;
            code = exit.wait_for(Option::is_some) => {
                code.ok().and_then(|code| *code).ok_or_else(unknown)
            }
            _ = closed.wait_for(|closed| *closed) => {
                Err(TaskError::new(ErrorKind::Unavailable, "the container's shim ended before the exec did"))
            }
        }
    }

    async fn signal(&self, exec: Option<&ExecId>, signal: Signal, all: bool) -> Result<(), TaskError> {
        self.command(ShimCall::Signal {
            exec: exec.cloned(),
            signal,
            all,
        })
        .await
    }

    async fn resize(&self, exec: Option<&ExecId>, size: TerminalSize) -> Result<(), TaskError> {
        self.command(ShimCall::Resize {
            exec: exec.cloned(),
            size,
        })
        .await
    }

    async fn pause(&self) -> Result<(), TaskError> {
        self.command(ShimCall::Pause).await
    }

    async fn resume(&self) -> Result<(), TaskError> {
        self.command(ShimCall::Resume).await
    }

    async fn update(&self, resources: String) -> Result<(), TaskError> {
        self.command(ShimCall::Update { resources }).await
    }

    async fn stats(&self) -> Result<CgroupStats, TaskError> {
        match self.control.call(ShimCall::Stats, Vec::new()).await? {
            ShimReply::Stats(stats) => Ok(*stats),
            other => Err(unexpected(&other)),
        }
    }

    async fn processes(&self) -> Result<Vec<u32>, TaskError> {
        match self.control.call(ShimCall::Processes, Vec::new()).await? {
            ShimReply::Processes { pids } => Ok(pids),
            other => Err(unexpected(&other)),
        }
    }
}

/// Turns a new connection into an attached stream.
async fn attach(socket: UnixStream, call: ShimCall) -> Result<UnixStream, TaskError> {
    let payload = crate::control::encode(0, call)?;
    crate::control::exchange(&socket, &payload).await?;
    Ok(socket)
}

fn unexpected(reply: &ShimReply) -> TaskError {
    TaskError::new(
        ErrorKind::Internal,
        format!("the shim gave an unexpected answer: {reply:?}"),
    )
}
