// SPDX-License-Identifier: MIT
//! Where steps take files from, and what is in it.
//!
//! Layers never change, so the digest of what a step reads of layers is remembered: a build in which nothing has changed opens none of
//! them.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use hyperbox_types::{DiffId, Digest};

use super::{NamedContext, Solver, Stage};
use crate::context::Tree;
use crate::plan::{PlannedCopy, PlannedMount, PlannedMountKind, PlannedRun, PlannedSource, Reference};
use crate::request::BuildNetwork;
use crate::step::{
    BindMount, CacheMount, CopySource, CopyStep, FileStep, MountSource, RunMount, RunStep, StepContext, TmpfsMount,
};
use crate::{BuildError, StepError};

/// Why a source cannot be had: another stage failed, or reading it did.
#[derive(Debug)]
pub(super) enum SourceError {
    /// What it comes from.
    Build(BuildError),
    /// Itself.
    Step(StepError),
}

impl From<BuildError> for SourceError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<StepError> for SourceError {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

/// What a reference means.
#[derive(Debug, Clone)]
enum Source {
    Tree(Arc<dyn Tree>),
    Stage(Arc<Stage>),
}

impl Source {
    /// Returns the layers, if it consists of layers.
    fn layers(&self) -> Option<Vec<DiffId>> {
        match self {
            Self::Tree(_) => None,
            Self::Stage(stage) => Some(stage.layers.iter().map(|layer| layer.diff_id.clone()).collect()),
        }
    }
}

impl Solver {
    async fn source(&self, reference: &Reference) -> Result<Source, BuildError> {
        Ok(match reference {
            // Without a context nothing is in it.
            Reference::Context => match &self.context {
                Some(tree) => Source::Tree(Arc::clone(tree)),
                None => Source::Stage(Arc::new(Stage::scratch(self.wishes.platform.clone()))),
            },
            Reference::Stage(index) => Source::Stage(self.stage(*index).await?),
            // `scratch` as a source is an empty tree.
            Reference::Image(name) if name == "scratch" => {
                Source::Stage(Arc::new(Stage::scratch(self.wishes.platform.clone())))
            }
            Reference::Image(name) => Source::Stage(self.image(None, name, None).await?),
            Reference::Named(name) => match self.named.get(name) {
                Some(NamedContext::Tree(tree)) => Source::Tree(Arc::clone(tree)),
                Some(NamedContext::Built(base)) => Source::Stage(Arc::clone(base.stage())),
                Some(NamedContext::Image(image)) => Source::Stage(self.image(None, image, None).await?),
                None => Source::Stage(Arc::new(Stage::scratch(self.wishes.platform.clone()))),
            },
        })
    }

    async fn tree(&self, reference: &Reference) -> Result<Arc<dyn Tree>, SourceError> {
        match self.source(reference).await? {
            Source::Tree(tree) => Ok(tree),
            Source::Stage(stage) => {
                let opened = stage.tree.get_or_try_init(|| async {
                    let layers: Vec<DiffId> = stage.layers.iter().map(|layer| layer.diff_id.clone()).collect();
                    self.shared.files.open_layers(&layers).await
                });
                Ok(Arc::clone(opened.await?))
            }
        }
    }

    /// Returns the digest of what COPY or ADD reads.
    pub(super) async fn copy_digest(&self, copy: &PlannedCopy, with: &StepContext) -> Result<[u8; 32], SourceError> {
        let reads_tree = copy
            .sources
            .iter()
            .any(|source| matches!(source, PlannedSource::Path(_)));
        let remote = copy
            .sources
            .iter()
            .any(|source| matches!(source, PlannedSource::Remote(_)));
        let layers = match reads_tree {
            true => self.source(&copy.from).await?.layers(),
            false => Some(Vec::new()),
        };
        // What an address leads to can change.
        let name = layers
            .filter(|_| !remote)
            .map(|layers| crate::key::copied_content(&layers, copy));
        if let Some(known) = self.shared.digests.get(name.as_ref()) {
            return Ok(known);
        }
        self.look_up(copy, with).await?;
        let step = FileStep::Copy(self.copy_step(copy).await?);
        let digest = self.shared.files.digest(&step, with).await?;
        self.shared.digests.put(name, digest);
        Ok(digest)
    }

    /// Finds out what files of the web ADD takes, unless a checksum says it or this build has looked already: it sees one state of
    /// each file, whatever happens there meanwhile.
    async fn look_up(&self, copy: &PlannedCopy, with: &StepContext) -> Result<(), SourceError> {
        if copy.add.as_ref().is_some_and(|add| add.checksum.is_some()) {
            return Ok(());
        }
        for source in &copy.sources {
            let PlannedSource::Remote(address) = source else {
                continue;
            };
            if self.remotes().contains_key(address) {
                continue;
            }
            if let Some(content) = self.shared.files.look_up(address, with).await? {
                self.remotes().entry(address.clone()).or_insert(content);
            }
        }
        Ok(())
    }

