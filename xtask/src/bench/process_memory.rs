// SPDX-License-Identifier: MIT
//! What processes occupy and how often they wake up, as `/proc` tells.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What a process and its descendants occupy.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Memory {
    /// Processes.
    pub(super) processes: usize,
    /// Resident memory in MB (10^6 bytes), shared pages counted for each.
    pub(super) resident: f64,
    /// Private memory in MB: what would be free without them.
    pub(super) private: f64,
}

impl Memory {
    /// Adds up the processes whose program has one of these names (of at most 15 characters, as the kernel keeps them), and lies
    /// below `directory` if one is given.
    pub(super) fn of_programs(names: &[&str], directory: Option<&Path>) -> Result<Self> {
        let mut total = Self::default();
        for (pid, name) in processes()? {
            let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            let counts =
                names.contains(&name.as_str()) && directory.is_none_or(|directory| program.starts_with(directory));
            // A process that ends meanwhile occupies nothing.
            if let Some(one) = counts.then(|| Self::of(pid).ok()).flatten() {
                total.processes += 1;
                total.resident += one.resident;
                total.private += one.private;
            }
        }
        Ok(total)
    }

    /// Looks at one process.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut fields: BTreeMap<&str, f64> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(number)) = (words.next(), words.next())
                && let Ok(kilobytes) = number.parse::<f64>()
            {
                fields.insert(name, kilobytes * 1024.0 / 1e6);
            }
        }
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        Self {
            processes: 1,
            resident: field("Rss:"),
            private: field("Private_Clean:") + field("Private_Dirty:"),
        }
    }
}

/// Counts how often the threads of a process went to sleep of their own accord: once for each time they woke up.
pub(super) fn wake_ups(pid: u32) -> Result<u64> {
    let directory = format!("/proc/{pid}/task");
    let mut total = 0;
    for thread in fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))? {
        let path = thread
            .with_context(|| format!("cannot read {directory}"))?
            .path()
            .join("status");
        // A thread that ends meanwhile sleeps no more.
        let text = fs::read_to_string(&path).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        total += line
            .and_then(|number| number.trim().parse::<u64>().ok())
            .unwrap_or_default();
    }
    Ok(total)
}

/// Lists processes with the names of their programs.
fn processes() -> Result<Vec<(u32, String)>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let named = pids.filter_map(|pid: u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some((pid, name.trim_end().to_owned()))
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_clean_and_dirty() {
        let text = "55d0-7ffe [rollup]\nRss:  2000 kB\nPss: 1500 kB\nPrivate_Clean: 250 kB\nPrivate_Dirty: 750 kB\n";
        let memory = Memory::parse(text);
        assert_eq!((memory.processes, memory.resident, memory.private), (1, 2.048, 1.024));
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        assert!(Memory::of(pid).unwrap().resident > 0.1);
        assert!(processes().unwrap().iter().any(|(other, _)| *other == pid));
        wake_ups(pid).unwrap();
    }
}
