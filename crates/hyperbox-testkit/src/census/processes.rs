// SPDX-License-Identifier: MIT
//! Processes of a test, and the network namespaces they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::Scope;

/// A process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pid: u32,
    parent: u32,
    name: String,
    marked: bool,
}

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }
}

/// Returns the marked processes and all their descendants. Zombies are left out: they hold nothing but their number.
pub(super) fn in_scope(scope: &Scope) -> Vec<Process> {
    let all: BTreeMap<u32, Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| read(pid, scope))
        .map(|process| (process.pid, process))
        .collect();
    let belongs = |process: &&Process| {
        let mut current = Some(*process);
        while let Some(at) = current {
            if at.marked {
                return true;
            }
            current = all.get(&at.parent);
        }
        false
    };
    all.values().filter(belongs).cloned().collect()
}

fn read(pid: u32, scope: &Scope) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, state, parent) = parse_stat(&stat)?;
    if state == "Z" || pid == std::process::id() {
        return None;
    }
    let marked = match &scope.marker {
        Some(marker) => has_in_environment(pid, marker) || scope.roots.iter().any(|root| uses(pid, root)),
        None => {
            let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            executable
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("hyperbox"))
        }
    };
    Some(Process {
        pid,
        parent,
        name: name.to_owned(),
        marked,
    })
}

fn has_in_environment(pid: u32, marker: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|entry| entry == marker.as_bytes())
}

/// Tells whether a process is a container's or a supervisor's below a directory.
///
/// Deliberately narrow, because tests kill what is found: mounts reach unrelated mount namespaces by propagation, and anybody may
/// have a path in a command line. Counted are a root filesystem that lies below the directory, and programs of HyperBox that
/// have a file there open.
fn uses(pid: u32, root: &Path) -> bool {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    if read("mountinfo").lines().any(|line| is_root_below(line, root)) {
        return true;
    }
    let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let ours = executable
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("hyperbox"));
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    ours && descriptors
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(root)))
}

/// Tells whether a line of `mountinfo` is the root of its namespace and an overlay with a layer below a directory.
pub(super) fn is_root_below(line: &str, root: &Path) -> bool {
    let Some((left, right)) = line.split_once(" - ") else {
        return false;
    };
    left.split(' ').nth(4) == Some("/") && right.starts_with("overlay ") && right.contains(&*root.to_string_lossy())
}

/// `pid (name) state parent …`, where the name may contain anything (`proc_pid_stat(5)`).
pub(super) fn parse_stat(stat: &str) -> Option<(&str, &str, u32)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((name, fields.next()?, fields.next()?.parse().ok()?))
}

pub(super) fn describe(processes: &[Process]) -> BTreeSet<String> {
    let lines = processes.iter();
    lines
        .map(|process| format!("{} ({}), child of {}", process.pid, process.name, process.parent))
        .collect()
}

/// Namespaces that the processes are in or hold open.
pub(super) fn network_namespaces(processes: &[Process]) -> BTreeSet<String> {
    let own = fs::read_link("/proc/self/ns/net").unwrap_or_default();
    let mut found = BTreeSet::new();
    for process in processes {
        let mut links = vec![format!("/proc/{}/ns/net", process.pid).into()];
        let descriptors = fs::read_dir(format!("/proc/{}/fd", process.pid));
        links.extend(descriptors.into_iter().flatten().flatten().map(|entry| entry.path()));
        for target in links
            .into_iter()
            .filter_map(|link: std::path::PathBuf| fs::read_link(link).ok())
        {
            if target.to_string_lossy().starts_with("net:[") && target != own {
                found.insert(target.to_string_lossy().into_owned());
            }
        }
    }
    found
}