    fn remotes(&self) -> MutexGuard<'_, HashMap<String, [u8; 32]>> {
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a planned COPY one that can be carried out.
    pub(super) async fn copy_step(&self, copy: &PlannedCopy) -> Result<CopyStep, SourceError> {
        let mut sources = Vec::new();
        for source in &copy.sources {
            sources.push(match source {
                PlannedSource::Path(path) => CopySource::Tree {
                    tree: self.tree(&copy.from).await?,
                    path: path.clone(),
                },
                PlannedSource::Text { name, content } => CopySource::Text {
                    name: name.clone(),
                    content: content.clone(),
                },
                PlannedSource::Remote(address) => CopySource::Remote {
                    content: self.remotes().get(address).copied(),
                    address: address.clone(),
                },
            });
        }
        Ok(CopyStep {
            sources,
            destination: copy.destination.clone(),
            owner: copy.owner.clone(),
            mode: copy.mode.clone(),
            link: copy.link,
            parents: copy.parents,
            excludes: copy.excludes.clone(),
            add: copy.add.clone(),
        })
    }

    /// Returns the digests of what the mounts of a RUN show, one for each that shows files.
    pub(super) async fn mount_digests(
        &self,
        run: &PlannedRun,
        with: &StepContext,
    ) -> Result<Vec<[u8; 32]>, SourceError> {
        let mut digests = Vec::new();
        for mount in &run.mounts {
            let Some((from, path)) = shown(mount) else { continue };
            let layers = self.source(from).await?.layers();
            let name: Option<Digest> = layers.map(|layers| crate::key::path_content(&layers, path));
            let digest = match self.shared.digests.get(name.as_ref()) {
                Some(known) => known,
                None => {
                    let tree = self.tree(from).await?;
                    let digest = self.shared.files.digest_path(&tree, path, with).await?;
                    self.shared.digests.put(name, digest);
                    digest
                }
            };
            digests.push(digest);
        }
        Ok(digests)
    }

    /// Makes a planned RUN one that can be carried out.
    pub(super) async fn run_step(&self, run: &PlannedRun) -> Result<RunStep, SourceError> {
        let mut mounts = Vec::new();
        for mount in &run.mounts {
            mounts.push(RunMount {
                target: mount.target.clone(),
                read_only: mount.read_only,
                source: self.mount_source(&mount.kind).await?,
            });
        }
        let around = &self.wishes.around;
        Ok(RunStep {
            arguments: run.arguments.clone(),
            environment: with_proxies(&run.environment, &run.proxies),
            hostname: run.hostname.clone(),
            user: run.user.clone(),
            working_dir: run.working_dir.clone(),
            files: run.files.clone(),
            mounts,
            network: match run.network {
                hyperbox_dockerfile::RunNetwork::Default => around.network.clone(),
                hyperbox_dockerfile::RunNetwork::None => BuildNetwork::None,
                hyperbox_dockerfile::RunNetwork::Host => BuildNetwork::Host,
            },
            security: run.security,
            extra_hosts: around.extra_hosts.clone(),
            shm_size: around.shm_size,
            ulimits: around.ulimits.clone(),
            cgroup_parent: around.cgroup_parent.clone(),
        })
    }

    async fn mount_source(&self, kind: &PlannedMountKind) -> Result<MountSource, SourceError> {
        Ok(match kind {
            PlannedMountKind::Bind { from, path } => MountSource::Bind(BindMount {
                tree: self.tree(from).await?,
                path: path.clone(),
            }),
            PlannedMountKind::Cache {
                id,
                sharing,
                initial,
                mode,
                uid,
                gid,
            } => MountSource::Cache(CacheMount {
                id: id.clone(),
                sharing: *sharing,
                initial: match initial {
                    Some((from, path)) => Some(BindMount {
                        tree: self.tree(from).await?,
                        path: path.clone(),
                    }),
                    None => None,
                },
                mode: *mode,
                uid: *uid,
                gid: *gid,
            }),
            PlannedMountKind::Tmpfs { size } => MountSource::Tmpfs(TmpfsMount { size: *size }),
            PlannedMountKind::Secret(secret) => MountSource::Secret(secret.clone()),
            PlannedMountKind::Ssh(agent) => MountSource::Ssh(agent.clone()),
        })
    }
}

/// Returns what files a mount shows.
fn shown(mount: &PlannedMount) -> Option<(&Reference, &str)> {
    match &mount.kind {
        PlannedMountKind::Bind { from, path } => Some((from, path)),
        PlannedMountKind::Cache { initial, .. } => initial.as_ref().map(|(from, path)| (from, path.as_str())),
        _ => None,
    }
}

/// Adds what the client says of proxies, unless the stage says something else.
fn with_proxies(environment: &[String], proxies: &[String]) -> Vec<String> {
    let name = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    let known: Vec<String> = environment.iter().map(|line| name(line)).collect();
    let more = proxies.iter().filter(|line| !known.contains(&name(line)));
    environment.iter().chain(more).cloned().collect()
}
