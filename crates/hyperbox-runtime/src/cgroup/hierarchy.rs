// SPDX-License-Identifier: MIT
//! Which cgroup hierarchies the machine has mounted, and where: all of version 2, all of version 1, or a mixture.
//!
//! They do not change while a machine runs, so they are looked up once; a launcher that did so hands the answer to all the
//! shims it forks.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its version.
    pub version: Version,
}

/// The version of a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// Version 1, with these controllers; `name=…` for named ones.
    One(Vec<String>),
    /// Version 2.
    Two,
}

impl Hierarchy {
    /// Returns whether it is a version-1 hierarchy with that controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        matches!(&self.version, Version::One(controllers) if controllers.iter().any(|name| name == controller))
    }
}

/// Returns the machine's hierarchies. Empty when there are none, or `/proc` cannot be read.
pub(crate) fn hierarchies() -> &'static [Hierarchy] {
    static HIERARCHIES: OnceLock<Vec<Hierarchy>> = OnceLock::new();
    HIERARCHIES.get_or_init(|| parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()))
}

/// Returns whether version 2 has the machine for itself.
pub(crate) fn is_pure_version_two(hierarchies: &[Hierarchy]) -> bool {
    matches!(hierarchies, [one] if one.version == Version::Two)
}

/// Finds the hierarchies in the text of `/proc/PID/mountinfo` (`proc_pid_mountinfo(5)`).
fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut list: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let mut after = after.split(' ');
        let (kind, options) = (after.next().unwrap_or_default(), after.nth(1).unwrap_or_default());
        let mount = PathBuf::from(unescape(before.split(' ').nth(4).unwrap_or_default()));
        let version = match kind {
            "cgroup2" => Version::Two,
            "cgroup" => Version::One(controllers(options)),
            _ => continue,
        };
        // A hierarchy may be mounted several times, as in a container's view: the first is the machine's.
        if !list.iter().any(|known| known.version == version) {
            list.push(Hierarchy { mount, version });
        }
    }
    list
}

fn controllers(options: &str) -> Vec<String> {
    const FLAGS: [&str; 7] = [
        "rw",
        "ro",
        "xattr",
        "clone_children",
        "noprefix",
        "cpuset_v2_mode",
        "favordynmods",
    ];
    options
        .split(',')
        .filter(|word| !FLAGS.contains(word) && !word.starts_with("release_agent="))
        .map(str::to_owned)
        .collect()
}

/// Undoes the octal escapes of mountinfo.
fn unescape(field: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// Returns the hierarchy that a cgroup directory belongs to.
pub(crate) fn hierarchy_of<'a>(path: &Path, hierarchies: &'a [Hierarchy]) -> Option<&'a Hierarchy> {
    hierarchies
        .iter()
        .filter(|hierarchy| path.starts_with(&hierarchy.mount))
        .max_by_key(|hierarchy| hierarchy.mount.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
36 31 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:29 / /mnt/a\\040b rw - cgroup cgroup rw,cpu,cpuacct
";

    #[test]
    fn hybrid_machines() {
        let list = parse(HYBRID);
        assert_eq!(list.len(), 3);
        assert!(list[0].has("cpuacct"));
        assert_eq!(list[0].mount, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(list[1].has("name=systemd"));
        assert_eq!(list[2].version, Version::Two);
        assert!(!is_pure_version_two(&list));
        let path = Path::new("/sys/fs/cgroup/unified/hyperbox/x");
        assert_eq!(hierarchy_of(path, &list), Some(&list[2]));
        assert_eq!(hierarchy_of(Path::new("/elsewhere"), &list), None);
        assert_eq!(unescape("/a\\040b"), "/a b");
    }

    #[test]
    fn pure_machines() {
        let list = parse("26 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
        assert!(is_pure_version_two(&list));
    }
}
