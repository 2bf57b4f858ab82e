// SPDX-License-Identifier: MIT
//! Execs: additional processes in running containers.
//!
//! An exec is created, started once, and remembered with its exit code for a while, or until its container is gone. Nothing is
//! persisted: after a restart of the daemon, what ran goes on, but its id is forgotten (as with Docker).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::shim::{CommandFault, Stdio, UserSpec};
use hyperbox_types::{ContainerId, ErrorKind, ExecId, Signal};
use tokio::sync::oneshot;

use crate::container::{Attached, Containers, Phase};
use crate::event::{EventKind, Events};
use crate::exec_stream::EndsAfter;
use crate::seam::{Task, TaskRuntime};
use crate::{Result, ServiceError, random};

/// How long an exec that does not run is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// A process as it is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// What to run.
    pub command: Vec<String>,
    /// Environment in addition to the container's.
    pub env: Vec<String>,
    /// Working directory; the container's when empty.
    pub working_dir: String,
    /// `user[:group]`; the container's when empty.
    pub user: String,
    /// Whether the process has a terminal.
    pub terminal: bool,
    /// Initial size of the terminal.
    pub size: Option<TerminalSize>,
    /// All capabilities.
    pub privileged: bool,
    /// Streams that the client will attach.
    pub streams: Streams,
    /// Keys that detach, for display.
    pub detach_keys: String,
}

/// An exec as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecView {
    /// Its id.
    pub id: ExecId,
    /// Its container.
    pub container: ContainerId,
    /// Its wish.
    pub spec: ExecSpec,
    /// Whether it runs.
    pub running: bool,
    /// How it ended.
    pub exit_code: Option<i32>,
    /// Its process in the daemon's pid namespace, also after it ended; 0 when it never had one.
    pub pid: u32,
}

/// Starts and keeps execs. Cheap to clone.
#[derive(Clone)]
pub struct Execs {
    inner: Arc<Inner>,
}

struct Inner {
    containers: Containers,
    tasks: Arc<dyn TaskRuntime>,
    events: Events,
    table: Mutex<HashMap<ExecId, Entry>>,
}

struct Entry {
    view: ExecView,
    /// When it was made, started or ended.
    changed: Instant,
}

impl fmt::Debug for Execs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Execs").finish_non_exhaustive()
    }
}

impl Execs {
    /// Makes the service.
    pub fn new(containers: Containers, tasks: Arc<dyn TaskRuntime>, events: Events) -> Self {
        Self {
            inner: Arc::new(Inner {
                containers,
                tasks,
                events,
                table: Mutex::default(),
            }),
        }
    }

    /// Prepares an exec in a running container.
    ///
    /// # Errors
    /// `NotFound` without such a container, `Conflict` when it does not run, `InvalidArgument` without a command and for a user or
    /// a group that the container does not know.
    pub async fn create(&self, container: &str, spec: ExecSpec) -> Result<ExecId> {
        if spec.command.is_empty() {
            return Err(ServiceError::invalid("No exec command specified"));
        }
        let record = self.inner.containers.get(container)?;
        require_running(&record.id, record.state.phase, container)?;
        self.inner.containers.check_user(record.id.as_str(), &spec.user).await?;
        let id = ExecId::from_bytes(random::bytes()?);
        let view = ExecView {
            id: id.clone(),
            container: record.id.clone(),
            spec,
            running: false,
            exit_code: None,
            pid: 0,
        };
        self.publish("exec_create", &view);
        self.forget();
        let changed = Instant::now();
        self.table().insert(id.clone(), Entry { view, changed });
        Ok(id)
    }

