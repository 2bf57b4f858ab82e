// SPDX-License-Identifier: MIT
//! The pretended task runtime: what is launched, what is left, and the logs.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::stream;
use hyperbox_core::seam::{
    AttachIo, LaunchTask, LogEntry, LogQuery, LogStream, PendingAttach, Reattached, RuntimeInfo, RuntimeVersion, Task,
    TaskError, TaskRuntime, TaskStatus,
};
use hyperbox_types::run::Streams;
use hyperbox_types::shim::{LogTarget, RuntimeChoice, Stdio, UserSpec};
use hyperbox_types::{ContainerId, ErrorKind, RootMount};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::running::FakeTask;
use crate::fake::fault::{Faults, lock};

/// What a container does by itself once it is launched.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Bytes for standard output.
    pub stdout: Vec<u8>,
    /// Bytes for standard error.
    pub stderr: Vec<u8>,
    /// The exit code; `None` runs until told.
    pub exit: Option<i32>,
}

/// What a container was launched with.
#[derive(Debug, Clone)]
pub struct LaunchedTask {
    /// The container.
    pub container: ContainerId,
    /// OCI runtime configuration as JSON.
    pub spec: String,
    /// Root filesystem.
    pub rootfs: RootMount,
    /// User.
    pub user: UserSpec,
    /// Standard streams.
    pub stdio: Stdio,
    /// Runtime.
    pub runtime: RuntimeChoice,
    /// Whether a small init was asked for.
    pub init: bool,
    /// Whether a network namespace was handed over.
    pub has_network_namespace: bool,
    /// Files to write.
    pub files: Vec<(PathBuf, String)>,
}

/// A [`TaskRuntime`] whose tasks are in the hands of the test.
#[derive(Debug, Clone, Default)]
pub struct FakeTaskRuntime {
    state: Arc<Mutex<State>>,
    launch_faults: Faults<TaskError>,
}

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<ContainerId, Arc<FakeTask>>,
    logs: BTreeMap<PathBuf, LogBook>,
    launched: Vec<LaunchedTask>,
    scripts: VecDeque<Script>,
}

/// The entries of one log; clones share them.
#[derive(Debug, Clone)]
pub(super) struct LogBook {
    entries: Arc<Mutex<Vec<LogEntry>>>,
    changed: watch::Sender<usize>,
}

impl Default for LogBook {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl LogBook {
    pub(super) fn append(&self, stderr: bool, bytes: &[u8]) {
        let mut entries = lock(&self.entries);
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        entries.extend(lines.map(|line| LogEntry {
            stderr,
            time_ns: now_ns(),
            bytes: line.to_vec(),
            attributes: BTreeMap::new(),
        }));
        self.changed.send_replace(entries.len());
    }
}

pub(super) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

impl FakeTaskRuntime {
    /// Makes a runtime without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next launch fail with this error, leaving nothing.
    pub fn fail_next_launch(&self, error: TaskError) {
        self.launch_faults.push(error);
    }

    /// Gives the next launched container something to do by itself.
    pub fn script_next(&self, script: Script) {
        lock(&self.state).scripts.push_back(script);
    }

    /// Returns the task of a container.
    pub fn task(&self, container: &ContainerId) -> Option<Arc<FakeTask>> {
        lock(&self.state).tasks.get(container).cloned()
    }

    /// Returns what was launched, in order.
    pub fn launched(&self) -> Vec<LaunchedTask> {
        lock(&self.state).launched.clone()
    }

    fn log_book(&self, target: &LogTarget) -> LogBook {
        match target {
            LogTarget::None => LogBook::default(),
            LogTarget::JsonFile { path, .. } => lock(&self.state).logs.entry(path.clone()).or_default().clone(),
        }
    }
}

#[async_trait]
impl TaskRuntime for FakeTaskRuntime {
    async fn launch(&self, launch: LaunchTask) -> Result<Arc<dyn Task>, TaskError> {
        tokio::task::yield_now().await;
        // A script is for the next launch, whether it succeeds or not.
        let script = lock(&self.state).scripts.pop_front();
        self.launch_faults.check()?;
        let log = self.log_book(&launch.log);
        let mut state = lock(&self.state);
        if state.tasks.contains_key(&launch.container) {
            return Err(TaskError::new(
                ErrorKind::AlreadyExists,
                "the container has a task already",
            ));
        }
        let pid = 1000 + 100 * u32::try_from(state.launched.len()).unwrap_or(0);
        let task = Arc::new(FakeTask::new(pid, launch.stdio, log));
        task.attach_pending(task.first_process(), launch.attached)?;
        state.launched.push(LaunchedTask {
            container: launch.container.clone(),
            spec: launch.spec,
            rootfs: launch.rootfs,
            user: launch.user,
            stdio: launch.stdio,
            runtime: launch.runtime,
            init: launch.init,
            has_network_namespace: launch.network_namespace.is_some(),
            files: launch.files,
        });
        state.tasks.insert(launch.container, Arc::clone(&task));
        drop(state);
        if let Some(script) = script {
            task.write_stdout(&script.stdout);
            task.write_stderr(&script.stderr);
            if let Some(code) = script.exit {
                task.exit(code);
            }
        }
        Ok(task)
    }

