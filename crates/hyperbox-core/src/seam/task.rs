// SPDX-License-Identifier: MIT
//! The task runtime: a container's processes, whoever runs them.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;
use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::shim::{CgroupStats, CommandFault, ExitRecord, LogTarget, RuntimeChoice, Stdio, UserSpec};
use hyperbox_types::{ContainerId, ErrorKind, ExecId, RootMount, Signal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::trace::Trace;

/// Both directions of an attached stream.
///
/// Reading gives the framed output ([`hyperbox_types::stream`]) or, with a terminal, its raw bytes; the end of the stream means
/// that the process ended and everything was read. Writing gives standard input; shutting the writing side down is its end.
pub trait AttachIo: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> AttachIo for T {}

/// The far end of a stream that is attached before the process exists; handed over with [`LaunchTask`].
#[derive(Debug)]
pub struct PendingAttach {
    /// Which streams it carries.
    pub streams: Streams,
    /// The shim's end.
    pub stream: OwnedFd,
}

/// Everything that is needed to start a container's first process.
#[derive(Debug)]
pub struct LaunchTask {
    /// The container.
    pub container: ContainerId,
    /// OCI runtime configuration as JSON, without `linux.seccomp`; `root.path` and `process.user` are filled in later.
    pub spec: String,
    /// The configuration's `linux.seccomp` as JSON. Containers with the same profile share the text.
    pub seccomp: Option<Arc<str>>,
    /// How to mount the root filesystem.
    pub rootfs: RootMount,
    /// Whom to run as.
    pub user: UserSpec,
    /// Standard streams.
    pub stdio: Stdio,
    /// Where the output is kept.
    pub log: LogTarget,
    /// What runs the container.
    pub runtime: RuntimeChoice,
    /// Whether a small init process is pid 1.
    pub init: bool,
    /// The network namespace to join; `None` leaves it to the spec.
    pub network_namespace: Option<OwnedFd>,
    /// Streams that were attached before the start.
    pub attached: Vec<PendingAttach>,
    /// Files (absolute path, text) to write before the start, such as the container's `hosts`; the spec mounts them.
    pub files: Vec<(PathBuf, String)>,
    /// Where to note when what was done.
    pub trace: Option<Trace>,
}

/// How a task ended.
pub type TaskExit = ExitRecord;

/// What a task is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// It runs (or is frozen).
    Running,
    /// The first process ended; its output is complete.
    Exited(TaskExit),
    /// The shim vanished without leaving an exit record.
    Lost,
}

/// What is left of a task after the daemon restarted.
#[derive(Debug)]
pub enum Reattached {
    /// It lives on.
    Running {
        /// The task.
        task: Arc<dyn Task>,
        /// Whether it is frozen.
        paused: bool,
    },
    /// It ended meanwhile.
    Exited(TaskExit),
    /// Nothing is known of it.
    Gone,
}

/// An OCI runtime that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// The name used with `--runtime`.
    pub name: String,
    /// The executable; `None` for the embedded runtime.
    pub program: Option<PathBuf>,
    /// Its version, where nobody has to be asked; else [`TaskRuntime::runtime_version`] tells.
    pub version: Option<String>,
}

/// What a runtime says of its version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeVersion {
    /// Such as `1.3.6`.
    pub version: String,
    /// The commit that it was built from; empty when it does not say.
    pub commit: String,
}

/// Which log entries to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// Entries of standard output.
    pub stdout: bool,
    /// Entries of standard error.
    pub stderr: bool,
    /// Not before this moment (nanoseconds since the epoch).
    pub since_ns: Option<i64>,
    /// Not after this moment.
    pub until_ns: Option<i64>,
    /// Only the last so many lines (counted before `since` filters, after the choice of streams).
    pub tail: Option<u64>,
    /// Go on with new entries until the task ends.
    pub follow: bool,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Whether it came from standard error.
    pub stderr: bool,
    /// When, in nanoseconds since the epoch.
    pub time_ns: i64,
    /// The bytes, with their line end if they had one.
    pub bytes: Vec<u8>,
    /// What the entry tells of its container.
    pub attributes: BTreeMap<String, String>,
}

/// Log entries, oldest first.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogEntry, TaskError>> + Send>>;

/// Starts tasks and finds them again.
///
/// # Life of a task
/// 1. [`TaskRuntime::launch`] starts the process. When it returns `Ok`, the command was executed (`execve` succeeded). When it
///    returns an error, nothing is left: no process, mount, cgroup or namespace.
/// 2. The task goes on without the daemon. [`TaskRuntime::reattach`] finds it again after a restart.
/// 3. [`Task::status`] becomes `Exited` exactly once, after the exit record is on disk and the log is complete.
/// 4. [`TaskRuntime::discard`] removes everything that the task left: run directory, cgroups, records. It kills what still runs.
///    Idempotent, and right also for a task whose shim was killed.
///
/// Dropping a [`Task`] does nothing to its process.
#[async_trait]
pub trait TaskRuntime: Send + Sync + std::fmt::Debug {
    /// Starts a container's first process. Not cancel-safe: let it finish, or `discard` the container.
    async fn launch(&self, launch: LaunchTask) -> Result<Arc<dyn Task>, TaskError>;

