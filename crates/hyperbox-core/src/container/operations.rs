// SPDX-License-Identifier: MIT
//! What can be done with a container beside its life: attach, logs, statistics, limits.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::shim::{CgroupStats, LogTarget};
use hyperbox_types::stream::{Channel, header};
use hyperbox_types::{ByteSize, ContainerId, ErrorKind, RootMount};
use tokio::io::{AsyncWriteExt, duplex};
use tokio::sync::watch;

use super::command::Command;
use super::log;
use super::{ContainerRecord, Containers, Phase, Resources, RestartPolicy, oci};
use crate::exec::ExecSpec;
use crate::seam::{ActiveKey, AttachIo, FileChange, LinkCounters, LogQuery, LogStream, ProcessInfo, Task, TaskError};
use crate::time::Timestamp;
use crate::{Result, ServiceError};

/// How to attach to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachOptions {
    /// Which streams.
    pub streams: Streams,
    /// Replay the log first.
    pub logs: bool,
    /// Stay attached.
    pub stream: bool,
}

/// An attached stream.
pub struct Attached {
    /// Both directions: frames, or raw bytes with a terminal.
    pub io: Box<dyn AttachIo>,
    /// Whether there is a terminal.
    pub terminal: bool,
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Attached")
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// One sample of a running container's counters.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsSample {
    /// When it was taken.
    pub read_at: Timestamp,
    /// Control group counters.
    pub cgroup: CgroupStats,
    /// Usable processors.
    pub online_cpus: u32,
    /// Time of all processors since boot.
    pub system_cpu_ns: u64,
    /// Memory of the machine, the limit of a container without one.
    pub machine_memory: u64,
    /// Counters of the links in the container.
    pub network: Vec<LinkCounters>,
}

/// What to change of a container.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UpdateOptions {
    /// Limits; only what is set is changed.
    pub resources: Resources,
    /// Restart policy.
    pub restart: Option<RestartPolicy>,
    /// The door's new document.
    pub door_document: Option<serde_json::Value>,
}

impl Containers {
    /// Attaches to a container, also before it is started (again): then nothing of its output is missed. Such a stream ends when
    /// the start fails or the container is removed.
    ///
    /// # Errors
    /// `Conflict` when it is frozen or about to be restarted.
    pub async fn attach(&self, reference: &str, options: AttachOptions) -> Result<Attached> {
        let record = self.get(reference)?;
        let terminal = record.spec.terminal;
        let hindrance = match record.state.phase {
            Phase::Paused => Some("paused, unpause the container before attach"),
            Phase::Restarting => Some("restarting, wait until the container is running"),
            _ => None,
        };
        if let Some(hindrance) = hindrance {
            return Err(ServiceError::conflict(format!("container {reference} is {hindrance}")));
        }
        let live = if options.stream {
            Some(
                self.ask(reference, |reply| Command::Attach {
                    streams: options.streams,
                    reply,
                })
                .await?,
            )
        } else {
            None
        };
        self.publish_plain("attach", &record.id);
        let io = match (live, options.logs) {
            (Some(live), false) => live,
            (live, _) => self.replay(&record, options, live).await?,
        };
        Ok(Attached { io, terminal })
    }

    /// Puts the log in front of a live stream.
    async fn replay(
        &self,
        record: &ContainerRecord,
        options: AttachOptions,
        live: Option<Box<dyn AttachIo>>,
    ) -> Result<Box<dyn AttachIo>> {
        let query = LogQuery {
            stdout: options.streams.stdout,
            stderr: options.streams.stderr,
            ..LogQuery::default()
        };
        let mut log = self.logs(record.id.as_str(), query).await?;
        let terminal = record.spec.terminal;
        let (near, mut far) = duplex(64 * 1024);
        tokio::spawn(async move {
            while let Some(Ok(entry)) = log.next().await {
                let channel = if entry.stderr { Channel::Stderr } else { Channel::Stdout };
                let head = header(channel, u32::try_from(entry.bytes.len()).unwrap_or(u32::MAX));
                let framed = if terminal { &[][..] } else { &head[..] };
                if far.write_all(framed).await.is_err() || far.write_all(&entry.bytes).await.is_err() {
                    return;
                }
            }
            if let Some(mut live) = live {
                // Either side may end the connection; there is nobody left to tell.
                drop(tokio::io::copy_bidirectional(&mut far, &mut live).await);
            }
        });
        Ok(Box::new(near))
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// `Conflict` when it does not run.
    pub async fn resize(&self, reference: &str, size: TerminalSize) -> Result<()> {
        let handle = self.inner.table.find(reference)?;
        let phase = handle.snapshot.borrow().phase();
        if phase == Phase::Created {
            // The size for the coming start; clients send it as soon as they know it.
            return handle
                .commands
                .send(Command::Resized(size))
                .await
                .map_err(|_| ServiceError::not_found(format!("No such container: {reference}")));
        }
        let task = self.task(&handle.id)?;
        task.resize(None, size)
            .await
            .map_err(|error| mechanism("cannot resize the terminal", error))?;
        if let Ok(record) = self.get(handle.id.as_str()) {
            let sizes = [("height", size.rows.to_string()), ("width", size.columns.to_string())];
            self.inner.publish("resize", &record, sizes);
        }
        Ok(())
    }

    /// Reads a container's log.
    ///
    /// # Errors
    /// `Unsupported` when its log driver keeps none.
    pub async fn logs(&self, reference: &str, query: LogQuery) -> Result<LogStream> {
        let record = self.get(reference)?;
        let target = log::place(&record, &self.directory(&record.id));
        if target == LogTarget::None {
            return Err(ServiceError::new(
                ErrorKind::Unsupported,
                "configured logging driver does not support reading".to_owned(),
            ));
        }
        let (ended, receiver) = watch::channel(!record.state.phase.is_alive());
        if query.follow {
            let mut snapshot = self.inner.table.find(reference)?.snapshot;
            tokio::spawn(async move {
                let over = async {
                    // An error means that the container is gone, so its log has ended as well.
                    snapshot
                        .wait_for(|now| now.removed || !now.phase().is_alive())
                        .await
                        .is_ok()
                };
                tokio::select! {
                    _ = over => {
                        ended.send_replace(true);
                        ended.closed().await;
                    }
                    () = ended.closed() => {}
                }
            });
        }
        self.inner
            .with
            .tasks
            .logs(&target, query, receiver)
            .await
            .map_err(|error| mechanism("cannot read the log", error))
    }

    /// Returns the log file of a container, if it has one.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn log_path(&self, reference: &str) -> Result<Option<PathBuf>> {
        let record = self.get(reference)?;
        Ok(match log::place(&record, &self.directory(&record.id)) {
            LogTarget::JsonFile { path, .. } => Some(path),
            LogTarget::None => None,
        })
    }

