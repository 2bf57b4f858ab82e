// SPDX-License-Identifier: MIT
//! Control groups above those of containers: what several containers may use together.

use hyperbox_types::ErrorKind;

/// What everything in a group may use together. What is unset is not limited, also when it was before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupLimits {
    /// Processors, in billionths.
    pub nano_cpus: Option<u64>,
    /// Bytes of memory, page cache included.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes per second read from each disk.
    pub read_bytes: Option<u64>,
    /// Bytes per second written to each disk.
    pub write_bytes: Option<u64>,
    /// Read operations per second on each disk.
    pub read_operations: Option<u64>,
    /// Write operations per second on each disk.
    pub write_operations: Option<u64>,
    /// Share of a busy disk, 10 to 1000.
    pub io_weight: Option<u16>,
}

/// What everything in a group uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// Consumed processor time in nanoseconds.
    pub cpu_total_ns: u64,
    /// Bytes of memory, without page cache that can go at once.
    pub memory: u64,
    /// The limit of memory in bytes, as the kernel keeps it.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
    /// The limit of processes and threads, as the kernel keeps it.
    pub pids_limit: Option<u64>,
    /// Bytes read from disks.
    pub read_bytes: u64,
    /// Bytes written to disks.
    pub write_bytes: u64,
    /// How many processes the kernel has killed for want of memory; in version 1 of those containers that still have a group.
    pub memory_kills: u64,
}

/// Makes groups that hold containers' groups.
///
/// A path is absolute, as in [`crate::container::Config::cgroup_parent`], and below that of the engine.
///
/// # Life cycle
/// 1. [`ControlGroups::ensure`] makes a group, or takes the one there is with all that runs in it, and sets its limits. Nothing survives a
///    boot: whoever wants the limits kept calls it before the containers start.
/// 2. Containers whose parent it is join it when they start; a container makes a group that is missing, without limits.
/// 3. [`ControlGroups::remove`] takes it away when nothing runs in it any more.
///
/// Calls block: `ensure` and `usage` for less than a millisecond, `remove` for seconds when processes are still ending.
pub trait ControlGroups: Send + Sync + std::fmt::Debug {
    /// Makes a group and sets limits. Returns a sentence for each limit that this machine cannot keep.
    ///
    /// # Errors
    /// `InvalidArgument` for a limit that the kernel does not take, `Conflict` for one below what is in use where it cannot be freed.
    fn ensure(&self, path: &str, limits: &GroupLimits) -> Result<Vec<String>, GroupError>;

    /// Reads what is used.
    ///
    /// # Errors
    /// `NotFound` when there is no such group.
    fn usage(&self, path: &str) -> Result<GroupUsage, GroupError>;

    /// Removes a group with the empty ones below it. Removing what is not there succeeds.
    ///
    /// # Errors
    /// `Conflict` when something still runs in it.
    fn remove(&self, path: &str) -> Result<(), GroupError>;
}

/// Why an operation on a group failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} control group {path}")]
pub struct GroupError {
    /// What was tried.
    pub operation: &'static str,
    /// The group.
    pub path: String,
    /// The class.
    pub kind: ErrorKind,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
