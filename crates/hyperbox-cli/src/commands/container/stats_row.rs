// SPDX-License-Identifier: MIT
//! From a sample to a row of `hb stats`: Docker's arithmetic.

use hyperbox_client::model::Stats;
use hyperbox_types::ByteSize;

use crate::format::three_digits;
use crate::template::Value;

/// Computes a row.
pub(super) fn row(container: &str, stats: &Stats, truncate: bool) -> Value {
    let memory = memory(stats);
    let limit = stats.memory_stats.limit;
    let percent = if limit == 0 {
        0.0
    } else {
        memory as f64 / limit as f64 * 100.0
    };
    let (read, written) = block_io(stats);
    let (received, sent) = stats
        .networks
        .values()
        .fold((0_u64, 0_u64), |(received, sent), interface| {
            (
                received.saturating_add(interface.rx_bytes),
                sent.saturating_add(interface.tx_bytes),
            )
        });
    let pair = |left: u64, right: u64| {
        let show = |bytes: u64| three_digits(i64::try_from(bytes).unwrap_or(i64::MAX));
        format!("{} / {}", show(left), show(right))
    };
    let id: String = stats.id.chars().take(if truncate { 12 } else { usize::MAX }).collect();
    Value::map([
        ("BlockIO", Value::from(pair(read, written))),
        ("CPUPerc", format!("{:.2}%", processor_percent(stats)).into()),
        ("Container", container.into()),
        ("ID", id.into()),
        ("MemPerc", format!("{percent:.2}%").into()),
        (
            "MemUsage",
            format!("{} / {}", ByteSize(memory).binary(), ByteSize(limit).binary()).into(),
        ),
        ("Name", stats.name.trim_start_matches('/').into()),
        ("NetIO", pair(received, sent).into()),
        ("PIDs", stats.pids_stats.current.to_string().into()),
    ])
}

/// The share of one processor that was used between the two samples, so up to 100 times their number.
fn processor_percent(stats: &Stats) -> f64 {
    let (now, before) = (&stats.cpu_stats, &stats.precpu_stats);
    let used = now.cpu_usage.total_usage as f64 - before.cpu_usage.total_usage as f64;
    let machine = now.system_cpu_usage as f64 - before.system_cpu_usage as f64;
    let processors = if now.online_cpus > 0 {
        f64::from(now.online_cpus)
    } else {
        now.cpu_usage.percpu_usage.len() as f64
    };
    if machine > 0.0 && used > 0.0 {
        used / machine * processors * 100.0
    } else {
        0.0
    }
}

/// Memory in use without the page cache that can be dropped at once: the name of the figure depends on the cgroup version.
fn memory(stats: &Stats) -> u64 {
    let usage = stats.memory_stats.usage;
    let details = &stats.memory_stats.stats;
    for name in ["total_inactive_file", "inactive_file"] {
        if let Some(inactive) = details.get(name).filter(|inactive| **inactive < usage) {
            return usage - inactive;
        }
    }
    usage
}

fn block_io(stats: &Stats) -> (u64, u64) {
    let mut sums = (0_u64, 0_u64);
    for entry in &stats.blkio_stats.io_service_bytes_recursive {
        match entry.op.chars().next() {
            Some('r' | 'R') => sums.0 = sums.0.saturating_add(entry.value),
            Some('w' | 'W') => sums.1 = sums.1.saturating_add(entry.value),
            _ => {}
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic() {
        let stats: Stats = serde_json::from_str(
            r#"{"name":"/web","id":"0123456789abcdef","pids_stats":{"current":3},
                "cpu_stats":{"cpu_usage":{"total_usage":300},"system_cpu_usage":2000,"online_cpus":2},
                "precpu_stats":{"cpu_usage":{"total_usage":100},"system_cpu_usage":1000},
                "memory_stats":{"usage":3145728,"limit":10485760,"stats":{"inactive_file":1048576}},
                "blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":5},{"op":"write","value":7}]},
                "networks":{"eth0":{"rx_bytes":1000,"tx_bytes":20}}}"#,
        )
        .unwrap();
        let row = row("web", &stats, true);
        for (field, text) in [
            ("CPUPerc", "40.00%"),
            ("MemUsage", "2MiB / 10MiB"),
            ("MemPerc", "20.00%"),
            ("BlockIO", "5B / 7B"),
            ("NetIO", "1kB / 20B"),
            ("ID", "0123456789ab"),
            ("PIDs", "3"),
        ] {
            assert_eq!(row.field(field).and_then(Value::as_str), Some(text), "{field}");
        }
    }

    #[test]
    fn a_stopped_container_has_zeros() {
        let row = row(
            "x",
            &serde_json::from_str(r#"{"networks":null,"blkio_stats":{}}"#).unwrap(),
            true,
        );
        assert_eq!(row.field("CPUPerc").and_then(Value::as_str), Some("0.00%"));
        assert_eq!(row.field("MemPerc").and_then(Value::as_str), Some("0.00%"));
    }
}
