// SPDX-License-Identifier: MIT
//! Limits, counters, freezing, killing and removing, on whatever cgroup version this machine has.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyperbox_runtime::{Cgroups, prepare_launcher};
use hyperbox_types::Signal;
use serde_json::json;

use support::outcome::{Running, run_ours, start_ours};
use support::rootfs::Rootfs;
use support::specification::{add_mount, set, shell};

fn is_pure() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn value(running: &Running, one: &str, two: &str) -> Option<String> {
    let name = if is_pure() { two } else { one };
    running
        .container
        .cgroups()
        .paths()
        .iter()
        .find_map(|path| std::fs::read_to_string(path.join(name)).ok())
        .map(|text| text.trim().to_owned())
}

fn ready(running: &mut Running) {
    let mut bytes = [0; 6];
    running.stdout.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"ready\n");
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn privileged_limits_are_set_and_changed() {
    let mut specification = shell("echo ready; exec sleep 1000");
    set(
        &mut specification,
        "/linux/resources",
        json!({ "memory": { "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432 },
                "cpu": { "shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0" },
                "pids": { "limit": 55 } }),
    );
    let rootfs = Rootfs::new();
    let mut running = start_ours(&specification, rootfs.overlay(), "").unwrap();
    ready(&mut running);
    let check = |one: &str, two: &str, v1: &str, v2: &str| {
        let expected = if is_pure() { v2 } else { v1 };
        assert_eq!(value(&running, one, two).as_deref(), Some(expected), "{one} {two}");
    };
    check("memory.limit_in_bytes", "memory.max", "67108864", "67108864");
    check("memory.soft_limit_in_bytes", "memory.low", "33554432", "33554432");
    check("cpu.shares", "cpu.weight", "512", "20");
    check("cpu.cfs_quota_us", "cpu.max", "50000", "50000 100000");
    check("cpuset.cpus", "cpuset.cpus", "0", "0");
    check("pids.max", "pids.max", "55", "55");

    let update = |json: serde_json::Value| {
        let resources = serde_json::from_value(json).unwrap();
        running.container.cgroups().update(&resources)
    };
    // Both limits of memory rise beyond the old ones, then fall below them again.
    update(json!({ "memory": { "limit": 268_435_456, "swap": 536_870_912 }, "pids": { "limit": -1 } })).unwrap();
    check("memory.limit_in_bytes", "memory.max", "268435456", "268435456");
    check("pids.max", "pids.max", "max", "max");
    update(json!({ "memory": { "limit": 33_554_432, "swap": 67_108_864 }, "cpu": { "quota": -1 } })).unwrap();
    check("memory.limit_in_bytes", "memory.max", "33554432", "33554432");
    check("cpu.cfs_quota_us", "cpu.max", "-1", "max 100000");
    assert!(update(json!({ "cpu": { "cpus": "4000" } })).is_err());
    running.container.signal(Signal::KILL).unwrap();
    running.finish();
}

#[test]
fn privileged_counters_count() {
    let rootfs = Rootfs::new();
    let mut specification =
        shell("dd if=/dev/zero of=/tmp/x bs=1M count=8 2>/dev/null; echo ready; sleep 1000 & exec sleep 1000");
    set(
        &mut specification,
        "/linux/resources",
        json!({ "memory": { "limit": 134_217_728 }, "pids": { "limit": 77 } }),
    );
    let mut running = start_ours(&specification, rootfs.overlay(), "").unwrap();
    ready(&mut running);
    let cgroups = running.container.cgroups().clone();
    wait_for("two processes", || cgroups.processes().unwrap().len() == 2);
    let stats = cgroups.stats().unwrap();
    assert!(stats.cpu_total_ns > 0 && stats.cpu_total_ns >= stats.cpu_user_ns);
    assert!(stats.memory_usage > 8 << 20, "{stats:?}");
    assert_eq!(stats.memory_limit, Some(134_217_728));
    assert_eq!((stats.pids_current, stats.pids_limit), (2, Some(77)));
    assert!(
        stats
            .memory_detail
            .contains_key(if is_pure() { "file" } else { "cache" })
    );
    assert_eq!(stats.version2, is_pure());
    assert_eq!(cgroups.oom_kills(), 0);
    assert_eq!(Cgroups::load(cgroups.paths().to_vec()), cgroups);
    let found = Cgroups::of_process(running.container.pid()).unwrap();
    assert!(cgroups.paths().iter().all(|path| found.paths().contains(path)));
    running.container.signal_all(Signal::KILL).unwrap();
    running.finish();
    assert!(cgroups.stats().is_err());
}

#[test]
fn privileged_freezing_stops_and_thawing_goes_on() {
    let rootfs = Rootfs::new();
    let command =
        "echo ready; i=0; while :; do i=$((i+1)); echo $i >/tmp/count.new; mv /tmp/count.new /tmp/count; done";
    let mut running = start_ours(&shell(command), rootfs.overlay(), "").unwrap();
    ready(&mut running);
    let count = || std::fs::read_to_string(rootfs.upper().join("tmp/count")).unwrap_or_default();
    wait_for("it counts", || !count().is_empty());
    let cgroups = running.container.cgroups();
    cgroups.pause().unwrap();
    assert!(cgroups.is_paused());
    let (frozen, since) = (count(), Instant::now());
    while since.elapsed() < Duration::from_millis(100) {
        assert_eq!(count(), frozen);
    }
    cgroups.resume().unwrap();
    assert!(!cgroups.is_paused());
    wait_for("it goes on", || count() != frozen);
    // A frozen container can be killed.
    cgroups.pause().unwrap();
    cgroups.kill_all().unwrap();
    drop(cgroups.resume());
    running.finish();
}

#[test]
fn privileged_too_many_processes_are_refused() {
    let mut specification = shell("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait");
    set(
        &mut specification,
        "/linux/resources",
        json!({ "pids": { "limit": 5 } }),
    );
    let outcome = run_ours(&specification, Rootfs::new().overlay(), "");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("can't fork"), "{}", outcome.stderr);
}

