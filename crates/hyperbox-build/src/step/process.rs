// SPDX-License-Identifier: MIT
//! Steps that run a process: RUN.

use std::sync::Arc;

use hyperbox_dockerfile::{CacheSharing, RunSecurity};
use hyperbox_types::{ByteSize, Ulimit};

use crate::context::Tree;
use crate::request::BuildNetwork;

/// RUN.
#[derive(Debug, Clone)]
pub struct RunStep {
    /// The words of the command, the shell among them.
    pub arguments: Vec<String>,
    /// The environment: `NAME=value`. Values of ARG are in it; `PATH` always is.
    pub environment: Vec<String>,
    /// What its machine is called, if the build says it.
    pub hostname: Option<String>,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// Absolute path; made if it is not there.
    pub working_dir: String,
    /// Files that only the process sees.
    pub files: Vec<RunFile>,
    /// What it sees for its own time, in the order of the instruction.
    pub mounts: Vec<RunMount>,
    /// Its network.
    pub network: BuildNetwork,
    /// How confined it is.
    pub security: RunSecurity,
    /// More lines of `/etc/hosts`: name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// Size of `/dev/shm`; `None` is that of containers.
    pub shm_size: Option<ByteSize>,
    /// Limits.
    pub ulimits: Vec<Ulimit>,
    /// The control group that it lives under.
    pub cgroup_parent: Option<String>,
}

/// A file that only the process sees: a here-document that is a script of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFile {
    /// Absolute path.
    pub path: String,
    /// What is in it.
    pub content: String,
    /// Its mode.
    pub mode: u32,
}

/// Something that is mounted for the process's own time. The mount point that had to be made for it is no part of the layer.
#[derive(Debug, Clone)]
pub struct RunMount {
    /// Absolute path in the root filesystem; a secret that is only a variable has none.
    pub target: Option<String>,
    /// Whether it refuses writes. What is written to a bind mount is lost afterwards.
    pub read_only: bool,
    /// What it is.
    pub source: MountSource,
}

/// What is mounted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each variant is described by its type")]
pub enum MountSource {
    Bind(BindMount),
    Cache(CacheMount),
    Tmpfs(TmpfsMount),
    Secret(SecretMount),
    Ssh(SshMount),
}

/// Files of a context, a stage or an image.
#[derive(Debug, Clone)]
pub struct BindMount {
    /// Which.
    pub tree: Arc<dyn Tree>,
    /// Path in it; `/` is all.
    pub path: String,
}

/// A directory that stays from build to build.
#[derive(Debug, Clone)]
pub struct CacheMount {
    /// What names it.
    pub id: String,
    /// Who else may have it at the same time.
    pub sharing: CacheSharing,
    /// What it begins with, if not with nothing.
    pub initial: Option<BindMount>,
    /// Mode of the directory when it is made.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A filesystem in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TmpfsMount {
    /// Its size; `None` is the kernel's default.
    pub size: Option<ByteSize>,
}

/// A file or a variable that no layer ever holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// What names it.
    pub id: String,
    /// The variable that holds it, besides or instead of the file.
    pub environment: Option<String>,
    /// Whether the step fails without it.
    pub required: bool,
    /// Mode of the file.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// The socket of an SSH agent; `SSH_AUTH_SOCK` tells where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshMount {
    /// What names it.
    pub id: String,
    /// Whether the step fails without it.
    pub required: bool,
    /// Mode of the socket.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}
