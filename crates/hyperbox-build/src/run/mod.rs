// SPDX-License-Identifier: MIT
//! RUN: a process in a container of its step's root filesystem, confined as containers are; what it changes becomes a layer.
//!
//! ```text
//! mounts (bind, cache, tmpfs, secret, ssh) ──▶ core's Containers::start_step ──▶ output to events ──▶ exit code
//!                                                                    changes ──▶ without mount points, times clamped ──▶ LayerSink
//! ```
//! **Concurrency.** Steps run side by side; what they share are directories of cache mounts, which `caches` hands out.
//!
//! **Cancelling and crashes.** Whoever cancels waits until the process is dead and its files are gone. After a crash the process and its
//! writable layer have no record and go with the next start of the engine; what steps left in the two directories of a [`Runner`] goes
//! when the next one is made. Secrets are only ever written below the directory in memory.

mod bind;
mod caches;
mod layer;
pub(crate) mod materialise;
mod mounts;
mod output;
mod secret;
mod ssh;
mod stubs;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::ServiceError;
use hyperbox_core::container::{ContainerSpec, Containers, NetworkMode, Resources, Rlimit, Security, Step, StepSpec};
use hyperbox_core::image::ImageLayer;
use hyperbox_core::seam::AttachIo;
use hyperbox_dockerfile::RunSecurity;
use hyperbox_types::DiffId;

use self::caches::Caches;
use self::mounts::Prepared;
use self::output::Tail;
use crate::StepError;
use crate::request::BuildNetwork;
use crate::step::{CacheDirectory, RunStep, RunSteps, StepContext};

/// What a RUN is called by its own network names; the same everywhere, so that nothing of the machine gets into a layer.
const HOSTNAME: &str = "buildkitsandbox";
/// How the engine begins to say that a command's user or group is not known.
const NOBODY: [&str; 2] = ["unable to find user", "unable to find group"];

/// Carries out RUN.
#[derive(Debug, Clone)]
pub struct Runner {
    containers: Containers,
    places: Arc<Places>,
    caches: Caches,
}

/// Where steps put what they need for their own time.
#[derive(Debug)]
struct Places {
    /// On the disk: copies of files that are written to.
    disk: PathBuf,
    /// In memory: secrets and sockets.
    memory: PathBuf,
}

impl Runner {
    /// Makes a runner that keeps cache mounts and scratch files below `directory`, and secrets below `memory`, a directory on a tmpfs.
    /// What an earlier runner left of its steps is removed. Blocks.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn open(containers: Containers, directory: &Path, memory: &Path) -> std::io::Result<Self> {
        let places = Places {
            disk: directory.join("run"),
            memory: memory.join("build"),
        };
        for place in [&places.disk, &places.memory] {
            fresh(place)?;
        }
        Ok(Self {
            containers,
            places: Arc::new(places),
            caches: Caches::open(directory.join("caches"))?,
        })
    }

    async fn carry_out(&self, step: &RunStep, root: &[DiffId], with: &StepContext) -> Result<ImageLayer, StepError> {
        let preparing = mounts::prepare(self, step, with);
        let prepared = tokio::select! {
            biased;
            () = with.cancel.cancelled() => return Err(StepError::Cancelled),
            prepared = preparing => prepared?,
        };
        let wish = StepSpec {
            layers: root.to_vec(),
            spec: specification(step, &prepared)?,
            mounts: prepared.mounts.clone(),
        };
        let mut process = match self.containers.start_step(wish).await {
            Ok(process) => process,
            Err(error) => {
                let refused = not_started(step, error, with);
                prepared.release().await;
                return Err(refused);
            }
        };
        let output = process.take_output();
        let outcome = tokio::select! {
            biased;
            () = with.cancel.cancelled() => Err(StepError::Cancelled),
            outcome = self.finish(step, root, with, &prepared, &process, output) => outcome,
        };
        process.discard().await;
        prepared.release().await;
        outcome
    }

    async fn finish(
        &self,
        step: &RunStep,
        root: &[DiffId],
        with: &StepContext,
        prepared: &Prepared,
        process: &Step,
        output: Option<Box<dyn AttachIo>>,
    ) -> Result<ImageLayer, StepError> {
        let mut tail = Tail::default();
        if let Some(output) = output {
            output::pass_on(output, &with.reporter, &mut tail).await;
        }
        let exit = process.finished().await?;
        if exit.code != 0 {
            return Err(StepError::Exit {
                command: step.arguments.join(" "),
                code: exit.code,
                tail: tail.into_bytes(),
            });
        }
        let stubs = stubs::find(&self.containers, root, &prepared.targets).await?;
        layer::store(process.changes().await?, stubs, with).await
    }
}