    fn prepare_attach(&self, streams: Streams) -> Result<(Box<dyn AttachIo>, PendingAttach), TaskError> {
        let pair = || -> std::io::Result<_> {
            let (ours, theirs) = UnixStream::pair()?;
            Ok((ours, theirs.into_std()?))
        };
        let (ours, theirs) = pair().map_err(|error| TaskError::io("make a socket pair", error))?;
        let pending = PendingAttach {
            streams,
            stream: theirs.into(),
        };
        Ok((Box::new(ours), pending))
    }

    async fn reattach(&self, container: &ContainerId) -> Result<Reattached, TaskError> {
        tokio::task::yield_now().await;
        let Some(task) = self.task(container) else {
            return Ok(Reattached::Gone);
        };
        let status = task.status().borrow().clone();
        Ok(match status {
            TaskStatus::Running => Reattached::Running {
                paused: task.paused(),
                task,
            },
            TaskStatus::Exited(exit) => Reattached::Exited(exit),
            TaskStatus::Lost => Reattached::Gone,
        })
    }

    async fn discard(&self, container: &ContainerId) -> Result<(), TaskError> {
        tokio::task::yield_now().await;
        let task = lock(&self.state).tasks.remove(container);
        if let Some(task) = task {
            task.exit(137);
        }
        Ok(())
    }

    fn remains(&self) -> Result<Vec<ContainerId>, TaskError> {
        Ok(lock(&self.state).tasks.keys().cloned().collect())
    }

    async fn logs(
        &self,
        target: &LogTarget,
        query: LogQuery,
        ended: watch::Receiver<bool>,
    ) -> Result<LogStream, TaskError> {
        tokio::task::yield_now().await;
        let book = self.log_book(target);
        let chosen = |entry: &LogEntry| if entry.stderr { query.stderr } else { query.stdout };
        let length = {
            let entries = lock(&book.entries);
            entries.iter().filter(|entry| chosen(entry)).count()
        };
        let tail = query
            .tail
            .map_or(length, |tail| usize::try_from(tail).unwrap_or(usize::MAX).min(length));
        let reader = LogReader {
            changed: book.changed.subscribe(),
            book,
            query,
            ended,
            position: 0,
            skip: length - tail,
        };
        Ok(Box::pin(stream::unfold(reader, LogReader::next)))
    }

    async fn remove_logs(&self, target: &LogTarget) -> Result<(), TaskError> {
        tokio::task::yield_now().await;
        if let LogTarget::JsonFile { path, .. } = target {
            lock(&self.state).logs.remove(path);
        }
        Ok(())
    }

    fn runtimes(&self) -> Vec<RuntimeInfo> {
        vec![RuntimeInfo {
            name: "hyperbox".to_owned(),
            program: None,
            version: None,
        }]
    }

    async fn runtime_version(&self, name: &str) -> Option<RuntimeVersion> {
        (name == "hyperbox").then(RuntimeVersion::default)
    }

    fn choose(&self, name: &str) -> Result<RuntimeChoice, TaskError> {
        match name {
            "hyperbox" => Ok(RuntimeChoice::Embedded),
            other => Err(TaskError::new(
                ErrorKind::InvalidArgument,
                format!("unknown or invalid runtime name: {other}"),
            )),
        }
    }
}

struct LogReader {
    book: LogBook,
    changed: watch::Receiver<usize>,
    query: LogQuery,
    ended: watch::Receiver<bool>,
    position: usize,
    skip: usize,
}

impl LogReader {
    async fn next(mut self) -> Option<(Result<LogEntry, TaskError>, Self)> {
        loop {
            // Looked at before the entries: what was written before the end is still read.
            let ended = *self.ended.borrow() || self.ended.has_changed().is_err();
            let entry = lock(&self.book.entries).get(self.position).cloned();
            if let Some(entry) = entry {
                self.position += 1;
                if self.wanted(&entry) {
                    return Some((Ok(entry), self));
                }
                continue;
            }
            if !self.query.follow || ended {
                return None;
            }
            // Either way the loop looks again; a lost sender counts as the end.
            tokio::select! {
                _ = self.changed.wait_for(|length| *length > self.position) => {}
                _ = self.ended.changed() => {}
            }
        }
    }

    fn wanted(&mut self, entry: &LogEntry) -> bool {
        if !(if entry.stderr {
            self.query.stderr
        } else {
            self.query.stdout
        }) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.query.since_ns.is_none_or(|since| entry.time_ns >= since)
            && self.query.until_ns.is_none_or(|until| entry.time_ns <= until)
    }
}
