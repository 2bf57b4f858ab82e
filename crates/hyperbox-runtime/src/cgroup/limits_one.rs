// SPDX-License-Identifier: MIT
//! Limits of the OCI specification as files of version-1 controllers. Pure.
//!
//! Reference: the kernel's `Documentation/admin-guide/cgroup-v1/`.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::setting::Setting;

/// Controllers that every container joins: for limits that may come later, for counters and for devices.
pub(crate) const ALWAYS: [&str; 7] = ["cpu", "cpuacct", "cpuset", "memory", "devices", "blkio", "pids"];

/// Returns the controllers that these limits need.
pub(crate) fn needed(resources: &LinuxResources) -> Vec<&'static str> {
    let mut list = Vec::new();
    let mut need = |name, wanted: bool| {
        if wanted {
            list.push(name);
        }
    };
    need("memory", !memory(resources).is_empty());
    need("cpu", !cpu(resources).is_empty());
    need("cpuset", !cpuset(resources).is_empty());
    need("pids", !pids(resources).is_empty());
    need("blkio", !blkio(resources).is_empty());
    need("hugetlb", !hugetlb(resources).is_empty());
    need("net_cls", !net_cls(resources).is_empty());
    need("net_prio", !net_prio(resources).is_empty());
    need("rdma", !rdma(resources).is_empty());
    list
}

/// Returns what to write for one controller.
pub(crate) fn settings(controller: &str, resources: &LinuxResources) -> Vec<Setting> {
    match controller {
        "memory" => memory(resources),
        "cpu" => cpu(resources),
        "cpuset" => cpuset(resources),
        "pids" => pids(resources),
        "blkio" => blkio(resources),
        "hugetlb" => hugetlb(resources),
        "net_cls" => net_cls(resources),
        "net_prio" => net_prio(resources),
        "rdma" => rdma(resources),
        _ => Vec::new(),
    }
}

/// File of the limit of memory alone.
pub(crate) const MEMORY_LIMIT: &str = "memory.limit_in_bytes";
/// File of the limit of memory and swap together; never below the other.
pub(crate) const MEMORY_SWAP_LIMIT: &str = "memory.memsw.limit_in_bytes";

fn memory(resources: &LinuxResources) -> Vec<Setting> {
    let Some(memory) = resources.memory() else {
        return Vec::new();
    };
    memory_settings(memory)
}

fn memory_settings(memory: &LinuxMemory) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut put = |file: &str, value: Option<i64>| {
        // Zero means "not set", as Docker writes it; minus one is no limit.
        if let Some(value) = value.filter(|value| *value != 0) {
            settings.push(Setting::new(file, value));
        }
    };
    put(MEMORY_LIMIT, memory.limit());
    put("memory.soft_limit_in_bytes", memory.reservation());
    if let Some(swap) = memory.swap().filter(|swap| *swap != 0) {
        settings.push(Setting::optional(MEMORY_SWAP_LIMIT, swap));
    }
    if let Some(kernel) = memory.kernel_tcp().filter(|limit| *limit != 0) {
        settings.push(Setting::optional("memory.kmem.tcp.limit_in_bytes", kernel));
    }
    if let Some(swappiness) = memory.swappiness().filter(|value| *value <= 100) {
        settings.push(Setting::new("memory.swappiness", swappiness));
    }
    if memory.disable_oom_killer() == Some(true) {
        settings.push(Setting::new("memory.oom_control", 1));
    }
    settings
}

fn cpu(resources: &LinuxResources) -> Vec<Setting> {
    let Some(cpu) = resources.cpu() else {
        return Vec::new();
    };
    let mut settings = Vec::new();
    let mut put = |file: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.push(Setting::new(file, value));
        }
    };
    let positive = |value: Option<u64>| value.filter(|value| *value != 0).map(|value| value.to_string());
    put("cpu.rt_period_us", positive(cpu.realtime_period()));
    put(
        "cpu.rt_runtime_us",
        cpu.realtime_runtime()
            .filter(|value| *value != 0)
            .map(|value| value.to_string()),
    );
    put("cpu.shares", positive(cpu.shares()));
    put("cpu.idle", cpu.idle().map(|value| value.to_string()));
    put("cpu.cfs_period_us", positive(cpu.period()));
    put("cpu.cfs_quota_us", quota(cpu));
    put("cpu.cfs_burst_us", cpu.burst().map(|value| value.to_string()));
    settings
}

fn quota(cpu: &LinuxCpu) -> Option<String> {
    cpu.quota().filter(|quota| *quota != 0).map(|quota| quota.to_string())
}

fn cpuset(resources: &LinuxResources) -> Vec<Setting> {
    let Some(cpu) = resources.cpu() else {
        return Vec::new();
    };
    [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())]
        .into_iter()
        .filter_map(|(file, value)| value.as_deref().map(|value| (file, value)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(file, value)| Setting::new(file, value))
        .collect()
}

fn pids(resources: &LinuxResources) -> Vec<Setting> {
    resources
        .pids()
        .map(|pids| Setting::new("pids.max", pids_limit(pids.limit())))
        .into_iter()
        .collect()
}

