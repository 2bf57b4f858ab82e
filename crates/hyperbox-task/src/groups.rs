// SPDX-License-Identifier: MIT
//! Groups that hold containers' groups: implements the [`hyperbox_core::seam::ControlGroups`] seam by the runtime's own cgroups, so
//! that both cut a path to the same directories of each hierarchy.
//!
//! Nothing is remembered: what there is, the kernel knows.

use std::path::Path;

use hyperbox_core::seam::{ControlGroups, GroupError, GroupLimits, GroupUsage};
use hyperbox_runtime::{CgroupError, Cgroups};
use hyperbox_types::ErrorKind;
use serde_json::{Value, json};

/// Where the kernel lists block devices.
const BLOCK_DEVICES: &str = "/sys/block";
/// The period in which processor time is counted, in microseconds: the kernel's own.
const PERIOD: u64 = 100_000;

/// The machine's control groups.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelGroups;

impl ControlGroups for KernelGroups {
    fn ensure(&self, path: &str, limits: &GroupLimits) -> Result<Vec<String>, GroupError> {
        let operation = "set the limits of";
        let group = checked(path)?;
        set(group, &firm_limits(limits)).map_err(|error| failed(operation, path, error))?;
        let mut warnings = Vec::new();
        if limits.io_weight.is_some() {
            let resources = json!({ "blockIO": { "weight": limits.io_weight } });
            note(set(group, &resources), "the share of a busy disk", &mut warnings);
        }
        if !Cgroups::limits_shared_rates() {
            if has_rates(limits) {
                let reason = "rates of input and output are not limited: with control groups of version 1 they count for each \
                              container alone";
                warnings.push(reason.to_owned());
            }
            return Ok(warnings);
        }
        for disk in disks(Path::new(BLOCK_DEVICES)) {
            let set = set(group, &rates(limits, disk.number));
            // A device without any limit needs none taken away.
            if has_rates(limits) {
                note(set, &format!("rates of disk {}", disk.name), &mut warnings);
            }
        }
        Ok(warnings)
    }

    fn usage(&self, path: &str) -> Result<GroupUsage, GroupError> {
        let operation = "read the counters of";
        let groups = Cgroups::find(checked(path)?);
        if groups.paths().is_empty() {
            return Err(missing(operation, path));
        }
        let stats = groups.stats().map_err(|error| failed(operation, path, error))?;
        // What `docker stats` shows: page cache that nobody used lately can go at once.
        let inactive = ["total_inactive_file", "inactive_file"];
        let inactive = inactive.iter().find_map(|name| stats.memory_detail.get(*name));
        Ok(GroupUsage {
            cpu_total_ns: stats.cpu_total_ns,
            memory: stats.memory_usage.saturating_sub(inactive.copied().unwrap_or_default()),
            memory_limit: stats.memory_limit,
            pids: stats.pids_current,
            pids_limit: stats.pids_limit,
            read_bytes: stats.block.iter().map(|device| device.read_bytes).sum(),
            write_bytes: stats.block.iter().map(|device| device.write_bytes).sum(),
            memory_kills: groups.shared_oom_kills(),
        })
    }

    fn remove(&self, path: &str) -> Result<(), GroupError> {
        let groups = Cgroups::find(checked(path)?);
        groups.remove_shared().map_err(|error| failed("remove", path, error))
    }
}

fn set(group: &Path, resources: &Value) -> Result<(), CgroupError> {
    let resources = serde_json::from_value(resources.clone()).map_err(|error| CgroupError::Invalid {
        what: error.to_string(),
    })?;
    Cgroups::shared(group, &resources).map(drop)
}

fn note(result: Result<(), CgroupError>, what: &str, warnings: &mut Vec<String>) {
    if let Err(error) = result {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        warnings.push(format!(
            "{what} cannot be limited: {error}{}",
            cause.unwrap_or_default()
        ));
    }
}

/// Refuses a path that would lead out of the engine's own groups.
fn checked(path: &str) -> Result<&Path, GroupError> {
    let good = path.starts_with('/') && path.len() > 1 && !path.split('/').any(|part| matches!(part, "." | ".."));
    if good {
        return Ok(Path::new(path));
    }
    Err(GroupError {
        operation: "use",
        path: path.to_owned(),
        kind: ErrorKind::InvalidArgument,
        source: "it is no path below the root".into(),
    })
}

