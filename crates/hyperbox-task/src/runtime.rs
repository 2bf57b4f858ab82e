// SPDX-License-Identifier: MIT
//! Launches tasks through the launcher and finds them again.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hyperbox_core::seam::{
    AttachIo, LaunchTask, LogQuery, LogStream, PendingAttach, Reattached, RuntimeInfo, RuntimeVersion, Task, TaskError,
    TaskRuntime,
};
use hyperbox_core::trace::Trace;
use hyperbox_sys::message;
use hyperbox_types::run::Streams;
use hyperbox_types::shim::{FdRole, Launch, LaunchRecord, LogTarget, MAX_MESSAGE, RuntimeChoice, ShimMessage};
use hyperbox_types::{ContainerId, ErrorKind};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::config::Config;
use crate::control::{Messages, from_shim};
use crate::discard::{discard, remove_remains};
use crate::launcher::Launcher;
use crate::reattach::{Greeting, end_orphan, greet};
use crate::run_directory::{RunDirectories, RunDirectory};
use crate::runtimes::Versions;
use crate::task::ShimTask;
use crate::{logs, runtimes};

/// How long a shim of ours that has reported the exit may take to clean up before `discard` looks closer.
const LINGER: Duration = Duration::from_millis(500);

/// The task runtime over shims.
#[derive(Debug)]
pub struct ShimTaskRuntime {
    config: Config,
    directories: RunDirectories,
    launcher: Launcher,
    versions: Versions,
    /// Tells when the shims that this daemon is connected to have ended.
    shims: Mutex<HashMap<ContainerId, watch::Receiver<bool>>>,
}

impl ShimTaskRuntime {
    /// Opens the run directory and finds the shim program. Nothing is started before it is needed.
    ///
    /// # Errors
    /// When the run directory cannot be made, or the shim program is not there.
    pub fn open(config: Config) -> Result<Self, TaskError> {
        let directories = RunDirectories::open(&config.run_dir)?;
        let program = match &config.shim_program {
            Some(program) => program.clone(),
            None => beside_this_program()?,
        };
        std::fs::metadata(&program)
            .map_err(|error| TaskError::io(format!("cannot use the shim program {}", program.display()), error))?;
        Ok(Self {
            launcher: Launcher::new(program, config.descriptors),
            config,
            directories,
            versions: Versions::default(),
            shims: Mutex::new(HashMap::new()),
        })
    }

    /// Starts the launcher, so that the first container need not wait for it.
    ///
    /// # Errors
    /// When the shim program cannot be executed.
    pub async fn warm_up(&self) -> Result<(), TaskError> {
        self.launcher.warm_up().await
    }

    fn adopt(&self, container: &ContainerId, task: ShimTask) -> Arc<dyn Task> {
        self.shims().insert(container.clone(), task.closed());
        Arc::new(task)
    }

    fn shims(&self) -> MutexGuard<'_, HashMap<ContainerId, watch::Receiver<bool>>> {
        // The map is never left half-changed, so a panic elsewhere does not spoil it.
        self.shims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the run directory, over the remains of an earlier run of the container if there are any.
    async fn prepare_directory(&self, container: &ContainerId) -> Result<RunDirectory, TaskError> {
        let directory = self.directories.of(container);
        let failed = |error| TaskError::io(format!("cannot make {}", directory.path().display()), error);
        match directory.create() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if greet(&directory).await?.is_some_and(|greeting| greeting.exit.is_none()) {
                    return Err(TaskError::new(
                        ErrorKind::FailedPrecondition,
                        "the container runs already",
                    ));
                }
                self.discard(container).await?;
                directory.create().map_err(failed)?;
            }
            result => result.map_err(failed)?,
        }
        Ok(directory)
    }

    /// Asks the launcher for a shim. A launcher that dies before it has forked takes the request with it: then it is made again.
    async fn request(&self, launch: LaunchTask, directory: &RunDirectory) -> Result<ShimTask, TaskError> {
        let mut fds = vec![FdRole::Control];
        let mut passed = Vec::new();
        if let Some(namespace) = launch.network_namespace {
            fds.push(FdRole::NetworkNamespace);
            passed.push(namespace);
        }
        for pending in launch.attached {
            fds.push(FdRole::Attach(pending.streams));
            passed.push(pending.stream);
        }
        let trace = launch.trace;
        let request = Launch {
            container: launch.container,
            run_dir: directory.path().to_owned(),
            spec: launch.spec,
            seccomp: launch.seccomp.map(|profile| profile.to_string()),
            rootfs: launch.rootfs,
            user: launch.user,
            stdio: launch.stdio,
            log: launch.log,
            runtime: launch.runtime,
            init: launch.init,
            fds,
            trace: trace.is_some(),
        };
        let bytes = serde_json::to_vec(&request)
            .map_err(io::Error::other)
            .and_then(|payload| message::frame(&payload, MAX_MESSAGE))
            .map_err(|error| TaskError::io("cannot encode the launch request", error))?;
        let mut messages = self.send(&bytes, &passed).await?;
        if let Some(trace) = &trace {
            trace.mark("request sent to the launcher");
        }
        let record = match launched(&mut messages, trace.as_ref()).await? {
            Some(record) => record,
            None if directory.is_empty() && self.launcher.has_died().await => {
                messages = self.send(&bytes, &passed).await?;
                launched(&mut messages, trace.as_ref()).await?.ok_or_else(no_answer)?
            }
            None => return Err(no_answer()),
        };
        if let Some(trace) = &trace {
            trace.mark("shim heard");
        }
        Ok(ShimTask::new(directory.clone(), record, messages, Vec::new()))
    }

    /// Sends a launch request with a new control connection, and returns our end of that.
    async fn send(&self, request: &[u8], passed: &[OwnedFd]) -> Result<Messages, TaskError> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| TaskError::io("cannot make a socket", error))?;
        // Only the shim may hold its end afterwards, or its end would never be seen.
        let theirs = into_blocking(theirs)?;
        let descriptors: Vec<BorrowedFd<'_>> = std::iter::once(theirs.as_fd())
            .chain(passed.iter().map(AsFd::as_fd))
            .collect();
        self.launcher.send(request, &descriptors).await?;
        Ok(Messages::new(ours))
    }
}