#[async_trait]
impl RunSteps for Runner {
    async fn run(&self, step: &RunStep, root: &[DiffId], with: &StepContext) -> Result<ImageLayer, StepError> {
        self.carry_out(step, root, with).await
    }

    async fn caches(&self) -> Result<Vec<CacheDirectory>, StepError> {
        self.caches.list().await
    }

    async fn remove_cache(&self, id: &str) -> Result<bool, StepError> {
        self.caches.remove(id).await
    }
}

fn specification(step: &RunStep, prepared: &Prepared) -> Result<ContainerSpec, StepError> {
    let privileged = step.security == RunSecurity::Insecure;
    let mut env = step.environment.clone();
    env.extend(prepared.environment.iter().cloned());
    Ok(ContainerSpec {
        command: Some(step.arguments.clone()),
        env,
        working_dir: step.working_dir.clone(),
        user: step.user.clone(),
        hostname: step.hostname.clone().unwrap_or_else(|| HOSTNAME.to_owned()),
        network: match &step.network {
            BuildNetwork::Default => NetworkMode::Default,
            BuildNetwork::None => NetworkMode::None,
            BuildNetwork::Host => NetworkMode::Host,
            BuildNetwork::Named(name) => NetworkMode::Named(name.clone()),
            BuildNetwork::Container(name) => NetworkMode::Container(name.clone()),
        },
        extra_hosts: step.extra_hosts.clone(),
        shm_size: step.shm_size,
        rlimits: step
            .ulimits
            .iter()
            .map(|limit| Rlimit {
                name: limit.name().to_owned(),
                soft: limit.soft(),
                hard: limit.hard(),
            })
            .collect(),
        resources: Resources {
            cgroup_parent: step.cgroup_parent.clone(),
            ..Resources::default()
        },
        security: Security {
            privileged,
            ..Security::default()
        },
        ..ContainerSpec::default()
    })
}

/// A command that cannot be executed is one that fails, with the exit code that BuildKit tells; its reason is what it had to say.
fn not_started(step: &RunStep, error: ServiceError, with: &StepContext) -> StepError {
    if error.command_fault().is_none() {
        return match NOBODY.iter().find_map(|sentence| error.message().find(sentence)) {
            Some(at) => StepError::Refused {
                kind: error.kind(),
                message: format!(
                    "process {:?} did not complete successfully: {}",
                    step.arguments.join(" "),
                    &error.message()[at..]
                ),
            },
            None => error.into(),
        };
    }
    let line = format!("{}\n", error.message());
    with.reporter.log(crate::event::LogStream::Error, line.as_bytes());
    StepError::Exit {
        command: step.arguments.join(" "),
        code: 1,
        tail: line.into_bytes(),
    }
}

/// Makes an empty directory that only root sees into.
fn fresh(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private_directory(path)
}

/// Makes a directory, and those above it, that only root sees into.
fn private_directory(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes an error of what the disk refused.
fn disk(doing: &'static str, path: &Path, error: std::io::Error) -> StepError {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            hyperbox_types::ErrorKind::ResourceExhausted
        }
        _ => hyperbox_types::ErrorKind::Internal,
    };
    StepError::Refused {
        kind,
        message: format!("cannot {doing} {}: {error}", path.display()),
    }
}

/// Does work that blocks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ServiceError::internal("work of a build step was interrupted").with_source(error))?
}
