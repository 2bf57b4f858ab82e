// SPDX-License-Identifier: MIT
//! `bench endurance`: a thousand containers one after the other. The last must be as fast as the first, and nothing may pile up.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::let_pass;
use super::process_memory::Memory;
use super::statistics::Summary;
use crate::process::{capture, command};
use crate::starter;

/// Containers that run one after the other.
const LIVES: usize = 1000;
/// How many at each end are compared.
const END: usize = 100;
/// Lives before the first that counts: pools are filled and caches warm by then.
const WARM_UP: usize = 20;
/// How long deferred removal may take after the last.
const SETTLING: Duration = Duration::from_secs(10);

/// What could pile up.
#[derive(Debug, Clone, Copy)]
struct Census {
    private_memory: f64,
    descriptors: usize,
    threads: usize,
    mounts: usize,
    links: usize,
    network_namespaces: usize,
    cgroups: usize,
    files: usize,
}

impl Census {
    fn take(daemon: &Daemon) -> Result<Self> {
        let pid = daemon.pid();
        let links = capture(&mut command(&["ip", "-oneline", "link"]))?;
        let namespaces = capture(&mut command(&["lsns", "--type", "net", "--noheadings"]))?;
        let mounts = "/proc/self/mountinfo";
        Ok(Self {
            private_memory: Memory::of(pid)?.private,
            descriptors: entries(&format!("/proc/{pid}/fd"))?,
            threads: entries(&format!("/proc/{pid}/task"))?,
            mounts: fs::read_to_string(mounts)
                .with_context(|| format!("cannot read {mounts}"))?
                .lines()
                .count(),
            links: links.lines().count(),
            network_namespaces: namespaces.lines().count(),
            cgroups: cgroups()?,
            files: files(daemon.directory()),
        })
    }

    fn to_json(self) -> Value {
        json!({
            "private_memory_mb": self.private_memory, "descriptors": self.descriptors, "threads": self.threads,
            "mounts": self.mounts, "links": self.links, "network_namespaces": self.network_namespaces,
            "cgroups": self.cgroups, "files": self.files,
        })
    }
}

/// Runs them and compares.
pub(super) fn measure(daemon: &Daemon) -> Result<Value> {
    let client = daemon.client().with(&["run", "--rm", starter::NAME, "true"]);
    let once = || -> Result<f64> {
        let start = Instant::now();
        client.run()?;
        Ok(start.elapsed().as_secs_f64() * 1000.0)
    };
    for _ in 0..WARM_UP {
        once()?;
    }
    let_pass(SETTLING);
    let before = Census::take(daemon)?;
    let times = (0..LIVES).map(|_| once()).collect::<Result<Vec<f64>>>()?;
    let_pass(SETTLING);
    let after = Census::take(daemon)?;
    let median = |times: &[f64]| {
        Summary::of(times)
            .map(|summary| summary.median)
            .context("no life was measured")
    };
    let (first, last) = (median(&times[..END])?, median(&times[LIVES - END..])?);
    println!("\n{LIVES} x run --rm one after the other: first {END} {first:.2} ms, last {END} {last:.2} ms");
    println!("  before: {before:?}\n  after:  {after:?}");
    Ok(json!({
        "name": format!("{LIVES} x run --rm one after the other"), "unit": "ms",
        "contenders": [
            {"name": format!("first {END}"), "median": first}, {"name": format!("last {END}"), "median": last},
        ],
        "before": before.to_json(), "after": after.to_json(),
    }))
}

fn entries(directory: &str) -> Result<usize> {
    Ok(fs::read_dir(directory)
        .with_context(|| format!("cannot read {directory}"))?
        .count())
}

/// Counts the cgroups of all hierarchies.
fn cgroups() -> Result<usize> {
    let path = "/proc/cgroups";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let counts = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<usize>().ok());
    Ok(counts.sum())
}

/// Counts files below a directory; what vanishes meanwhile does not count.
fn files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let below = entry
                .file_type()
                .is_ok_and(|kind| kind.is_dir())
                .then(|| files(&entry.path()));
            1 + below.unwrap_or_default()
        })
        .sum()
}
