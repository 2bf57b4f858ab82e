// SPDX-License-Identifier: MIT
//! The container service: finds containers and passes wishes on to their actors.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyperbox_types::{ContainerId, ContainerName, DiffId, ImageId, Signal};
use tokio::sync::oneshot;

use super::command::{Command, StopOptions};
use super::table::{Handle, Table};
use super::{
    ContainerRecord, ContainerSpec, ContainerState, Phase, ResolvedMount, RestartPolicy, WaitCondition, Waiter,
};
use crate::event::{EventKind, Events};
use crate::image::{ImageUser, ImageUsers, Images};
use crate::network::Networks;
use crate::seam::{ContainerFiles, Host, Records, RuntimeVersion, Snapshotter, TaskRuntime};
use crate::trace::Trace;
use crate::volume::Volumes;
use crate::{Result, ServiceError};

/// How long a client waits for the end of a process that was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory with one directory per container (logs, hosts, …).
    pub containers_dir: PathBuf,
    /// Parent of all containers' control groups, such as `/hyperbox`.
    pub cgroup_parent: String,
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
    /// Whether control groups are pure version 2.
    pub cgroup_v2: bool,
    /// The runtime used when none is wished for.
    pub default_runtime: String,
}

/// What the service stands on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the seam or service of its name")]
pub struct Dependencies {
    pub records: Arc<dyn Records>,
    pub snapshotter: Arc<dyn Snapshotter>,
    pub files: Arc<dyn ContainerFiles>,
    pub tasks: Arc<dyn TaskRuntime>,
    pub host: Arc<dyn Host>,
    pub images: Images,
    pub volumes: Volumes,
    pub networks: Networks,
    pub events: Events,
}

/// Creates, runs and keeps containers. Cheap to clone.
#[derive(Clone)]
pub struct Containers {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) with: Dependencies,
    pub(super) table: Table,
}

impl fmt::Debug for Containers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Containers")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl Containers {
    /// Makes the service with no containers; [`Containers::restore`] brings back those of an earlier daemon.
    pub fn new(config: Config, with: Dependencies) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                with,
                table: Table::default(),
            }),
        }
    }

    /// Returns how the image service finds out which images are in use. Does not keep this service alive.
    pub fn image_users(&self) -> ImageUsers {
        let inner = Arc::downgrade(&self.inner);
        Box::new(move || {
            let Some(inner) = inner.upgrade() else {
                return Vec::new();
            };
            Self { inner }.list().iter().flat_map(|record| uses(record)).collect()
        })
    }

    /// Returns all containers, the youngest first.
    pub fn list(&self) -> Vec<Arc<ContainerRecord>> {
        let mut records: Vec<_> = self
            .inner
            .table
            .all()
            .iter()
            .filter_map(|handle| handle.snapshot.borrow().record.clone())
            .collect();
        records.sort_by(|one, other| {
            other
                .created_at
                .cmp(&one.created_at)
                .then_with(|| one.id.cmp(&other.id))
        });
        records
    }

    /// Returns a container by id, unambiguous beginning of its id, or name.
    ///
    /// # Errors
    /// `NotFound` with Docker's text.
    pub fn get(&self, reference: &str) -> Result<Arc<ContainerRecord>> {
        let handle = self.inner.table.find(reference)?;
        let record = handle.snapshot.borrow().record.clone();
        record.ok_or_else(|| ServiceError::not_found(format!("No such container: {reference}")))
    }

    /// Returns what a runtime says of its version.
    pub async fn runtime_version(&self, name: &str) -> RuntimeVersion {
        let asked = self.inner.with.tasks.runtime_version(name).await;
        asked.unwrap_or_default()
    }

    /// Starts a container; returns when its process runs.
    ///
    /// # Errors
    /// `NotModified` when it runs; `InvalidArgument` and a command fault when its command cannot be executed; whatever else
    /// prevents it.
    pub async fn start(&self, reference: &str) -> Result<()> {
        self.ask(reference, |reply| Command::Start { trace: None, reply }).await
    }

    /// [`Containers::start`] that notes when what was done, until the container has ended and, if it removes itself, is gone.
    ///
    /// # Errors
    /// Those of starting.
    pub async fn start_traced(&self, reference: &str, trace: Trace) -> Result<()> {
        let trace = Some(trace);
        self.ask(reference, |reply| Command::Start { trace, reply }).await
    }

    /// Stops a container and waits for its end: the polite signal, then, when the patience is over, `SIGKILL`.
    ///
    /// # Errors
    /// `NotModified` when it does not run.
    pub async fn stop(&self, reference: &str, options: StopOptions) -> Result<()> {
        self.ask(reference, |reply| Command::Stop { options, reply }).await
    }

    /// Stops a container if it runs and starts it (again).
    ///
    /// # Errors
    /// Those of starting.
    pub async fn restart(&self, reference: &str, options: StopOptions) -> Result<()> {
        let handle = self.inner.table.find(reference)?;
        self.ask_handle(&handle, |reply| Command::Restart { options, reply })
            .await
            // Whatever the cause, Docker answers with status 500.
            .map_err(|error| {
                let message = format!("Cannot restart container {reference}: {}", error.message());
                ServiceError::internal(message).with_source(error)
            })?;
        self.publish_plain("restart", &handle.id);
        Ok(())
    }

    /// Sends a signal (`SIGKILL` by default) to a container's first process.
    ///
    /// # Errors
    /// `Conflict` when it does not run, with Docker's text.
    pub async fn kill(&self, reference: &str, signal: Option<Signal>) -> Result<()> {
        let signal = signal.unwrap_or(Signal::KILL);
        let in_context = |error: ServiceError| error.in_context(&format!("cannot kill container: {reference}"));
        let handle = self.inner.table.find(reference).map_err(in_context)?;
        let mut snapshot = handle.snapshot.clone();
        let ends = self
            .ask_handle(&handle, |reply| Command::Kill { signal, reply })
            .await
            .map_err(in_context)?;
        if signal == Signal::KILL
            && let Some(ends) = ends
        {
            // Nobody survives it; Docker answers when it is over, within limits.
            let over = snapshot.wait_for(|now| now.ends > ends || now.removed);
            // A process in an uninterruptible wait may take longer than a client wants to. An actor that is gone has no process.
            drop(tokio::time::timeout(KILL_PATIENCE, over).await);
        }
        Ok(())
    }

    /// Freezes a container's processes.
    ///
    /// # Errors
    /// `Conflict` when it does not run or is frozen.
    pub async fn pause(&self, reference: &str) -> Result<()> {
        self.ask(reference, |reply| Command::Pause { reply }).await
    }

    /// Thaws a container's processes.
    ///
    /// # Errors
    /// `Internal`, as with Docker, when it is not frozen.
    pub async fn unpause(&self, reference: &str) -> Result<()> {
        self.ask(reference, |reply| Command::Unpause { reply }).await
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// `Conflict` when the name is in use.
    pub async fn rename(&self, reference: &str, name: ContainerName) -> Result<()> {
        self.ask(reference, |reply| Command::Rename { name, reply }).await
    }

    /// Registers a wait.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn wait(&self, reference: &str, condition: WaitCondition) -> Result<Waiter> {
        Ok(Waiter::new(condition, self.inner.table.find(reference)?.snapshot))
    }

    /// Asks a container's actor and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        reference: &str,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let handle = self.inner.table.find(reference)?;
        self.ask_handle(&handle, command).await
    }

    pub(super) async fn ask_handle<T>(
        &self,
        handle: &Handle,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let gone = || ServiceError::not_found(format!("No such container: {}", handle.id));
        let (reply, answer) = oneshot::channel();
        handle.commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    pub(super) fn publish_plain(&self, action: &'static str, id: &ContainerId) {
        if let Ok(record) = self.get(id.as_str()) {
            self.inner.publish(action, &record, []);
        }
    }
}

