// SPDX-License-Identifier: MIT
//! Limits, seen from inside on whatever cgroup version the machine has; what only version 2 does is in `version2`.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

#[test]
fn privileged_limits_reach_the_cgroup() {
    let environment = TestEnvironment::with_starter();
    let read = |options: &[&str], files: &[&str]| {
        let script = format!(
            "for f in {}; do [ -f $f ] && cat $f && exit; done; echo none of them",
            files.join(" ")
        );
        environment.shell(options, &script)
    };
    let group = "/sys/fs/cgroup";
    let cases: &[(&[&str], [String; 2], &[&str])] = &[
        (
            &["-m", "64m"],
            [
                format!("{group}/memory/memory.limit_in_bytes"),
                format!("{group}/memory.max"),
            ],
            &["67108864"],
        ),
        (
            &["--pids-limit", "50"],
            [format!("{group}/pids/pids.max"), format!("{group}/pids.max")],
            &["50"],
        ),
        (
            &["--cpus", "0.5"],
            [format!("{group}/cpu/cpu.cfs_quota_us"), format!("{group}/cpu.max")],
            &["50000", "50000 100000"],
        ),
        (
            &["--cpu-shares", "512"],
            [format!("{group}/cpu/cpu.shares"), format!("{group}/cpu.weight")],
            &["512", "20"],
        ),
        (
            &["--cpuset-cpus", "0"],
            [format!("{group}/cpuset/cpuset.cpus"), format!("{group}/cpuset.cpus")],
            &["0"],
        ),
    ];
    for (options, files, expected) in cases {
        let found = read(options, &[&files[0], &files[1]]);
        assert!(expected.contains(&found.as_str()), "{options:?}: {found}");
    }
    environment.finish();
}

#[test]
fn privileged_too_much_memory_is_an_out_of_memory_kill() {
    let environment = TestEnvironment::with_starter();
    // tail keeps one line of zeros: all of it.
    let id = environment.detached(
        &["-m", "16m", "--memory-swap", "16m"],
        &["sh", "-c", "head -c 100m /dev/zero | tail"],
    );
    environment.hb(["wait", &id]).succeeds();
    let state = environment.inspect(&id)["State"].clone();
    assert_eq!(state["OOMKilled"], true, "{state}");
    environment.finish();
}

#[test]
fn privileged_process_limits() {
    let environment = TestEnvironment::with_starter();
    let script =
        "ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; df -k /dev/shm | tail -1; nproc";
    let options = [
        "--ulimit",
        "nofile=100:200",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=99",
        "--shm-size",
        "8m",
    ];
    let text = environment.shell(&options, script);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(&lines[..3], ["100", "200", "99"]);
    assert_eq!(lines[3].split_whitespace().nth(1), Some("8192"), "{text}");
    environment.finish();
}

#[test]
fn privileged_a_pids_limit_stops_a_fork_bomb() {
    let environment = TestEnvironment::with_starter();
    let script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); sleep 600 & done; echo survived";
    let output = environment.hb(["run", "--rm", "--pids-limit", "20", STARTER, "sh", "-c", script]);
    let output = output.complains("can't fork");
    assert!(output.code != 0 && !output.stdout.contains("survived"), "{output}");
    environment.finish();
}

#[test]
fn privileged_devices() {
    let environment = TestEnvironment::with_starter();
    let script = "(echo x >/dev/given) 2>&1 | tail -1; ls -l /dev/given";
    let text = environment.shell(&["--device", "/dev/full:/dev/given:rw"], script);
    assert!(text.contains("No space left") && text.contains("1,   7"), "{text}");
    // A device that was not given can be made, but not opened.
    let refused = environment.shell(&[], "mknod /tmp/kmsg c 1 11 && (cat /tmp/kmsg) 2>&1 | tail -1");
    assert!(refused.contains("not permitted"), "{refused}");
    environment.finish();
}