    /// Returns an exec.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, id: &str) -> Result<ExecView> {
        let not_found = || ServiceError::not_found(format!("No such exec instance: {id}"));
        let id = ExecId::parse(id).map_err(|_| not_found())?;
        let table = self.table();
        table.get(&id).map(|entry| entry.view.clone()).ok_or_else(not_found)
    }

    /// Returns an exec whose container is in a state to start it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when the container does not run or is paused.
    pub fn startable(&self, id: &str) -> Result<ExecView> {
        let view = self.get(id)?;
        let record = self.inner.containers.get(view.container.as_str())?;
        require_running(&record.id, record.state.phase, record.id.as_str())?;
        Ok(view)
    }

    /// Returns the execs of a container that run.
    pub fn of_container(&self, container: &ContainerId) -> Vec<ExecId> {
        let table = self.table();
        table
            .values()
            .map(|entry| &entry.view)
            .filter(|view| view.container == *container && view.running)
            .map(|view| view.id.clone())
            .collect()
    }

    /// Starts an exec; unless detached, returns its stream, attached before the process ran.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it was started already or the container does not run; a command that cannot be executed.
    pub async fn start(&self, id: &str, detach: bool, size: Option<TerminalSize>) -> Result<Option<Attached>> {
        let view = self.startable(id)?;
        self.claim(&view)?;
        // Goes on when the caller is dropped: an exec that was started is watched to its end.
        let execs = self.clone();
        tokio::spawn(async move { execs.run(view, detach, size).await })
            .await
            .map_err(|error| ServiceError::internal("the start of an exec was interrupted").with_source(error))?
    }

    async fn run(&self, view: ExecView, detach: bool, size: Option<TerminalSize>) -> Result<Option<Attached>> {
        match self.launch(&view, detach, size).await {
            Ok((task, pid, attached)) => {
                self.update(&view.id, |view| view.pid = pid);
                self.publish("exec_start", &view);
                let ended = self.watch(view, task);
                Ok(attached.map(|attached| Attached {
                    io: Box::new(EndsAfter::new(attached.io, ended)),
                    terminal: attached.terminal,
                }))
            }
            Err(error) => {
                let code = match error.command_fault() {
                    Some(CommandFault::NotFound) => 127,
                    Some(CommandFault::NotExecutable) => 126,
                    // By the text, as Docker: a working directory that is missing.
                    None if error.message().contains("No such file or directory") => 127,
                    None => 128,
                };
                self.update(&view.id, |view| {
                    view.running = false;
                    view.exit_code = Some(code);
                });
                Err(error)
            }
        }
    }

    /// Ends an exec's process with `SIGKILL`; one that does not run needs none.
    ///
    /// # Errors
    /// `NotFound`, those of the task.
    pub async fn kill(&self, id: &str) -> Result<()> {
        let view = self.get(id)?;
        if !view.running {
            return Ok(());
        }
        let task = self.inner.containers.task(&view.container)?;
        match task.signal(Some(&view.id), Signal::KILL, false).await {
            // It ended in the meantime.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            sent => sent.map_err(|error| ServiceError::from_mechanism("cannot kill exec", error.kind, error)),
        }
    }

    /// Sets the size of an exec's terminal.
    ///
    /// # Errors
    /// `NotFound`, also when it has ended; `InvalidArgument` when it was not started.
    pub async fn resize(&self, id: &str, size: TerminalSize) -> Result<()> {
        let view = self.get(id)?;
        if !view.running {
            return Err(match view.pid {
                0 => ServiceError::invalid("exec process is not started"),
                _ => ServiceError::not_found(format!("NotFound: process does not exist {id}: not found")),
            });
        }
        let task = self.inner.containers.task(&view.container)?;
        task.resize(Some(&view.id), size)
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot resize exec", error.kind, error))
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<ExecId, Entry>> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, id: &ExecId, change: impl FnOnce(&mut ExecView)) {
        if let Some(entry) = self.table().get_mut(id) {
            change(&mut entry.view);
            entry.changed = Instant::now();
        }
    }

    /// Marks an exec as started, once.
    fn claim(&self, view: &ExecView) -> Result<()> {
        let mut table = self.table();
        let known = table
            .get_mut(&view.id)
            .map(|entry| &mut entry.view)
            .ok_or_else(|| ServiceError::not_found(format!("No such exec instance: {}", view.id)))?;
        if known.running || known.exit_code.is_some() {
            let state = if known.running {
                "is already running"
            } else {
                "has already run"
            };
            return Err(ServiceError::conflict(format!("exec command {} {state}", view.id)));
        }
        known.running = true;
        Ok(())
    }

    async fn launch(
        &self,
        view: &ExecView,
        detach: bool,
        size: Option<TerminalSize>,
    ) -> Result<(Arc<dyn Task>, u32, Option<Attached>)> {
        let record = self.inner.containers.get(view.container.as_str())?;
        check_process(&view.spec)?;
        let task = self.inner.containers.task(&view.container)?;
        let process = self.inner.containers.exec_process(&record, &view.spec)?;
        let user = if view.spec.user.is_empty() {
            &record.spec.user
        } else {
            &view.spec.user
        };
        let user = UserSpec {
            user: user.clone(),
            additional_groups: record.spec.additional_groups.clone(),
        };
        let terminal = view.spec.terminal.then(|| {
            size.or(view.spec.size)
                .unwrap_or(TerminalSize { rows: 24, columns: 80 })
        });
        let mechanism = |error: crate::seam::TaskError| {
            let fault = error.command;
            ServiceError::from_mechanism("OCI runtime exec failed", error.kind, error).with_command_fault(fault)
        };
        let (io, pending) = if detach {
            (None, Vec::new())
        } else {
            let (io, pending) = self.inner.tasks.prepare_attach(view.spec.streams).map_err(mechanism)?;
            (Some(io), vec![pending])
        };
        let stdio = Stdio {
            stdin: view.spec.streams.stdin && !detach,
            stdin_once: true,
            terminal,
        };
        let pid = task
            .exec(&view.id, process, user, stdio, pending)
            .await
            .map_err(|mut error| {
                if error.kind == ErrorKind::NotFound {
                    // What is missing is missing in the container: the wish is wrong, not the container unknown.
                    error.kind = ErrorKind::InvalidArgument;
                }
                mechanism(error)
            })?;
        Ok((
            task,
            pid,
            io.map(|io| Attached {
                io,
                terminal: view.spec.terminal,
            }),
        ))
    }

    /// Remembers how an exec ends; the result resolves when that is done.
    fn watch(&self, view: ExecView, task: Arc<dyn Task>) -> oneshot::Receiver<()> {
        let execs = self.clone();
        let (recorded, receiver) = oneshot::channel();
        tokio::spawn(async move {
            // When the shim is gone, so is the process; 137 is what a killed one reports.
            let code = task.wait_exec(&view.id).await.unwrap_or(137);
            execs.update(&view.id, |view| {
                view.running = false;
                // Its process id stays, as with Docker: it tells that there was one.
                view.exit_code = Some(code);
            });
            drop(recorded);
            let mut attributes = execs.attributes(&view);
            attributes.insert("exitCode".to_owned(), code.to_string());
            execs
                .inner
                .events
                .publish(EventKind::Container, "exec_die", view.container.as_str(), attributes);
        });
        receiver
    }

    fn publish(&self, action: &str, view: &ExecView) {
        // Docker joins the program and its arguments with a space also when there are none.
        let (program, arguments) = view
            .spec
            .command
            .split_first()
            .map_or(("", &[][..]), |(program, rest)| (program, rest));
        let action = format!("{action}: {program} {}", arguments.join(" "));
        self.inner.events.publish(
            EventKind::Container,
            action,
            view.container.as_str(),
            self.attributes(view),
        );
    }

    fn attributes(&self, view: &ExecView) -> BTreeMap<String, String> {
        let mut attributes = match self.inner.containers.get(view.container.as_str()) {
            Ok(record) => crate::container::event_attributes(&record),
            Err(_) => BTreeMap::new(),
        };
        attributes.insert("execID".to_owned(), view.id.to_string());
        attributes
    }

    /// Drops execs that do not run and are old, or whose container is gone.
    fn forget(&self) {
        let containers = &self.inner.containers;
        self.table().retain(|_, Entry { view, changed }| {
            view.running || (changed.elapsed() < REMEMBERED && containers.get(view.container.as_str()).is_ok())
        });
    }
}

