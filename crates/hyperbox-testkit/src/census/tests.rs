// SPDX-License-Identifier: MIT
//! The census sees what was made, and reads the kernel's tables right.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Census, Scope, network, processes, sources};
use crate::wait_for;

#[test]
fn tables_are_read_as_documented() {
    let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
    assert_eq!(sources::describe_mount(line).as_deref(), Some("/mnt2 ext3 /dev/root"));
    assert_eq!(processes::parse_stat("7 (a) b (c) S 3 7"), Some(("a) b (c", "S", 3)));
    let rules = network::qualify("table ip t {\n\tchain c {\n\t\taccept\n\t}\n}\n");
    assert!(rules.contains("table ip t / chain c / accept"), "{rules:?}");
}

#[test]
fn only_root_filesystems_make_a_process_ours() {
    let root = std::path::Path::new("/tmp/hb-1");
    for (line, ours) in [
        (
            "1 2 0:5 / / rw - overlay overlay rw,upperdir=/tmp/hb-1/root/x/upper",
            true,
        ),
        ("1 2 0:5 / /tmp/hb-1/root rw shared:1 - tmpfs hyperbox-test rw", false),
        (
            "1 2 0:5 / /mnt rw - overlay overlay rw,upperdir=/tmp/hb-1/root/x/upper",
            false,
        ),
        ("1 2 8:1 / / rw - ext4 /dev/sda rw", false),
    ] {
        assert_eq!(processes::is_root_below(line, root), ours, "{line}");
    }
}

#[test]
fn new_files_and_processes_show() {
    let directory = TempDir::new().unwrap();
    let marker = crate::unique_name("CENSUS_TEST=marker");
    let scope = Scope {
        roots: vec![directory.path().to_owned()],
        cgroups: vec!["no such cgroup".to_owned()],
        marker: Some(marker.clone()),
        files: true,
        ..Scope::default()
    };
    let before = Census::take(&scope);
    fs::write(directory.path().join("new"), "").unwrap();
    let (name, value) = marker.split_once('=').unwrap();
    let mut child = Command::new("cat")
        .env(name, value)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the process in the census", || {
        let processes = Census::take(&scope).of("process").join(", ");
        if processes.contains("(cat)") {
            Ok(())
        } else {
            Err(format!("only: {processes}"))
        }
    });
    let difference = Census::take(&scope).difference(&before);
    assert!(
        difference.contains("+ file: ") && difference.contains("+ process: "),
        "{difference}"
    );
    drop(child.stdin.take());
    child.wait().unwrap();
    fs::remove_file(directory.path().join("new")).unwrap();
    // Others use the same network.
    let difference = Census::take(&scope).difference(&before);
    let own = difference
        .lines()
        .filter(|line| line.contains(" file: ") || line.contains(" process: "));
    assert_eq!(own.count(), 0, "{difference}");
}
