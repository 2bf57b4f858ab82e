// SPDX-License-Identifier: MIT
//! Files of `/proc`, parsed purely (`proc(5)`).

use std::time::Duration;

use hyperbox_core::seam::{LinkCounters, ProcessInfo};
use hyperbox_core::time::Timestamp;

/// Clock ticks a second in `/proc` on every architecture (`USER_HZ`).
const TICKS: u64 = 100;

/// Returns the boot time in seconds since the epoch from `/proc/stat`.
pub(super) fn boot_time(stat: &str) -> i64 {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
        .unwrap_or(0)
}

/// Returns the time of all processors together from `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
pub(super) fn system_cpu_ns(stat: &str) -> u64 {
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .unwrap_or_default();
    let ticks: u64 = line
        .split_ascii_whitespace()
        .take(8)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks * (1_000_000_000 / TICKS)
}

/// Returns the machine's memory from `/proc/meminfo`.
pub(super) fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap_or_default();
    line.split_ascii_whitespace()
        .next()
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Returns the counters of all links but the loopback from `/proc/PID/net/dev`.
pub(super) fn link_counters(dev: &str) -> Vec<LinkCounters> {
    dev.lines()
        .filter_map(|line| {
            let (name, counters) = line.split_once(':')?;
            let fields: Vec<u64> = counters
                .split_ascii_whitespace()
                .filter_map(|field| field.parse().ok())
                .collect();
            let name = name.trim();
            if name == "lo" || fields.len() < 12 {
                return None;
            }
            Some(LinkCounters {
                name: name.to_owned(),
                rx_bytes: fields[0],
                rx_packets: fields[1],
                rx_errors: fields[2],
                rx_dropped: fields[3],
                tx_bytes: fields[8],
                tx_packets: fields[9],
                tx_errors: fields[10],
                tx_dropped: fields[11],
            })
        })
        .collect()
}

/// Returns the name of a user from `/etc/passwd`.
pub(super) fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse::<u32>().ok()? == uid).then(|| name.to_owned())
    })
}

/// Describes a process from `/proc/PID/stat` and `/proc/PID/cmdline`.
pub(super) fn process(stat: &str, command_line: &[u8], uid: u32, user: String, boot: i64) -> Option<ProcessInfo> {
    // The name in parentheses may itself contain parentheses and blanks.
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Fields are numbered from 3 on here: ppid is 4, tty_nr 7, utime 14, stime 15, starttime 22.
    let ticks = number(11)? + number(12)?;
    let started = number(19)?;
    let started_at = Timestamp(boot * 1_000_000_000 + i64::try_from(started * (1_000_000_000 / TICKS)).ok()?);
    let command = match command_line.iter().rposition(|byte| *byte != 0) {
        Some(last) => String::from_utf8_lossy(&command_line[..=last]).replace('\0', " "),
        None => format!("[{name}]"),
    };
    Some(ProcessInfo {
        pid: pid.trim().parse().ok()?,
        ppid: u32::try_from(number(1)?).ok()?,
        uid,
        user,
        started_at,
        cpu_time: Duration::from_millis(ticks * 1000 / TICKS),
        terminal: terminal(fields.get(4)?.parse().ok()?),
        command,
    })
}

/// Names a terminal by its device number as `ps` does.
fn terminal(device: i64) -> String {
    let device = u64::try_from(device).unwrap_or(0);
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    match major {
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_with_an_unusual_name() {
        let stat = "42 (a) (b c) S 1 42 42 34817 42 4194304 1 0 0 0 150 50 0 0 20 0 1 0 500 1 1";
        let info = process(stat, b"sh\0-c\0true\0", 0, "root".to_owned(), 1000).expect("parsed");
        assert_eq!((info.pid, info.ppid, info.terminal.as_str()), (42, 1, "pts/1"));
        assert_eq!(info.command, "sh -c true");
        assert_eq!(info.cpu_time, Duration::from_secs(2));
        assert_eq!(info.started_at, Timestamp(1005 * 1_000_000_000));
        let kernel = process(stat, b"", 0, String::new(), 0).expect("parsed");
        assert_eq!(kernel.command, "[a) (b c]");
        assert!(process("garbage", b"", 0, String::new(), 0).is_none());
    }

    #[test]
    fn counters() {
        let dev = "Inter-| Receive\n face |bytes\n  lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                   eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        let links = link_counters(dev);
        assert_eq!(links.len(), 1);
        assert_eq!((links[0].rx_bytes, links[0].tx_bytes, links[0].tx_dropped), (1, 9, 12));
    }

    #[test]
    fn machine_files() {
        assert_eq!(boot_time("cpu 1\nbtime 77\n"), 77);
        assert_eq!(system_cpu_ns("cpu  1 1 1 1 1 1 1 1 9 9\n"), 80_000_000);
        assert_eq!(memory_bytes("MemTotal:       2 kB\n"), 2048);
        assert_eq!(
            user_name("root:x:0:0::/:/bin/sh\nwww:x:33:33::/:\n", 33).as_deref(),
            Some("www")
        );
    }
}