/// Refuses what no runtime accepts, in the words of Docker's.
fn check_process(spec: &ExecSpec) -> Result<()> {
    let refused = |reason: &str| {
        Err(ServiceError::internal(format!(
            "OCI runtime exec failed: exec failed: {reason}"
        )))
    };
    if !spec.working_dir.is_empty() && !spec.working_dir.starts_with('/') {
        return refused("Cwd must be an absolute path");
    }
    if spec.env.iter().any(|variable| variable.starts_with('=')) {
        return refused("unable to start container process: invalid environment variable: name cannot be empty");
    }
    Ok(())
}

/// Refuses an exec in a container that does not run; `reference` is what the client calls it.
fn require_running(id: &ContainerId, phase: Phase, reference: &str) -> Result<()> {
    match phase {
        Phase::Running => Ok(()),
        Phase::Paused => Err(ServiceError::conflict(format!(
            "Container {reference} is paused, unpause the container before exec"
        ))),
        Phase::Restarting => Err(ServiceError::conflict(format!(
            "Container {id} is restarting, wait until the container is running"
        ))),
        _ => Err(ServiceError::new(
            ErrorKind::Conflict,
            format!("container {id} is not running"),
        )),
    }
}

impl ExecSpec {
    /// Makes an exec without streams, terminal and privileges, such as a health check.
    pub(crate) fn plain(command: Vec<String>) -> Self {
        Self {
            command,
            env: Vec::new(),
            working_dir: String::new(),
            user: String::new(),
            terminal: false,
            size: None,
            privileged: false,
            streams: Streams::default(),
            detach_keys: String::new(),
        }
    }
}