impl Inner {
    pub(super) fn publish(
        &self,
        action: impl Into<String>,
        record: &ContainerRecord,
        more: impl IntoIterator<Item = (&'static str, String)>,
    ) {
        let mut attributes = event_attributes(record);
        attributes.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
        self.with
            .events
            .publish(EventKind::Container, action, record.id.as_str(), attributes);
    }
}

/// Tells which images a container uses: its own, and those that it mounts.
fn uses(record: &ContainerRecord) -> Vec<ImageUser> {
    let user = |image: &ImageId, layers: &[DiffId]| ImageUser {
        container: record.id.short().to_owned(),
        running: record.state.phase.is_alive(),
        image: image.clone(),
        layers: layers.to_vec(),
    };
    let mounted = record.mounts.iter().filter_map(|mount| match mount {
        ResolvedMount::Image { image, layers, .. } => Some(user(image, layers)),
        _ => None,
    });
    std::iter::once(user(&record.image_id, &record.layers))
        .chain(mounted)
        .collect()
}

/// Returns what every event of a container tells: labels, image, name.
pub(crate) fn event_attributes(record: &ContainerRecord) -> BTreeMap<String, String> {
    let mut attributes = record.spec.labels.clone();
    attributes.insert("image".to_owned(), record.spec.image.clone());
    attributes.insert("name".to_owned(), record.name.to_string());
    attributes
}

/// Tells whether a container is started when the daemon starts.
pub(super) fn starts_with_daemon(spec: &ContainerSpec, state: &ContainerState) -> bool {
    if state.phase == Phase::Created {
        return false;
    }
    match spec.restart {
        RestartPolicy::Always => true,
        RestartPolicy::UnlessStopped => !state.manually_stopped,
        // As with Docker, a failure is one even if it was brought about by hand.
        RestartPolicy::OnFailure { maximum_retries } => {
            state.exit_code != 0 && (maximum_retries == 0 || state.restart_count < maximum_retries)
        }
        RestartPolicy::Never => false,
    }
}
