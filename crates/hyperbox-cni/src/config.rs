// SPDX-License-Identifier: MIT
//! What the driver is told by whoever wires it.

use std::path::PathBuf;
use std::time::Duration;

/// Configuration of a [`crate::CniDriver`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the driver notes which attachments it has made, so that none leaks when the daemon dies. Its own; on a disk that survives
    /// a reboot, because what plugins keep survives one, too. Made if it is missing.
    pub state_dir: PathBuf,
    /// Where lists are looked for that are given by name.
    pub list_dir: PathBuf,
    /// Where plugins are looked for when a network does not say, in this order.
    pub plugin_dirs: Vec<PathBuf>,
    /// `PATH` of plugins, which run programs such as `iptables`.
    pub search_path: String,
    /// How long a plugin may take; then it is killed together with its process group.
    pub plugin_timeout: Duration,
}

impl Config {
    /// How long a plugin may take unless configured otherwise.
    pub const PLUGIN_TIMEOUT: Duration = Duration::from_secs(30);

    /// Returns the usual configuration, with state in `state_dir`.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            list_dir: PathBuf::from("/etc/cni/net.d"),
            plugin_dirs: vec![PathBuf::from("/usr/lib/cni"), PathBuf::from("/opt/cni/bin")],
            search_path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            plugin_timeout: Self::PLUGIN_TIMEOUT,
        }
    }
}
