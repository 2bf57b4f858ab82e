// SPDX-License-Identifier: MIT
//! The host: what the engine must know of the machine and may not find out by itself.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyperbox_types::ErrorKind;

use crate::time::Timestamp;

/// A device node of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode {
    /// Where it is.
    pub path: PathBuf,
    /// Block device; otherwise a character device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A process as `ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Process id.
    pub pid: u32,
    /// Parent's id.
    pub ppid: u32,
    /// Owner.
    pub uid: u32,
    /// Name of the owner on the host, or the number.
    pub user: String,
    /// Start.
    pub started_at: Timestamp,
    /// Consumed processor time.
    pub cpu_time: Duration,
    /// Controlling terminal, such as `pts/0`, or `?`.
    pub terminal: String,
    /// Command line, or the name in brackets.
    pub command: String,
}

/// Counters of a network link inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are those of /proc/net/dev")]
pub struct LinkCounters {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// The processors and memory nodes of the machine, in the kernel's list format (`cpuset(7)`), such as `0-3`; empty when unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessorSets {
    /// Processors that are online.
    pub processors: String,
    /// Memory nodes that are online.
    pub memory_nodes: String,
}

/// What exists at a path of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A directory.
    Directory,
    /// Anything else.
    Other,
    /// Nothing.
    Missing,
}

/// Reads the machine. All calls are quick and may block for a moment; none changes anything but
/// [`Host::create_directory`], [`Host::remove_directory`] and [`Host::rewrite_file`].
pub trait Host: Send + Sync + std::fmt::Debug {
    /// Returns the device at a path, or all devices below a directory.
    fn devices(&self, path: &Path) -> Result<Vec<DeviceNode>, HostError>;

    /// Returns all devices of `/dev` that a privileged container gets.
    fn all_devices(&self) -> Result<Vec<DeviceNode>, HostError>;

    /// Tells what is at a path.
    fn path_kind(&self, path: &Path) -> Result<PathKind, HostError>;

    /// Makes a directory and its parents for a bind mount whose source is missing.
    fn create_directory(&self, path: &Path) -> Result<(), HostError>;

    /// Removes a container's own directory (at most a few small files); removing what is not there succeeds.
    fn remove_directory(&self, path: &Path) -> Result<(), HostError>;

    /// Replaces the text of one of a container's own files in place: it is mounted into the container, which keeps seeing it.
    fn rewrite_file(&self, path: &Path, text: &str) -> Result<(), HostError>;

    /// Opens the network namespace of a process.
    fn network_namespace(&self, pid: u32) -> Result<OwnedFd, HostError>;

    /// Describes processes; those that are gone are left out.
    fn processes(&self, pids: &[u32]) -> Vec<ProcessInfo>;

    /// Returns the counters of the links in the network namespace of a process.
    fn link_counters(&self, pid: u32) -> Vec<LinkCounters>;

    /// Returns the time that all processors together have run or idled since boot, in nanoseconds.
    fn system_cpu_ns(&self) -> u64;

    /// Returns how many processors are usable.
    fn online_cpus(&self) -> u32;

    /// Returns which processors and memory nodes there are.
    fn processor_sets(&self) -> ProcessorSets;

    /// Tells whether the kernel weighs block input and output between control groups.
    fn has_block_weights(&self) -> bool;

    /// Returns the machine's host name.
    fn hostname(&self) -> String;

    /// Returns the text of the machine's `/etc/hosts`.
    fn hosts_file(&self) -> String;

    /// Returns the memory of the machine in bytes.
    fn memory_bytes(&self) -> u64;

    /// Returns the names of the capabilities that this daemon may give, such as `CAP_CHOWN`, in the kernel's order.
    fn capabilities(&self) -> Vec<String>;
}

/// Why the host could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}")]
pub struct HostError {
    /// What was tried.
    pub operation: &'static str,
    /// On which path.
    pub path: String,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

impl HostError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        super::content::io_kind(&self.source)
    }
}
