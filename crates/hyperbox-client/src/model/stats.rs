// SPDX-License-Identifier: MIT
//! A sample of a container's use of resources.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::nullable;

/// A sample, with the processor figures of the sample before.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Name with a leading slash.
    pub name: String,
    /// Full id.
    pub id: String,
    /// Processes.
    pub pids_stats: PidsStats,
    /// Block devices.
    pub blkio_stats: BlkioStats,
    /// Processor.
    pub cpu_stats: CpuStats,
    /// Processor, one sample earlier.
    pub precpu_stats: CpuStats,
    /// Memory.
    pub memory_stats: MemoryStats,
    /// Interfaces by name.
    #[serde(deserialize_with = "nullable")]
    pub networks: BTreeMap<String, NetworkStats>,
}

/// Processes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PidsStats {
    /// How many there are.
    pub current: u64,
}

/// Block devices.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BlkioStats {
    /// Bytes by operation and device.
    #[serde(deserialize_with = "nullable")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
}

/// A figure of a block device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BlkioEntry {
    /// `read`, `write`, …
    pub op: String,
    /// Bytes.
    pub value: u64,
}

/// Processor.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CpuStats {
    /// Time used by the container.
    pub cpu_usage: CpuUsage,
    /// Time used by the machine.
    pub system_cpu_usage: u64,
    /// Processors that the container may use.
    pub online_cpus: u32,
}

/// Processor time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    /// Nanoseconds.
    pub total_usage: u64,
    /// Nanoseconds by processor, on cgroup v1.
    #[serde(deserialize_with = "nullable")]
    pub percpu_usage: Vec<u64>,
}

/// Memory.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    /// Bytes, with the page cache.
    pub usage: u64,
    /// Bytes that may be used.
    pub limit: u64,
    /// Details by name.
    #[serde(deserialize_with = "nullable")]
    pub stats: BTreeMap<String, u64>,
}

/// An interface.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NetworkStats {
    /// Received bytes.
    pub rx_bytes: u64,
    /// Sent bytes.
    pub tx_bytes: u64,
}
