// SPDX-License-Identifier: MIT
//! Limits of the OCI specification as files of version 2. Pure.
//!
//! Reference: the kernel's `Documentation/admin-guide/cgroup-v2.rst`. Values that the specification states in version-1 terms
//! are converted as runc and crun do.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::limits_one::{pids_limit, rdma};
use super::setting::Setting;

/// Controllers that every container gets: for limits that may come later and for counters.
pub(crate) const ALWAYS: [&str; 5] = ["cpu", "cpuset", "memory", "io", "pids"];

/// Controllers that are switched on only for a limit.
pub(crate) fn extra(resources: &LinuxResources) -> Vec<&'static str> {
    let mut list = Vec::new();
    if resources
        .hugepage_limits()
        .as_ref()
        .is_some_and(|limits| !limits.is_empty())
    {
        list.push("hugetlb");
    }
    if resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty()) {
        list.push("rdma");
    }
    list
}

/// Returns what to write, or what is wrong with a limit.
pub(crate) fn settings(resources: &LinuxResources) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        settings.extend(memory_settings(memory)?);
    }
    if let Some(cpu) = resources.cpu() {
        settings.extend(cpu_settings(cpu));
    }
    if let Some(pids) = resources.pids() {
        settings.push(Setting::new("pids.max", pids_limit(pids.limit())));
    }
    if let Some(block) = resources.block_io() {
        settings.extend(io_settings(block));
    }
    for limit in resources.hugepage_limits().as_deref().unwrap_or_default() {
        let size = limit.page_size();
        settings.push(Setting::new(format!("hugetlb.{size}.max"), limit.limit()));
        settings.push(Setting::optional(format!("hugetlb.{size}.rsvd.max"), limit.limit()));
    }
    settings.extend(rdma(resources));
    settings.extend(unified(resources)?);
    Ok(settings)
}

/// The kernel's own names, checked to be names: they are joined to a path.
fn unified(resources: &LinuxResources) -> Result<Vec<Setting>, String> {
    let Some(map) = resources.unified() else {
        return Ok(Vec::new());
    };
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|a, b| a.0.cmp(b.0));
    entries
        .into_iter()
        .map(|(file, value)| {
            if file.contains('/') || !file.contains('.') || file.starts_with('.') || file.starts_with("cgroup.") {
                return Err(format!("linux.resources.unified contains {file:?}"));
            }
            Ok(Setting::new(file, value))
        })
        .collect()
}

fn limit(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn memory_settings(memory: &LinuxMemory) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    let given = |value: Option<i64>| value.filter(|value| *value != 0);
    if let Some(swap) = swap_limit(given(memory.limit()), given(memory.swap()))? {
        settings.push(Setting::optional("memory.swap.max", swap));
    }
    if let Some(value) = given(memory.limit()) {
        settings.push(Setting::new("memory.max", limit(value)));
    }
    if let Some(value) = given(memory.reservation()) {
        settings.push(Setting::new("memory.low", limit(value)));
    }
    Ok(settings)
}

/// Version 1 limits memory and swap together, version 2 limits swap alone.
fn swap_limit(memory: Option<i64>, both: Option<i64>) -> Result<Option<String>, String> {
    match (memory, both) {
        (_, None) => Ok(None),
        (_, Some(both)) if both < 0 => Ok(Some("max".to_owned())),
        (Some(memory), Some(both)) if memory > 0 && both >= memory => Ok(Some((both - memory).to_string())),
        (Some(memory), Some(both)) if memory > 0 => Err(format!(
            "the limit of memory and swap ({both}) is below that of memory ({memory})"
        )),
        (_, Some(_)) => Err("a limit of memory and swap needs one of memory".to_owned()),
    }
}

