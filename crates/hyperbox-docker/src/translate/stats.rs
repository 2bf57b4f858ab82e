// SPDX-License-Identifier: MIT
//! Samples of counters → Docker's statistics.

use std::collections::BTreeMap;

use hyperbox_core::container::{ContainerRecord, NetworkMode, StatsSample};
use hyperbox_types::shim::{BlockStats, CgroupStats};

use super::since;
use crate::wire::Empty;
use crate::wire::stats::{Blkio, BlkioEntry, Cpu, CpuUsage, Memory, Network, Pids, Stats, Throttling};

/// Makes the statistics of a container from its current sample and the one before; without a sample everything is zero.
pub(crate) fn stats(record: &ContainerRecord, now: Option<&StatsSample>, before: Option<&StatsSample>) -> Stats {
    Stats {
        name: format!("/{}", record.name),
        id: record.id.to_string(),
        read: since::moment(now.map(|sample| sample.read_at)),
        preread: since::moment(before.map(|sample| sample.read_at)),
        pids_stats: now.map(pids).unwrap_or_default(),
        blkio_stats: now.map(|sample| blkio(&sample.cgroup)).unwrap_or_default(),
        num_procs: 0,
        storage_stats: Empty {},
        cpu_stats: now.map(cpu).unwrap_or_default(),
        precpu_stats: before.map(cpu).unwrap_or_default(),
        memory_stats: now.map(memory).unwrap_or_default(),
        // The host's links are no business of a container that shares them.
        networks: now
            .filter(|_| record.spec.network != NetworkMode::Host)
            .map(networks)
            .filter(|networks| !networks.is_empty()),
    }
}

fn pids(sample: &StatsSample) -> Pids {
    Pids {
        current: Some(sample.cgroup.pids_current),
        limit: sample.cgroup.pids_limit,
    }
}

fn cpu(sample: &StatsSample) -> Cpu {
    let cgroup = &sample.cgroup;
    let (periods, throttled_periods, throttled_time) = cgroup.cpu_throttling;
    Cpu {
        cpu_usage: CpuUsage {
            total_usage: cgroup.cpu_total_ns,
            usage_in_kernelmode: cgroup.cpu_system_ns,
            usage_in_usermode: cgroup.cpu_user_ns,
        },
        system_cpu_usage: Some(sample.system_cpu_ns),
        online_cpus: Some(sample.online_cpus),
        throttling_data: Throttling {
            periods,
            throttled_periods,
            throttled_time,
        },
    }
}

fn memory(sample: &StatsSample) -> Memory {
    let cgroup = &sample.cgroup;
    let limit = cgroup
        .memory_limit
        .map_or(sample.machine_memory, |limit| limit.min(sample.machine_memory));
    Memory {
        usage: Some(cgroup.memory_usage),
        // Both exist in version 1 only.
        max_usage: cgroup.memory_max_usage.filter(|_| !cgroup.version2),
        failcnt: Some(cgroup.memory_failures).filter(|failures| !cgroup.version2 && *failures != 0),
        stats: cgroup.memory_detail.clone(),
        limit: Some(limit),
    }
}

fn blkio(cgroup: &CgroupStats) -> Blkio {
    let (read, write) = if cgroup.version2 {
        ("read", "write")
    } else {
        ("Read", "Write")
    };
    let entries = |values: fn(&BlockStats) -> (u64, u64)| {
        let pair = |block: &BlockStats| {
            let (reads, writes) = values(block);
            let entry = |op, value| BlkioEntry {
                major: block.major,
                minor: block.minor,
                op,
                value,
            };
            [entry(read, reads), entry(write, writes)]
        };
        cgroup.block.iter().flat_map(pair).collect::<Vec<_>>()
    };
    let bytes = entries(|block| (block.read_bytes, block.write_bytes));
    if cgroup.version2 {
        return Blkio {
            io_service_bytes_recursive: Some(bytes),
            ..Blkio::default()
        };
    }
    let none = || Some(Vec::new());
    Blkio {
        io_service_bytes_recursive: Some(bytes),
        io_serviced_recursive: Some(entries(|block| (block.read_operations, block.write_operations))),
        io_queue_recursive: none(),
        io_service_time_recursive: none(),
        io_wait_time_recursive: none(),
        io_merged_recursive: none(),
        io_time_recursive: none(),
        sectors_recursive: none(),
    }
}

fn networks(sample: &StatsSample) -> BTreeMap<String, Network> {
    let links = sample.network.iter().filter(|link| link.name != "lo");
    let network = |link: &hyperbox_core::seam::LinkCounters| Network {
        rx_bytes: link.rx_bytes,
        rx_packets: link.rx_packets,
        rx_errors: link.rx_errors,
        rx_dropped: link.rx_dropped,
        tx_bytes: link.tx_bytes,
        tx_packets: link.tx_packets,
        tx_errors: link.tx_errors,
        tx_dropped: link.tx_dropped,
    };
    links.map(|link| (link.name.clone(), network(link))).collect()
}
