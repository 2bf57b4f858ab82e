// SPDX-License-Identifier: MIT
//! Mounts, cgroups and files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Mounts of this mount namespace (`proc_pid_mountinfo(5)`), as `point type source`.
pub(super) fn mounts(roots: &[PathBuf]) -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter(|line| in_roots(line, roots))
        .filter_map(describe_mount)
        .collect()
}

fn in_roots(line: &str, roots: &[PathBuf]) -> bool {
    roots.is_empty() || roots.iter().any(|root| line.contains(&*root.to_string_lossy()))
}

/// `36 35 98:0 /root /point options optional... - type source superoptions`
pub(super) fn describe_mount(line: &str) -> Option<String> {
    let (left, right) = line.split_once(" - ")?;
    let point = left.split(' ').nth(4)?;
    let mut right = right.split(' ');
    Some(format!("{point} {} {}", right.next()?, right.next()?))
}

/// Directories of all cgroup hierarchies.
pub(super) fn cgroups(wanted: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect_cgroups(Path::new("/sys/fs/cgroup"), wanted, &mut found);
    found
}

fn collect_cgroups(directory: &Path, wanted: &[String], found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        // Symbolic links (`cpu -> cpu,cpuacct`) would count a hierarchy twice.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let text = path.to_string_lossy();
        let counted = if wanted.is_empty() {
            text.contains("/hyperbox")
        } else {
            wanted.iter().any(|part| text.contains(part.as_str()))
        };
        if counted {
            found.insert(text.into_owned());
        }
        collect_cgroups(&path, wanted, found);
    }
}

/// All paths below the roots.
pub(super) fn files(roots: &[PathBuf]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for root in roots {
        collect_files(root, &mut found);
    }
    found
}

fn collect_files(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        found.insert(entry.path().to_string_lossy().into_owned());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_files(&entry.path(), found);
        }
    }
}