/// Limits that every machine keeps, those that are lifted too.
fn firm_limits(limits: &GroupLimits) -> Value {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let memory = limits.memory.map_or(-1, signed);
    // As much swap as memory, as Docker gives a container.
    let both = limits.memory.map_or(-1, |bytes| signed(bytes.saturating_mul(2)));
    let quota = limits
        .nano_cpus
        .map_or(-1, |nano| signed((nano / (1_000_000_000 / PERIOD)).max(1000)));
    json!({
        "cpu": { "quota": quota, "period": PERIOD },
        "pids": { "limit": limits.pids.map_or(-1, signed) },
        "memory": { "limit": memory, "swap": both },
    })
}

fn has_rates(limits: &GroupLimits) -> bool {
    let rates = [
        limits.read_bytes,
        limits.write_bytes,
        limits.read_operations,
        limits.write_operations,
    ];
    rates.iter().any(Option::is_some)
}

/// Rates of one disk; zero lifts one.
fn rates(limits: &GroupLimits, (major, minor): (u64, u64)) -> Value {
    let rate = |rate: Option<u64>| json!([{ "major": major, "minor": minor, "rate": rate.unwrap_or_default() }]);
    json!({ "blockIO": {
        "throttleReadBpsDevice": rate(limits.read_bytes),
        "throttleWriteBpsDevice": rate(limits.write_bytes),
        "throttleReadIOPSDevice": rate(limits.read_operations),
        "throttleWriteIOPSDevice": rate(limits.write_operations),
    }})
}

/// A block device that is no part of another.
#[derive(Debug, PartialEq, Eq)]
struct Disk {
    name: String,
    number: (u64, u64),
}

/// Lists the disks that hold anything; memory that looks like one is none.
fn disks(directory: &Path) -> Vec<Disk> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut disks: Vec<Disk> = entries.filter_map(|entry| disk(&entry.path())).collect();
    disks.sort_by(|one, other| one.name.cmp(&other.name));
    disks
}

fn disk(path: &Path) -> Option<Disk> {
    let name = path.file_name()?.to_str()?.to_owned();
    let read = |file: &str| std::fs::read_to_string(path.join(file)).ok();
    let is_empty = read("size")?.trim() == "0";
    if is_empty || ["ram", "zram"].iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    let text = read("dev")?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(Disk {
        name,
        number: (major.parse().ok()?, minor.parse().ok()?),
    })
}

fn missing(operation: &'static str, path: &str) -> GroupError {
    GroupError {
        operation,
        path: path.to_owned(),
        kind: ErrorKind::NotFound,
        source: "there is none".into(),
    }
}

fn failed(operation: &'static str, path: &str, error: CgroupError) -> GroupError {
    GroupError {
        operation,
        path: path.to_owned(),
        kind: error.kind(),
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_limited_is_lifted() {
        let all = GroupLimits {
            nano_cpus: Some(1_500_000_000),
            memory: Some(1 << 20),
            pids: Some(50),
            ..GroupLimits::default()
        };
        assert_eq!(
            firm_limits(&all),
            json!({
                "cpu": { "quota": 150_000, "period": 100_000 },
                "pids": { "limit": 50 },
                "memory": { "limit": 1_048_576, "swap": 2_097_152 },
            })
        );
        assert_eq!(
            firm_limits(&GroupLimits::default()),
            json!({
                "cpu": { "quota": -1, "period": 100_000 },
                "pids": { "limit": -1 },
                "memory": { "limit": -1, "swap": -1 },
            })
        );
        let some = GroupLimits {
            read_bytes: Some(7),
            ..GroupLimits::default()
        };
        let rates = rates(&some, (8, 16));
        assert_eq!(
            rates["blockIO"]["throttleReadBpsDevice"],
            json!([{ "major": 8, "minor": 16, "rate": 7 }])
        );
        assert_eq!(rates["blockIO"]["throttleWriteIOPSDevice"][0]["rate"], 0);
    }

    #[test]
    fn only_disks_are_disks() {
        let directory = tempfile::tempdir().unwrap();
        for (name, size, number) in [
            ("vda", "8", "254:0"),
            ("loop0", "0", "7:0"),
            ("ram0", "8", "1:0"),
            ("sda", "1", "8:0"),
        ] {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("size"), format!("{size}\n")).unwrap();
            std::fs::write(path.join("dev"), format!("{number}\n")).unwrap();
        }
        let found: Vec<_> = disks(directory.path())
            .into_iter()
            .map(|disk| (disk.name, disk.number))
            .collect();
        assert_eq!(found, [("sda".to_owned(), (8, 0)), ("vda".to_owned(), (254, 0))]);
    }

    #[test]
    fn paths_stay_below() {
        for (path, good) in [
            ("/hyperbox/shop", true),
            ("/", false),
            ("shop", false),
            ("/a/../b", false),
        ] {
            assert_eq!(checked(path).is_ok(), good, "{path}");
        }
    }
}
