// SPDX-License-Identifier: MIT
//! Facts about this daemon and its machine, gathered once at start.

use std::path::PathBuf;
use std::sync::Arc;

use hyperbox_types::ByteSize;

use crate::seam::RuntimeInfo;
use crate::time::Timestamp;

/// What `info` and `version` tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemFacts {
    /// Identifies this store.
    pub id: String,
    /// Version of HyperBox.
    pub version: String,
    /// Commit that it was built from; empty when unknown.
    pub git_commit: String,
    /// When it was built; empty when unknown.
    pub build_time: String,
    /// Host name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// Name of the distribution, such as `Debian GNU/Linux 12 (bookworm)`.
    pub operating_system: String,
    /// Version of the distribution.
    pub os_version: String,
    /// Architecture in the kernel's spelling, such as `x86_64`.
    pub architecture: String,
    /// Usable processors.
    pub cpus: u32,
    /// Memory of the machine.
    pub memory: ByteSize,
    /// 1 or 2.
    pub cgroup_version: u8,
    /// `cgroupfs`.
    pub cgroup_driver: String,
    /// Name of the snapshotter.
    pub storage_driver: String,
    /// More about the snapshotter: names and values, for people.
    pub storage_status: Vec<(String, String)>,
    /// Root of all state.
    pub root_dir: PathBuf,
    /// Such as `name=seccomp,profile=builtin`.
    pub security_options: Vec<String>,
    /// Runtime used when none is wished for.
    pub default_runtime: String,
    /// Runtimes that can be chosen.
    pub runtimes: Vec<RuntimeInfo>,
    /// What the machine lacks.
    pub warnings: Vec<String>,
    /// When the daemon started.
    pub started_at: Timestamp,
    /// Registries that may be spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Mirrors of Docker Hub.
    pub mirrors: Vec<String>,
    /// Whether debug logging is on.
    pub debug: bool,
    /// Where the daemon listens.
    pub listeners: Vec<String>,
    /// What subnets are cut from, when the user chose it: ranges in CIDR form, and the prefix length of the subnets.
    pub default_address_pools: Vec<(String, u8)>,
}

/// Answers questions about the daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct System {
    facts: Arc<SystemFacts>,
}

impl System {
    /// Makes the service.
    pub fn new(facts: SystemFacts) -> Self {
        Self { facts: Arc::new(facts) }
    }

    /// Returns the facts.
    pub fn facts(&self) -> &SystemFacts {
        &self.facts
    }
}