#[test]
fn privileged_memory_beyond_the_limit_is_noticed() {
    // tail keeps its input in memory.
    let mut specification = shell("head -c 67108864 /dev/zero | tail -c 62914560 | wc -c; echo after");
    set(
        &mut specification,
        "/linux/resources",
        json!({ "memory": { "limit": 16_777_216, "swap": 16_777_216 } }),
    );
    let rootfs = Rootfs::new();
    let mut running = start_ours(&specification, rootfs.overlay(), "").unwrap();
    let mut text = String::new();
    running.stdout.read_to_string(&mut text).unwrap();
    let cgroups = running.container.cgroups().clone();
    assert!(cgroups.oom_kills() > 0, "{text}");
    running.finish();
}

#[test]
fn privileged_devices_are_refused_unless_allowed() {
    // 10:229 is /dev/fuse, 1:3 /dev/null.
    let command = "mknod /tmp/fuse c 10 229 && cat /tmp/fuse; mknod /tmp/null c 1 3 && echo x >/dev/null && echo null is fine; \
                   mknod /tmp/loop b 7 0";
    let mut specification = shell(command);
    set(
        &mut specification,
        "/linux/resources/devices",
        json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "access": "m" }]),
    );
    let outcome = run_ours(&specification, Rootfs::new().overlay(), "");
    assert_eq!(outcome.stdout, "null is fine\n", "{}", outcome.stderr);
    assert_eq!(
        outcome.stderr.matches("Operation not permitted").count(),
        2,
        "{}",
        outcome.stderr
    );
}

#[test]
fn privileged_a_container_sees_its_own_cgroups_only() {
    let rootfs = Rootfs::new();
    let mut specification = shell(
        "cat /proc/self/cgroup | grep -vE 'systemd|hugetlb|freezer|net_|perf_event|rdma|misc' | sed 's/.*://' | sort -u; \
         grep -c cgroup /proc/self/mountinfo; d=/sys/fs/cgroup; [ ! -d $d/pids ] || d=$d/pids; mkdir $d/x 2>&1; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null",
    );
    set(
        &mut specification,
        "/linux/resources",
        json!({ "pids": { "limit": 33 } }),
    );
    add_mount(
        &mut specification,
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["ro", "nosuid", "noexec", "nodev", "relatime"] }),
    );
    let outcome = run_ours(&specification, rootfs.overlay(), "");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "/", "{outcome:?}");
    assert!(lines[2].contains("Read-only file system"), "{outcome:?}");
    assert_eq!(lines[3], "33", "{outcome:?}");
}

#[test]
fn privileged_groups_that_the_container_made_are_removed_too() {
    let mut specification = shell("mkdir -p /sys/fs/cgroup/pids/a/b /sys/fs/cgroup/a/b 2>/dev/null; echo made");
    add_mount(
        &mut specification,
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"] }),
    );
    let outcome = run_ours(&specification, Rootfs::new().overlay(), "");
    assert_eq!(outcome.stdout, "made\n");
}

#[test]
fn privileged_groups_left_by_a_crash_are_made_anew() {
    let name = support::unique("hyperbox-test-left");
    let mut specification = shell("true");
    set(&mut specification, "/linux/cgroupsPath", json!(format!("/{name}")));
    let roots: Vec<PathBuf> = if is_pure() {
        vec!["/sys/fs/cgroup".into()]
    } else {
        ["pids", "memory", "unified"]
            .map(|hierarchy| Path::new("/sys/fs/cgroup").join(hierarchy))
            .into_iter()
            .filter(|path| path.is_dir())
            .collect()
    };
    for root in &roots {
        std::fs::create_dir(root.join(&name)).unwrap();
    }
    assert_eq!(run_ours(&specification, Rootfs::new().overlay(), "").code, 0);
}

#[test]
fn privileged_the_launcher_leaves_no_hierarchy() {
    support::require_root();
    let name = format!("name=hyperbox-{}", std::process::id());
    let known = || std::fs::read_to_string("/proc/self/cgroup").unwrap().contains(&name);
    let launcher = prepare_launcher();
    assert_eq!(known(), !is_pure());
    assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&name));
    drop(launcher);
    wait_for("the hierarchy goes", || !known());
}