/// No limit is written `max`.
pub(crate) fn pids_limit(limit: i64) -> String {
    if limit > 0 { limit.to_string() } else { "max".to_owned() }
}

fn blkio(resources: &LinuxResources) -> Vec<Setting> {
    let Some(block) = resources.block_io() else {
        return Vec::new();
    };
    let mut settings = Vec::new();
    let mut weight = |prefix: &str, value: Option<u16>| {
        if let Some(value) = value.filter(|value| *value != 0) {
            settings.push(Setting::optional(format!("blkio.{prefix}weight"), value));
        }
    };
    // The first name is that of the old CFQ scheduler, the second that of BFQ.
    weight("", block.weight());
    weight("bfq.", block.weight());
    weight("leaf_", block.leaf_weight());
    for device in block.weight_device().as_deref().unwrap_or_default() {
        if let Some(weight) = device.weight() {
            let value = format!("{}:{} {weight}", device.major(), device.minor());
            settings.push(Setting::optional("blkio.weight_device", &value));
            settings.push(Setting::optional("blkio.bfq.weight_device", &value));
        }
    }
    settings.extend(throttles(block));
    settings
}

fn throttles(block: &LinuxBlockIo) -> Vec<Setting> {
    let lists: [(&str, &Option<Vec<LinuxThrottleDevice>>); 4] = [
        ("blkio.throttle.read_bps_device", block.throttle_read_bps_device()),
        ("blkio.throttle.write_bps_device", block.throttle_write_bps_device()),
        ("blkio.throttle.read_iops_device", block.throttle_read_iops_device()),
        ("blkio.throttle.write_iops_device", block.throttle_write_iops_device()),
    ];
    lists
        .into_iter()
        .flat_map(|(file, list)| list.iter().flatten().map(move |device| (file, device)))
        .map(|(file, device)| Setting::new(file, format!("{}:{} {}", device.major(), device.minor(), device.rate())))
        .collect()
}

fn hugetlb(resources: &LinuxResources) -> Vec<Setting> {
    let limits = resources.hugepage_limits().as_deref().unwrap_or_default();
    limits
        .iter()
        .flat_map(|limit| {
            let size = limit.page_size();
            [
                Setting::new(format!("hugetlb.{size}.limit_in_bytes"), limit.limit()),
                Setting::optional(format!("hugetlb.{size}.rsvd.limit_in_bytes"), limit.limit()),
            ]
        })
        .collect()
}

fn net_cls(resources: &LinuxResources) -> Vec<Setting> {
    let class = resources.network().as_ref().and_then(|network| network.class_id());
    class
        .map(|class| Setting::new("net_cls.classid", class))
        .into_iter()
        .collect()
}

fn net_prio(resources: &LinuxResources) -> Vec<Setting> {
    let network = resources.network().as_ref();
    let priorities = network
        .and_then(|network| network.priorities().as_deref())
        .unwrap_or_default();
    priorities
        .iter()
        .map(|entry| Setting::new("net_prio.ifpriomap", format!("{} {}", entry.name(), entry.priority())))
        .collect()
}

/// The same file in both versions.
pub(crate) fn rdma(resources: &LinuxResources) -> Vec<Setting> {
    let Some(map) = resources.rdma() else {
        return Vec::new();
    };
    let mut names: Vec<_> = map.iter().collect();
    names.sort_by(|a, b| a.0.cmp(b.0));
    names
        .into_iter()
        .map(|(name, limit)| {
            let mut value = name.clone();
            if let Some(handles) = limit.hca_handles() {
                value = format!("{value} hca_handle={handles}");
            }
            if let Some(objects) = limit.hca_objects() {
                value = format!("{value} hca_object={objects}");
            }
            Setting::new("rdma.max", value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_files() {
        let resources: LinuxResources = serde_json::from_str(
            r#"{"memory":{"limit":1048576,"swap":-1,"reservation":0,"swappiness":10},
                "cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0-1","mems":""},
                "pids":{"limit":0},
                "blockIO":{"weight":100,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1024}]},
                "hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#,
        )
        .unwrap();
        let text = |controller: &str| {
            settings(controller, &resources)
                .iter()
                .map(|setting| format!("{}={}", setting.file, setting.value))
                .collect::<Vec<_>>()
                .join(" ")
        };
        for (controller, expected) in [
            (
                "memory",
                "memory.limit_in_bytes=1048576 memory.memsw.limit_in_bytes=-1 memory.swappiness=10",
            ),
            ("cpu", "cpu.shares=512 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000"),
            ("cpuset", "cpuset.cpus=0-1"),
            ("pids", "pids.max=max"),
            (
                "blkio",
                "blkio.weight=100 blkio.bfq.weight=100 blkio.throttle.read_bps_device=8:0 1024",
            ),
            (
                "hugetlb",
                "hugetlb.2MB.limit_in_bytes=0 hugetlb.2MB.rsvd.limit_in_bytes=0",
            ),
            ("freezer", ""),
        ] {
            assert_eq!(text(controller), expected, "{controller}");
        }
        assert_eq!(
            needed(&resources),
            ["memory", "cpu", "cpuset", "pids", "blkio", "hugetlb"]
        );
    }
}
