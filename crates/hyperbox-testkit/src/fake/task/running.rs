// SPDX-License-Identifier: MIT
//! A pretended task.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyperbox_core::seam::{AttachIo, PendingAttach, Task, TaskError, TaskExit, TaskStatus};
use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::shim::{CgroupStats, Stdio, UserSpec};
use hyperbox_types::stream::Channel;
use hyperbox_types::{ErrorKind, ExecId, Signal};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::process::Process;
use super::runtime::{LogBook, Script, now_ns};
use crate::fake::fault::lock;

/// A container's task, in the hands of the test.
#[derive(Debug)]
pub struct FakeTask {
    pid: u32,
    process: Process,
    log: LogBook,
    status: watch::Sender<TaskStatus>,
    memory_kills: watch::Sender<u64>,
    execs: Mutex<BTreeMap<ExecId, Arc<Process>>>,
    /// Whether execs wait before they start.
    execs_held: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    paused: bool,
    ignored: Vec<Signal>,
    signals: Vec<Signal>,
    sizes: Vec<TerminalSize>,
    updates: Vec<String>,
    exec_script: Option<Script>,
    stats: CgroupStats,
}

impl FakeTask {
    pub(super) fn new(pid: u32, stdio: Stdio, log: LogBook) -> Self {
        Self {
            pid,
            process: Process::new(stdio),
            log,
            status: watch::Sender::new(TaskStatus::Running),
            memory_kills: watch::Sender::new(0),
            execs: Mutex::default(),
            execs_held: watch::Sender::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn attach_pending(&self, process: &Process, pending: Vec<PendingAttach>) -> Result<(), TaskError> {
        for PendingAttach { streams, stream } in pending {
            let stream = std::os::unix::net::UnixStream::from(stream);
            let adopt = |stream: std::os::unix::net::UnixStream| {
                stream.set_nonblocking(true)?;
                UnixStream::from_std(stream)
            };
            process.attach(streams, adopt(stream).map_err(|error| TaskError::io("attach", error))?);
        }
        Ok(())
    }

    pub(super) fn first_process(&self) -> &Process {
        &self.process
    }

    /// Writes to standard output: to the log and to everybody attached.
    pub fn write_stdout(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.log.append(false, bytes);
        self.process.write(Channel::Stdout, bytes);
    }

    /// Writes to standard error.
    pub fn write_stderr(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.log.append(true, bytes);
        self.process.write(Channel::Stderr, bytes);
    }

    /// Writes to the standard output of an exec.
    pub fn write_exec_stdout(&self, exec: &ExecId, bytes: &[u8]) {
        if let Some(process) = lock(&self.execs).get(exec) {
            process.write(Channel::Stdout, bytes);
        }
    }

    /// Ends the task with this code, and all its execs as if killed.
    pub fn exit(&self, code: i32) {
        self.end(code, false);
    }

    /// Ends the task as the kernel does when memory runs out.
    pub fn exit_out_of_memory(&self) {
        self.end(137, true);
    }

    /// Makes the task's supervisor vanish without an exit record.
    pub fn lose(&self) {
        self.process.end(-1);
        self.status.send_replace(TaskStatus::Lost);
    }

    /// Ends an exec.
    pub fn exit_exec(&self, exec: &ExecId, code: i32) {
        if let Some(process) = lock(&self.execs).get(exec) {
            process.end(code);
        }
    }

    /// From now on, every exec does this by itself once it is started.
    pub fn script_execs(&self, script: Script) {
        lock(&self.state).exec_script = Some(script);
    }

    /// Makes execs wait before they start, or lets them.
    pub fn hold_execs(&self, held: bool) {
        self.execs_held.send_replace(held);
    }

    /// From now on, this signal does nothing (it is still recorded).
    pub fn ignore(&self, signal: Signal) {
        lock(&self.state).ignored.push(signal);
    }

    /// Sets what [`Task::stats`] returns.
    pub fn set_stats(&self, stats: CgroupStats) {
        lock(&self.state).stats = stats;
    }

    /// Returns everything that arrived on standard input.
    pub fn input(&self) -> Vec<u8> {
        self.process.input()
    }

    /// Returns the signals that the first process got, in order.
    pub fn signals(&self) -> Vec<Signal> {
        lock(&self.state).signals.clone()
    }

    /// Returns the terminal sizes that were set, in order.
    pub fn sizes(&self) -> Vec<TerminalSize> {
        lock(&self.state).sizes.clone()
    }

    /// Returns the limits that were set, in order.
    pub fn updates(&self) -> Vec<String> {
        lock(&self.state).updates.clone()
    }

    /// Returns whether the task is frozen.
    pub fn paused(&self) -> bool {
        lock(&self.state).paused
    }

    /// Returns the ids of the execs that were started.
    pub fn execs(&self) -> Vec<ExecId> {
        lock(&self.execs).keys().cloned().collect()
    }

    /// Tells that the kernel has killed a process of the container for want of memory; the first one lives on.
    pub fn kill_for_memory(&self) {
        self.memory_kills.send_modify(|kills| *kills += 1);
    }

    fn end(&self, code: i32, out_of_memory: bool) {
        if out_of_memory {
            self.kill_for_memory();
        }
        for exec in lock(&self.execs).values() {
            exec.end(137);
        }
        if self.process.end(code) {
            self.status.send_replace(TaskStatus::Exited(TaskExit {
                code,
                finished_at_ns: now_ns(),
                out_of_memory,
            }));
        }
    }

    fn require_running(&self) -> Result<(), TaskError> {
        match self.process.exit_code() {
            None => Ok(()),
            Some(_) => Err(TaskError::new(ErrorKind::FailedPrecondition, "the process has ended")),
        }
    }

    fn exec_process(&self, exec: &ExecId) -> Result<Arc<Process>, TaskError> {
        let found = lock(&self.execs).get(exec).cloned();
        found.ok_or_else(|| TaskError::new(ErrorKind::NotFound, format!("no exec {}", exec.short())))
    }
}

#[async_trait]
impl Task for FakeTask {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn status(&self) -> watch::Receiver<TaskStatus> {
        self.status.subscribe()
    }

    fn memory_kills(&self) -> watch::Receiver<u64> {
        self.memory_kills.subscribe()
    }

    async fn attach(&self, exec: Option<&ExecId>, streams: Streams) -> Result<Box<dyn AttachIo>, TaskError> {
        tokio::task::yield_now().await;
        let (ours, theirs) = UnixStream::pair().map_err(|error| TaskError::io("make a socket pair", error))?;
        match exec {
            None => {
                self.require_running()?;
                self.process.attach(streams, theirs);
            }
            Some(exec) => self.exec_process(exec)?.attach(streams, theirs),
        }
        Ok(Box::new(ours))
    }

    async fn exec(
        &self,
        exec: &ExecId,
        _process: String,
        _user: UserSpec,
        stdio: Stdio,
        attached: Vec<PendingAttach>,
    ) -> Result<u32, TaskError> {
        tokio::task::yield_now().await;
        self.require_running()?;
        // The sender is `self.execs_held`, which lives as long as this borrow.
        let _open = self.execs_held.subscribe().wait_for(|held| !held).await.is_ok();
        let process = Arc::new(Process::new(stdio));
        self.attach_pending(&process, attached)?;
        let count = {
            let mut execs = lock(&self.execs);
            execs.insert(exec.clone(), Arc::clone(&process));
            execs.len()
        };
        if let Some(script) = lock(&self.state).exec_script.clone() {
            process.perform(&script);
        }
        Ok(self.pid + u32::try_from(count).unwrap_or(0))
    }

    async fn wait_exec(&self, exec: &ExecId) -> Result<i32, TaskError> {
        let process = self.exec_process(exec)?;
        Ok(process.ended().await)
    }

    async fn signal(&self, exec: Option<&ExecId>, signal: Signal, all: bool) -> Result<(), TaskError> {
        tokio::task::yield_now().await;
        self.require_running()?;
        let deadly = signal.number() != 0 && !lock(&self.state).ignored.contains(&signal);
        if let Some(exec) = exec {
            let process = self.exec_process(exec)?;
            if deadly {
                process.end(128 + signal.number());
            }
            return Ok(());
        }
        lock(&self.state).signals.push(signal);
        if deadly || (all && signal == Signal::KILL) {
            self.end(128 + signal.number(), false);
        }
        Ok(())
    }

    async fn resize(&self, exec: Option<&ExecId>, size: TerminalSize) -> Result<(), TaskError> {
        tokio::task::yield_now().await;
        if let Some(exec) = exec {
            self.exec_process(exec)?;
        }
        lock(&self.state).sizes.push(size);
        Ok(())
    }

    async fn pause(&self) -> Result<(), TaskError> {
        tokio::task::yield_now().await;
        self.require_running()?;
        lock(&self.state).paused = true;
        Ok(())
    }

    async fn resume(&self) -> Result<(), TaskError> {
        tokio::task::yield_now().await;
        self.require_running()?;
        lock(&self.state).paused = false;
        Ok(())
    }

    async fn update(&self, resources: String) -> Result<(), TaskError> {
        tokio::task::yield_now().await;
        self.require_running()?;
        lock(&self.state).updates.push(resources);
        Ok(())
    }

    async fn stats(&self) -> Result<CgroupStats, TaskError> {
        tokio::task::yield_now().await;
        self.require_running()?;
        Ok(lock(&self.state).stats.clone())
    }

    async fn processes(&self) -> Result<Vec<u32>, TaskError> {
        tokio::task::yield_now().await;
        self.require_running()?;
        Ok(vec![self.pid])
    }
}
