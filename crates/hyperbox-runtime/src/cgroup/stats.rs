// SPDX-License-Identifier: MIT
//! Counters of a container's cgroups, from either version.

use std::collections::BTreeMap;
use std::path::Path;

use hyperbox_types::shim::{BlockStats, CgroupStats};

use super::hierarchy::{hierarchies, is_pure_version_two};
use super::{CgroupError, Cgroups};

/// Version 1 writes "no limit" as the largest number of whole pages.
const UNLIMITED: u64 = 1 << 62;

pub(super) fn read(cgroups: &Cgroups) -> Result<CgroupStats, CgroupError> {
    if let Some(path) = cgroups.paths().iter().find(|path| !path.exists()) {
        let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(CgroupError::system(
            format!("read counters of {}", path.display()),
            gone,
        ));
    }
    match cgroups.version_two() {
        Some(path) if is_pure_version_two(hierarchies()) => Ok(read_two(path)),
        _ => Ok(read_one(cgroups)),
    }
}

pub(super) fn oom_kills(cgroups: &Cgroups) -> u64 {
    let from = |path: Option<&Path>, file: &str| path.and_then(|path| table(path, file).remove("oom_kill"));
    from(cgroups.version_one("memory"), "memory.oom_control")
        .or_else(|| from(cgroups.version_two(), "memory.events"))
        .unwrap_or(0)
}

fn text(path: &Path, file: &str) -> String {
    std::fs::read_to_string(path.join(file)).unwrap_or_default()
}

fn number(path: &Path, file: &str) -> Option<u64> {
    text(path, file).trim().parse().ok()
}

/// Reads lines of a name and a number.
fn table(path: &Path, file: &str) -> BTreeMap<String, u64> {
    parse_table(&text(path, file))
}

fn parse_table(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

fn read_two(path: &Path) -> CgroupStats {
    let cpu = table(path, "cpu.stat");
    let nanoseconds = |name: &str| cpu.get(name).copied().unwrap_or(0) * 1_000;
    let count = |name: &str| cpu.get(name).copied().unwrap_or(0);
    CgroupStats {
        cpu_total_ns: nanoseconds("usage_usec"),
        cpu_system_ns: nanoseconds("system_usec"),
        cpu_user_ns: nanoseconds("user_usec"),
        cpu_throttling: (
            count("nr_periods"),
            count("nr_throttled"),
            nanoseconds("throttled_usec"),
        ),
        memory_usage: number(path, "memory.current").unwrap_or(0),
        memory_max_usage: number(path, "memory.peak"),
        memory_limit: number(path, "memory.max"),
        memory_failures: table(path, "memory.events").remove("max").unwrap_or(0),
        memory_detail: table(path, "memory.stat"),
        pids_current: number(path, "pids.current").unwrap_or(0),
        pids_limit: number(path, "pids.max"),
        block: parse_io_stat(&text(path, "io.stat")),
        version2: true,
    }
}

fn read_one(cgroups: &Cgroups) -> CgroupStats {
    let mut stats = CgroupStats::default();
    if let Some(path) = cgroups.version_one("cpuacct") {
        stats.cpu_total_ns = number(path, "cpuacct.usage").unwrap_or(0);
        stats.cpu_system_ns = number(path, "cpuacct.usage_sys").unwrap_or(0);
        stats.cpu_user_ns = number(path, "cpuacct.usage_user").unwrap_or(0);
    }
    if let Some(path) = cgroups.version_one("cpu") {
        let cpu = table(path, "cpu.stat");
        let count = |name: &str| cpu.get(name).copied().unwrap_or(0);
        stats.cpu_throttling = (count("nr_periods"), count("nr_throttled"), count("throttled_time"));
    }
    if let Some(path) = cgroups.version_one("memory") {
        stats.memory_usage = number(path, "memory.usage_in_bytes").unwrap_or(0);
        stats.memory_max_usage = number(path, "memory.max_usage_in_bytes");
        stats.memory_limit = number(path, "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED);
        stats.memory_failures = number(path, "memory.failcnt").unwrap_or(0);
        stats.memory_detail = table(path, "memory.stat");
    }
    if let Some(path) = cgroups.version_one("pids") {
        stats.pids_current = number(path, "pids.current").unwrap_or(0);
        stats.pids_limit = number(path, "pids.max");
    }
    if let Some(path) = cgroups.version_one("blkio") {
        let bytes = text(path, "blkio.throttle.io_service_bytes_recursive");
        let operations = text(path, "blkio.throttle.io_serviced_recursive");
        stats.block = parse_blkio(&bytes, &operations);
    }
    stats
}

fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn parse_io_stat(text: &str) -> Vec<BlockStats> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (major, minor) = device(words.next()?)?;
            let mut stats = BlockStats {
                major,
                minor,
                ..BlockStats::default()
            };
            for word in words {
                let (name, value) = word.split_once('=')?;
                let value = value.parse().unwrap_or(0);
                match name {
                    "rbytes" => stats.read_bytes = value,
                    "wbytes" => stats.write_bytes = value,
                    "rios" => stats.read_operations = value,
                    "wios" => stats.write_operations = value,
                    _ => {}
                }
            }
            Some(stats)
        })
        .collect()
}

/// `8:0 Read 123`, one line per device and operation, and a total.
fn parse_blkio(bytes: &str, operations: &str) -> Vec<BlockStats> {
    let mut list: Vec<BlockStats> = Vec::new();
    for (text, counts_bytes) in [(bytes, true), (operations, false)] {
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some((major, minor)), Some(operation), Some(value)) =
                (words.next().and_then(device), words.next(), words.next())
            else {
                continue;
            };
            let at = list
                .iter()
                .position(|known| (known.major, known.minor) == (major, minor))
                .unwrap_or_else(|| {
                    list.push(BlockStats {
                        major,
                        minor,
                        ..BlockStats::default()
                    });
                    list.len() - 1
                });
            let value = value.parse().unwrap_or(0);
            match (operation, counts_bytes) {
                ("Read", true) => list[at].read_bytes = value,
                ("Write", true) => list[at].write_bytes = value,
                ("Read", false) => list[at].read_operations = value,
                ("Write", false) => list[at].write_operations = value,
                _ => {}
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_block_counters() {
        let expected = [BlockStats {
            major: 8,
            minor: 16,
            read_bytes: 1,
            write_bytes: 2,
            read_operations: 3,
            write_operations: 4,
        }];
        assert_eq!(
            parse_io_stat("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"),
            expected
        );
        assert_eq!(
            parse_blkio(
                "8:16 Read 1\n8:16 Write 2\n8:16 Sync 9\nTotal 3\n",
                "8:16 Read 3\n8:16 Write 4\n"
            ),
            expected
        );
    }

    #[test]
    fn tables() {
        let table = parse_table("oom_kill_disable 0\nunder_oom 0\noom_kill 2\nbroken\n");
        assert_eq!(table.get("oom_kill"), Some(&2));
        assert_eq!(table.len(), 3);
    }
}
