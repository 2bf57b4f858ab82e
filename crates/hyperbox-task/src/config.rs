// SPDX-License-Identifier: MIT
//! Configuration of the task runtime.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where things are and which runtimes there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The engine's run directory; containers get theirs in `containers/` below it. On a tmpfs, so that it is empty after a boot.
    pub run_dir: PathBuf,
    /// The `hyperbox-shim` program; by default the one beside the running executable.
    #[serde(default)]
    pub shim_program: Option<PathBuf>,
    /// Name of the runtime that is used when none is asked for.
    #[serde(default = "default_runtime")]
    pub default_runtime: String,
    /// External OCI runtimes by name, besides those found in `search_path`.
    #[serde(default)]
    pub runtimes: BTreeMap<String, ExternalRuntime>,
    /// Directories in which `crun`, `runc`, `youki` and `runsc` are looked for.
    #[serde(default = "default_search_path")]
    pub search_path: Vec<PathBuf>,
    /// Soft limit of open files of supervisors and containers (`RLIMIT_NOFILE`); that of this process when unset.
    #[serde(skip)]
    pub descriptors: Option<u64>,
}

/// An external OCI runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalRuntime {
    /// The executable.
    pub path: PathBuf,
    /// Arguments before the subcommand, such as `--cgroup-manager=disabled`.
    #[serde(default)]
    pub arguments: Vec<String>,
}

impl Config {
    /// Returns the defaults for a run directory.
    pub fn new(run_dir: impl Into<PathBuf>) -> Self {
        Self {
            run_dir: run_dir.into(),
            shim_program: None,
            default_runtime: default_runtime(),
            runtimes: BTreeMap::new(),
            search_path: default_search_path(),
            descriptors: None,
        }
    }
}

fn default_runtime() -> String {
    crate::runtimes::EMBEDDED.to_owned()
}

fn default_search_path() -> Vec<PathBuf> {
    [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ]
    .map(PathBuf::from)
    .to_vec()
}