    /// Returns the directory of a container's own files.
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.inner.config.containers_dir.join(id.as_str())
    }

    /// Reads a container's counters; `None` when it does not run.
    ///
    /// # Errors
    /// Those of the task.
    pub async fn stats(&self, reference: &str) -> Result<Option<StatsSample>> {
        let record = self.get(reference)?;
        let Ok(task) = self.task(&record.id) else {
            return Ok(None);
        };
        let cgroup = match task.stats().await {
            Ok(cgroup) => cgroup,
            // It ended just now.
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::Unavailable | ErrorKind::FailedPrecondition | ErrorKind::Conflict
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(mechanism("cannot read counters", error)),
        };
        let host = &self.inner.with.host;
        Ok(Some(StatsSample {
            read_at: Timestamp::now(),
            cgroup,
            online_cpus: host.online_cpus(),
            system_cpu_ns: host.system_cpu_ns(),
            machine_memory: host.memory_bytes(),
            network: host.link_counters(task.pid()),
        }))
    }

    /// Lists a running container's processes.
    ///
    /// # Errors
    /// `Conflict` when it does not run.
    pub async fn processes(&self, reference: &str) -> Result<Vec<ProcessInfo>> {
        let record = self.get(reference)?;
        let task = self.task(&record.id)?;
        let pids = task
            .processes()
            .await
            .map_err(|error| mechanism("cannot list processes", error))?;
        self.inner.publish("top", &record, []);
        Ok(self.inner.with.host.processes(&pids))
    }

    /// Returns what the container occupies itself, and together with its image.
    ///
    /// # Errors
    /// Those of the snapshotter.
    pub async fn usage(&self, reference: &str) -> Result<(ByteSize, ByteSize)> {
        let record = self.get(reference)?;
        let usage = self
            .inner
            .with
            .snapshotter
            .usage(&ActiveKey(record.id.clone()))
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot measure the container", error.kind(), error))?;
        let image = self.inner.with.images.size_of(&record.image_id);
        Ok((usage.size, ByteSize(usage.size.0 + image.0)))
    }

    /// Returns where a container's files are; `None` when its writable layer is gone.
    pub fn root(&self, record: &ContainerRecord) -> Option<RootMount> {
        let key = ActiveKey(record.id.clone());
        self.inner.with.snapshotter.mount(&key, &record.layers).ok()
    }

    /// Lists what a container changed in its filesystem.
    ///
    /// # Errors
    /// Those of the snapshotter.
    pub async fn changes(&self, reference: &str) -> Result<Vec<FileChange>> {
        let record = self.get(reference)?;
        self.inner
            .with
            .snapshotter
            .changes(&ActiveKey(record.id.clone()), &record.layers)
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot compare the container", error.kind(), error))
    }

    /// Changes limits and restart policy. Returns warnings.
    ///
    /// # Errors
    /// `InvalidArgument` for contradictory limits.
    pub async fn update(&self, reference: &str, options: UpdateOptions) -> Result<Vec<String>> {
        self.ask(reference, |reply| Command::Update {
            options: Box::new(options),
            reply,
        })
        .await
    }

    /// Judges limits by themselves, whatever container they are for.
    ///
    /// # Errors
    /// `InvalidArgument`, as those of [`Containers::update`].
    pub fn judge_update(&self, wished: &Resources) -> Result<()> {
        let host = &self.inner.with.host;
        let mut wished = wished.clone();
        oci::discard_unsupported(&mut wished, host.as_ref());
        super::cpuset::validate(&wished, || host.processor_sets())?;
        oci::validate_update(&wished, host.online_cpus())
    }

    /// Returns the task of a running container.
    pub(crate) fn task(&self, id: &ContainerId) -> Result<Arc<dyn Task>> {
        let not_running = || ServiceError::conflict(format!("container {id} is not running"));
        let handle = self.inner.table.by_id(id).ok_or_else(not_running)?;
        let task = handle.snapshot.borrow().task.clone();
        task.ok_or_else(not_running)
    }

    /// Returns the OCI process of an exec.
    pub(crate) fn exec_process(&self, record: &ContainerRecord, exec: &ExecSpec) -> Result<String> {
        Ok(oci::exec_process(record, exec, self.inner.with.host.as_ref())?.to_string())
    }
}

fn mechanism(doing: &str, error: TaskError) -> ServiceError {
    ServiceError::from_mechanism(doing, error.kind, error)
}
