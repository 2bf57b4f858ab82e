// SPDX-License-Identifier: MIT
//! What a step sees for its own time: mounts and variables, and what has to stay as long as it runs.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hyperbox_core::container::{Propagation, ResolvedMount};

use super::caches::Held;
use super::ssh::Agent;
use super::{Places, Runner, bind, blocking, secret, ssh};
use crate::StepError;
use crate::step::{MountSource, RunMount, RunStep, StepContext};

/// Tells steps of this process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What a step has for its own time.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) mounts: Vec<ResolvedMount>,
    pub(super) environment: Vec<String>,
    /// Where something is mounted.
    pub(super) targets: Vec<String>,
    held: Vec<OwnedFd>,
    caches: Vec<Held>,
    agents: Vec<Agent>,
    scratch: Scratch,
}

impl Prepared {
    /// Gives everything back.
    pub(super) async fn release(self) {
        drop((self.held, self.caches, self.agents));
        let removing = blocking(move || {
            drop(self.scratch);
            Ok(())
        });
        if let Err(error) = removing.await {
            tracing::warn!(%error, "files of a build step not removed");
        }
    }
}

/// Directories of one step; removed when dropped.
#[derive(Debug)]
struct Scratch {
    disk: PathBuf,
    memory: PathBuf,
}

impl Scratch {
    fn new(places: &Arc<Places>) -> Self {
        let name = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        Self {
            disk: places.disk.join(&name),
            memory: places.memory.join(&name),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for path in [&self.disk, &self.memory] {
            match std::fs::remove_dir_all(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "files of a build step not removed");
                }
                _ => {}
            }
        }
    }
}

/// Prepares all mounts of a step. Dropping the future gives everything back.
pub(super) async fn prepare(runner: &Runner, step: &RunStep, with: &StepContext) -> Result<Prepared, StepError> {
    let mut prepared = Prepared {
        mounts: Vec::new(),
        environment: Vec::new(),
        targets: Vec::new(),
        held: Vec::new(),
        caches: Vec::new(),
        agents: Vec::new(),
        scratch: Scratch::new(&runner.places),
    };
    for (number, file) in step.files.iter().enumerate() {
        let content = Bytes::from(file.content.clone());
        let name = format!("file-{number}");
        let path = secret::write(&prepared.scratch.memory, name, content, file.mode, (0, 0)).await?;
        prepared.bind(path, &file.path, true);
    }
    for (number, mount) in in_order(&step.mounts) {
        prepared.add(runner, number, mount, with).await?;
    }
    Ok(prepared)
}

/// Locks are taken in the order of their names, so that no two steps wait for each other.
fn in_order(mounts: &[RunMount]) -> Vec<(usize, &RunMount)> {
    let mut list: Vec<_> = mounts.iter().enumerate().collect();
    list.sort_by_key(|(_, mount)| match &mount.source {
        MountSource::Cache(cache) => Some(&cache.id),
        _ => None,
    });
    list
}

impl Prepared {
    async fn add(
        &mut self,
        runner: &Runner,
        number: usize,
        mount: &RunMount,
        with: &StepContext,
    ) -> Result<(), StepError> {
        let target = mount.target.as_deref();
        match (&mount.source, target) {
            (MountSource::Bind(source), Some(target)) => {
                let scratch = self.scratch.disk.join(number.to_string());
                let source = bind::source(&runner.containers, source, !mount.read_only, scratch).await?;
                self.held.extend(source.held);
                self.bind(source.path, target, mount.read_only);
            }
            (MountSource::Cache(cache), Some(target)) => {
                let held = runner.caches.take(cache, target).await?;
                self.bind(held.data.clone(), target, mount.read_only);
                self.caches.push(held);
            }
            (MountSource::Tmpfs(tmpfs), Some(target)) => {
                let size = tmpfs.size.map(|size| format!("size={}", size.0));
                self.targets.push(target.to_owned());
                self.mounts.push(ResolvedMount::Tmpfs {
                    target: target.into(),
                    options: std::iter::once("exec".to_owned()).chain(size).collect(),
                    read_only: mount.read_only,
                });
            }
            (MountSource::Secret(wish), target) => {
                let Some(value) = secret::ask(wish, with).await? else {
                    return Ok(());
                };
                let variable = wish.environment.as_deref();
                self.environment
                    .extend(variable.map(|name| secret::variable(name, &value)));
                if let Some(target) = target {
                    let path = secret::file(&self.scratch.memory, number, wish, value).await?;
                    self.bind(path, target, true);
                }
            }
            (MountSource::Ssh(wish), Some(target)) => {
                if let Some(agent) = ssh::serve(&self.scratch.memory, number, wish, with).await? {
                    if self.agents.is_empty() {
                        self.environment.push(format!("SSH_AUTH_SOCK={target}"));
                    }
                    self.bind(agent.path.clone(), target, false);
                    self.agents.push(agent);
                }
            }
            (_, None) => return Err(StepError::invalid("a mount of a RUN has no target")),
        }
        Ok(())
    }

    fn bind(&mut self, source: PathBuf, target: &str, read_only: bool) {
        self.targets.push(target.to_owned());
        self.mounts.push(ResolvedMount::Bind {
            source,
            target: target.into(),
            read_only,
            non_recursive: true,
            propagation: Propagation::Rprivate,
        });
    }
}