fn cpu_settings(cpu: &LinuxCpu) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(idle) = cpu.idle() {
        settings.push(Setting::new("cpu.idle", idle));
    }
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0)
        && cpu.idle() != Some(1)
    {
        settings.push(Setting::new("cpu.weight", weight_of_shares(shares)));
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if quota.is_some() || period.is_some() {
        let quota = quota.map_or_else(|| "max".to_owned(), limit);
        let value = period.map_or(quota.clone(), |period| format!("{quota} {period}"));
        settings.push(Setting::new("cpu.max", value));
    }
    if let Some(burst) = cpu.burst() {
        settings.push(Setting::new("cpu.max.burst", burst));
    }
    for (file, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            settings.push(Setting::new(file, value));
        }
    }
    settings
}

/// Maps 2…262144 to 1…10000.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

fn io_settings(block: &LinuxBlockIo) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
        settings.push(Setting::optional("io.bfq.weight", weight));
        let scaled = 1 + (u64::from(weight).clamp(10, 1_000) - 10) * 9_999 / 990;
        settings.push(Setting::optional("io.weight", format!("default {scaled}")));
    }
    for device in block.weight_device().as_deref().unwrap_or_default() {
        if let Some(weight) = device.weight() {
            let value = format!("{}:{} {weight}", device.major(), device.minor());
            settings.push(Setting::optional("io.bfq.weight", value));
        }
    }
    let lists: [(&str, &Option<Vec<LinuxThrottleDevice>>); 4] = [
        ("rbps", block.throttle_read_bps_device()),
        ("wbps", block.throttle_write_bps_device()),
        ("riops", block.throttle_read_iops_device()),
        ("wiops", block.throttle_write_iops_device()),
    ];
    for (key, list) in lists {
        for device in list.iter().flatten() {
            // Zero lifts a limit in version 1.
            let rate = if device.rate() == 0 {
                "max".to_owned()
            } else {
                device.rate().to_string()
            };
            settings.push(Setting::new(
                "io.max",
                format!("{}:{} {key}={rate}", device.major(), device.minor()),
            ));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        match settings(&resources) {
            Ok(settings) => settings
                .iter()
                .map(|setting| format!("{}={}", setting.file, setting.value))
                .collect::<Vec<_>>()
                .join(" "),
            Err(what) => format!("error: {what}"),
        }
    }

    #[test]
    fn limits_become_files() {
        for (json, expected) in [
            ("{}", ""),
            (
                r#"{"memory":{"limit":1000,"swap":3000,"reservation":500}}"#,
                "memory.swap.max=2000 memory.max=1000 memory.low=500",
            ),
            (
                r#"{"memory":{"limit":1000,"swap":-1}}"#,
                "memory.swap.max=max memory.max=1000",
            ),
            (
                r#"{"memory":{"limit":1000,"swap":10}}"#,
                "error: the limit of memory and swap (10) is below that of memory (1000)",
            ),
            (
                r#"{"memory":{"swap":10}}"#,
                "error: a limit of memory and swap needs one of memory",
            ),
            (r#"{"memory":{"limit":-1}}"#, "memory.max=max"),
            (r#"{"cpu":{"shares":1024}}"#, "cpu.weight=39"),
            (r#"{"cpu":{"quota":50000,"period":100000}}"#, "cpu.max=50000 100000"),
            (r#"{"cpu":{"quota":-1}}"#, "cpu.max=max"),
            (r#"{"cpu":{"cpus":"0","mems":"0"}}"#, "cpuset.cpus=0 cpuset.mems=0"),
            (r#"{"pids":{"limit":7}}"#, "pids.max=7"),
            (
                r#"{"blockIO":{"weight":500,"throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":5}]}}"#,
                "io.bfq.weight=500 io.weight=default 4950 io.max=8:16 wiops=5",
            ),
            (r#"{"unified":{"memory.high":"5"}}"#, "memory.high=5"),
            (
                r#"{"unified":{"../x.y":"5"}}"#,
                "error: linux.resources.unified contains \"../x.y\"",
            ),
        ] {
            assert_eq!(text(json), expected, "{json}");
        }
        assert_eq!((weight_of_shares(2), weight_of_shares(262_144)), (1, 10_000));
    }
}