    /// Makes a stream that can be handed over with [`LaunchTask::attached`].
    fn prepare_attach(&self, streams: Streams) -> Result<(Box<dyn AttachIo>, PendingAttach), TaskError>;

    /// Finds a task of an earlier daemon.
    async fn reattach(&self, container: &ContainerId) -> Result<Reattached, TaskError>;

    /// Removes whatever is left of a task.
    async fn discard(&self, container: &ContainerId) -> Result<(), TaskError>;

    /// Lists containers that have left anything, for the clean-up at start.
    fn remains(&self) -> Result<Vec<ContainerId>, TaskError>;

    /// Reads a log. Works for running and ended containers; with `follow` it ends when `ended` becomes true and all was read.
    async fn logs(
        &self,
        target: &LogTarget,
        query: LogQuery,
        ended: watch::Receiver<bool>,
    ) -> Result<LogStream, TaskError>;

    /// Removes a container's log files.
    async fn remove_logs(&self, target: &LogTarget) -> Result<(), TaskError>;

    /// Lists the runtimes that can be chosen; the default first.
    fn runtimes(&self) -> Vec<RuntimeInfo>;

    /// Returns the version of a runtime; an external one is asked once, with limited patience. `None` when it does not say.
    async fn runtime_version(&self, name: &str) -> Option<RuntimeVersion>;

    /// Returns the runtime of that name or path.
    ///
    /// # Errors
    /// `InvalidArgument` when there is none.
    fn choose(&self, name: &str) -> Result<RuntimeChoice, TaskError>;
}

/// A running container's processes.
#[async_trait]
pub trait Task: Send + Sync + std::fmt::Debug {
    /// Returns the first process's id in the daemon's pid namespace.
    fn pid(&self) -> u32;

    /// Returns the changing status. The sender lives as long as the task object.
    fn status(&self) -> watch::Receiver<TaskStatus>;

    /// Opens another attached stream of the container (`exec` is `None`) or of an exec.
    async fn attach(&self, exec: Option<&ExecId>, streams: Streams) -> Result<Box<dyn AttachIo>, TaskError>;

    /// Starts another process; returns its id in the daemon's pid namespace. `process` is JSON of the OCI `Process`.
    async fn exec(
        &self,
        exec: &ExecId,
        process: String,
        user: UserSpec,
        stdio: Stdio,
        attached: Vec<PendingAttach>,
    ) -> Result<u32, TaskError>;

    /// Waits for an exec to end and returns its exit code. Cancel-safe.
    ///
    /// # Errors
    /// `NotFound` when the shim does not know the exec.
    async fn wait_exec(&self, exec: &ExecId) -> Result<i32, TaskError>;

    /// Sends a signal to the first process, to an exec, or to all processes.
    async fn signal(&self, exec: Option<&ExecId>, signal: Signal, all: bool) -> Result<(), TaskError>;

    /// Sets the size of a terminal.
    async fn resize(&self, exec: Option<&ExecId>, size: TerminalSize) -> Result<(), TaskError>;

    /// Freezes all processes.
    async fn pause(&self) -> Result<(), TaskError>;

    /// Thaws all processes.
    async fn resume(&self) -> Result<(), TaskError>;

    /// Changes limits; the argument is JSON of the OCI `LinuxResources`.
    async fn update(&self, resources: String) -> Result<(), TaskError>;

    /// Returns how many processes of the container were killed for want of memory, as far as is known; it changes when one is.
    fn memory_kills(&self) -> watch::Receiver<u64>;

    /// Reads counters.
    async fn stats(&self) -> Result<CgroupStats, TaskError>;

    /// Lists process ids in the daemon's pid namespace.
    async fn processes(&self) -> Result<Vec<u32>, TaskError>;
}

/// Why a task operation failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// The class.
    pub kind: ErrorKind,
    /// What failed; complete, with causes, when it comes from a shim.
    pub message: String,
    /// Set when the command itself could not be executed.
    pub command: Option<CommandFault>,
    /// The cause below, if any.
    #[source]
    pub source: Option<std::io::Error>,
}

impl TaskError {
    /// Makes an error without a cause below.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            command: None,
            source: None,
        }
    }

    /// Makes an error of a failed system call.
    pub fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        Self {
            kind: super::content::io_kind(&source),
            message: message.into(),
            command: None,
            source: Some(source),
        }
    }
}
