// SPDX-License-Identifier: MIT
//! Steps as they are planned: evaluated, but where files come from is still a name.

use hyperbox_dockerfile::{CacheSharing, Lines, RunNetwork, RunSecurity};
use hyperbox_types::ByteSize;

use crate::step::{AddFile, FileOwner, MakeDirectory, RunFile, SecretMount, SshMount};

/// Where a step takes files from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reference {
    /// The context.
    Context,
    /// A context with a name.
    Named(String),
    /// The stage with this index.
    Stage(usize),
    /// An image.
    Image(String),
}

/// A step that makes a layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedStep {
    /// For people: `[stage 2/3] RUN make`.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) lines: Lines,
    /// What it does.
    pub(crate) action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// COPY and ADD.
    Copy(PlannedCopy),
    /// WORKDIR.
    Directory(MakeDirectory),
    /// RUN.
    Run(Box<PlannedRun>),
}

/// COPY or ADD; fields as those of [`crate::step::CopyStep`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedCopy {
    pub(crate) from: Reference,
    pub(crate) sources: Vec<PlannedSource>,
    pub(crate) destination: String,
    pub(crate) owner: Option<FileOwner>,
    pub(crate) mode: Option<String>,
    pub(crate) link: bool,
    pub(crate) parents: bool,
    pub(crate) excludes: Vec<String>,
    pub(crate) add: Option<AddFile>,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlannedSource {
    Path(String),
    Text { name: String, content: String },
    Remote(String),
}

/// RUN; fields as those of [`crate::step::RunStep`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedRun {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<String>,
    /// More environment, which is no part of the key.
    pub(crate) proxies: Vec<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) user: String,
    pub(crate) working_dir: String,
    pub(crate) files: Vec<RunFile>,
    pub(crate) mounts: Vec<PlannedMount>,
    pub(crate) network: RunNetwork,
    pub(crate) security: RunSecurity,
}

/// A mount of a RUN.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedMount {
    pub(crate) target: Option<String>,
    pub(crate) read_only: bool,
    pub(crate) kind: PlannedMountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PlannedMountKind {
    Bind {
        from: Reference,
        path: String,
    },
    Cache {
        id: String,
        sharing: CacheSharing,
        initial: Option<(Reference, String)>,
        mode: u32,
        uid: u32,
        gid: u32,
    },
    Tmpfs {
        size: Option<ByteSize>,
    },
    Secret(SecretMount),
    Ssh(SshMount),
}

impl PlannedStep {
    /// Returns everything that the step takes files from.
    pub(crate) fn references(&self) -> Vec<&Reference> {
        match &self.action {
            Action::Copy(copy) => {
                let reads = copy
                    .sources
                    .iter()
                    .any(|source| matches!(source, PlannedSource::Path(_)));
                if reads { vec![&copy.from] } else { Vec::new() }
            }
            Action::Directory(_) => Vec::new(),
            Action::Run(run) => run
                .mounts
                .iter()
                .filter_map(|mount| match &mount.kind {
                    PlannedMountKind::Bind { from, .. } => Some(from),
                    PlannedMountKind::Cache { initial, .. } => initial.as_ref().map(|(from, _)| from),
                    _ => None,
                })
                .collect(),
        }
    }
}