#[async_trait]
impl TaskRuntime for ShimTaskRuntime {
    async fn launch(&self, launch: LaunchTask) -> Result<Arc<dyn Task>, TaskError> {
        for (path, text) in &launch.files {
            std::fs::write(path, text)
                .map_err(|error| TaskError::io(format!("cannot write {}", path.display()), error))?;
        }
        let container = launch.container.clone();
        let directory = self.prepare_directory(&container).await?;
        match self.request(launch, &directory).await {
            Ok(task) => Ok(self.adopt(&container, task)),
            Err(error) => {
                // The first error is the one to report; what cannot be removed now is found as remains later.
                if let Err(error) = discard(&directory).await {
                    tracing::warn!(%container, %error, "cannot clean up after a failed launch");
                }
                Err(error)
            }
        }
    }

    fn prepare_attach(&self, streams: Streams) -> Result<(Box<dyn AttachIo>, PendingAttach), TaskError> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| TaskError::io("cannot make a socket", error))?;
        let stream = into_blocking(theirs)?;
        Ok((Box::new(ours), PendingAttach { streams, stream }))
    }

    async fn reattach(&self, container: &ContainerId) -> Result<Reattached, TaskError> {
        let directory = self.directories.of(container);
        if let Some(greeting) = greet(&directory).await? {
            let Greeting {
                messages,
                record,
                exit,
                paused,
                execs,
            } = greeting;
            if let Some(exit) = exit {
                return Ok(Reattached::Exited(exit));
            }
            let task = self.adopt(container, ShimTask::new(directory, record, messages, execs));
            return Ok(Reattached::Running { task, paused });
        }
        if let Some(exit) = directory.exit_record() {
            return Ok(Reattached::Exited(exit));
        }
        Ok(end_orphan(&directory)
            .await?
            .map_or(Reattached::Gone, Reattached::Exited))
    }

    async fn discard(&self, container: &ContainerId) -> Result<(), TaskError> {
        let closed = self.shims().remove(container);
        let directory = self.directories.of(container);
        if let (Some(mut closed), true) = (closed, directory.exit_record().is_some()) {
            // The usual case: the shim is in its last moments, or waits for somebody to read the rest of the output. Any other is
            // looked into below.
            let waited = tokio::time::timeout(LINGER, closed.wait_for(|closed| *closed)).await;
            let unknown = matches!(waited, Ok(Err(_)));
            drop(waited);
            if !unknown {
                return remove_remains(&directory).await;
            }
        }
        discard(&directory).await
    }

    fn remains(&self) -> Result<Vec<ContainerId>, TaskError> {
        self.directories.list()
    }

    async fn logs(
        &self,
        target: &LogTarget,
        query: LogQuery,
        ended: watch::Receiver<bool>,
    ) -> Result<LogStream, TaskError> {
        logs::read(target, query, ended)
    }

    async fn remove_logs(&self, target: &LogTarget) -> Result<(), TaskError> {
        logs::remove(target)
    }

    fn runtimes(&self) -> Vec<RuntimeInfo> {
        runtimes::list(&self.config)
    }

    async fn runtime_version(&self, name: &str) -> Option<RuntimeVersion> {
        match runtimes::choose(&self.config, name).ok()? {
            RuntimeChoice::Embedded => Some(runtimes::embedded_version()),
            RuntimeChoice::External { program, .. } => self.versions.of(&program).await,
        }
    }

    fn choose(&self, name: &str) -> Result<RuntimeChoice, TaskError> {
        runtimes::choose(&self.config, name)
    }
}

/// Waits for the news of a launch; `None` when the shim ended, or never was, without any.
async fn launched(messages: &mut Messages, trace: Option<&Trace>) -> Result<Option<LaunchRecord>, TaskError> {
    let mut news = messages.next().await;
    if let Ok(Some(ShimMessage::Traced { marks })) = news {
        if let Some(trace) = trace {
            trace.extend(marks);
        }
        news = messages.next().await;
    }
    match news {
        Ok(Some(ShimMessage::Launched(record))) => Ok(Some(record)),
        Ok(Some(ShimMessage::LaunchFailed(error))) => Err(from_shim(error)),
        Ok(Some(_)) => Err(TaskError::new(ErrorKind::Internal, "the shim spoke out of turn")),
        Ok(None) => Ok(None),
        Err(error) => Err(TaskError::io("cannot read from the shim", error)),
    }
}

fn no_answer() -> TaskError {
    TaskError::new(ErrorKind::Unavailable, "the shim ended before the container ran")
}

/// Takes a socket out of the event loop's hands; who receives it decides anew whether it blocks.
fn into_blocking(socket: UnixStream) -> Result<OwnedFd, TaskError> {
    socket
        .into_std()
        .map(OwnedFd::from)
        .map_err(|error| TaskError::io("cannot hand over a socket", error))
}

fn beside_this_program() -> Result<PathBuf, TaskError> {
    let own = std::env::current_exe().map_err(|error| TaskError::io("cannot find this program", error))?;
    Ok(own.with_file_name("hyperbox-shim"))
}
