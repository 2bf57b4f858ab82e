// SPDX-License-Identifier: MIT
//! What `/proc` tells of processes (`proc_pid_stat(5)`, `cgroups(7)`, `proc_pid_mountinfo(5)`). The parsers are pure.

use std::io;
use std::path::PathBuf;

/// Returns the start time of a process in clock ticks since boot.
pub(crate) fn start_time(pid: u32) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_time(&text).ok_or_else(|| io::Error::other("malformed stat file"))
}

/// Lists the processes that share a process's pid namespace; only the process itself when that is this process's namespace too,
/// as then nothing tells the container's processes from the machine's.
pub(crate) fn in_pid_namespace_of(pid: u32) -> io::Result<Vec<u32>> {
    let namespace = std::fs::read_link(format!("/proc/{pid}/ns/pid"))?;
    if namespace == std::fs::read_link("/proc/self/ns/pid")? {
        return Ok(vec![pid]);
    }
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if std::fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|link| link == namespace) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

fn parse_start_time(stat: &str) -> Option<u64> {
    // The second field is the command in parentheses and may itself contain spaces and parentheses.
    let (_, after_command) = stat.rsplit_once(')')?;
    after_command.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Finds the directories of the cgroups in `theirs` that are not also in `ours`; both are texts of `/proc/PID/cgroup`.
pub(crate) fn cgroup_directories(theirs: &str, ours: &str, mountinfo: &str) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for line in theirs.lines().filter(|line| !ours.lines().any(|our| our == *line)) {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let directory = mountinfo.lines().find_map(|mount| mount_point(mount, controllers));
        if let (Some(directory), true) = (directory, path.len() > 1) {
            directories.push(directory.join(path.trim_start_matches('/')));
        }
    }
    directories
}

/// Returns the mount point when this line of mountinfo mounts the whole hierarchy with these controllers (v2 when empty).
fn mount_point(line: &str, controllers: &str) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    let matches = if controllers.is_empty() {
        kind == "cgroup2"
    } else {
        kind == "cgroup"
            && controllers
                .split(',')
                .all(|name| options.split(',').any(|option| option == name))
    };
    (matches && root == "/").then(|| point.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_read_behind_any_command_name() {
        let fields = (3..=52).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        for command in ["sh", "a b", "x) (y", ")))"] {
            assert_eq!(parse_start_time(&format!("1 ({command}) {fields}\n")), Some(22));
        }
        assert_eq!(parse_start_time(""), None);
        assert_eq!(parse_start_time("1 (sh) S 1"), None);
        assert!(start_time(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn the_machines_processes_are_never_listed() {
        let own = std::process::id();
        assert_eq!(in_pid_namespace_of(own).unwrap(), [own]);
    }

    #[test]
    fn only_the_cgroups_of_the_container_are_found() {
        let mounts = "\
30 25 0:26 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw
31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
33 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd";
        let ours = "4:memory:/\n3:cpu,cpuacct:/\n1:name=systemd:/here\n0::/";
        let theirs = "4:memory:/hyperbox/c1\n3:cpu,cpuacct:/hyperbox/c1\n1:name=systemd:/here\n0::/hyperbox/c1";
        assert_eq!(
            cgroup_directories(theirs, ours, mounts),
            [
                "/sys/fs/cgroup/memory/hyperbox/c1",
                "/sys/fs/cgroup/cpu/hyperbox/c1",
                "/sys/fs/cgroup/unified/hyperbox/c1"
            ]
            .map(PathBuf::from)
        );
        assert!(cgroup_directories(ours, ours, mounts).is_empty());
        assert!(cgroup_directories("garbage", "", mounts).is_empty());
    }
}
