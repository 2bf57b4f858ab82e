// SPDX-License-Identifier: MIT
//! Limits that only cgroup v2 has or enforces; run in the virtual machine.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

#[test]
fn v2_memory_max_kills_and_is_reported() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(
        &["-m", "16m"],
        &[
            "sh",
            "-c",
            "cat /sys/fs/cgroup/memory.max; head -c 60m /dev/zero | tail",
        ],
    );
    environment.hb(["wait", &id]).succeeds();
    assert!(environment.hb(["logs", &id]).succeeds().starts_with("16777216"));
    let state = environment.inspect(&id)["State"].clone();
    assert_eq!(state["OOMKilled"], true, "{state}");
    environment.finish();
}

#[test]
fn v2_limits_are_in_the_unified_hierarchy() {
    let environment = TestEnvironment::with_starter();
    let options = [
        "--pids-limit",
        "30",
        "--cpus",
        "0.25",
        "--cpu-shares",
        "2048",
        "-m",
        "32m",
        "--memory-reservation",
        "16m",
    ];
    let text = environment.shell(
        &options,
        "cd /sys/fs/cgroup; cat pids.max cpu.max cpu.weight memory.max memory.low",
    );
    assert_eq!(text, "30\n25000 100000\n79\n33554432\n16777216");
    environment.finish();
}

#[test]
fn v2_the_cgroup_namespace_is_private_and_pressure_is_seen() {
    let environment = TestEnvironment::with_starter();
    let text = environment.shell(
        &[],
        "cat /proc/self/cgroup; head -c 4 /sys/fs/cgroup/cpu.pressure; mkdir /sys/fs/cgroup/x 2>&1 || true",
    );
    assert!(text.starts_with("0::/\nsome"), "{text}");
    assert!(text.contains("Read-only"), "{text}");
    environment.finish();
}

#[test]
fn v2_pause_stats_and_update_work() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&["-m", "64m"], &["sleep", "6000"]);
    environment.hb(["pause", &id]).succeeds();
    assert_eq!(environment.status(&id), "paused");
    environment.hb(["unpause", &id]).succeeds();
    let (code, body) = environment
        .api(
            "POST",
            &format!("/containers/{id}/update"),
            r#"{"Memory": 33554432, "MemorySwap": 33554432}"#,
        )
        .unwrap();
    assert_eq!(code, 200, "{body}");
    let limit = environment
        .hb(["exec", &id, "cat", "/sys/fs/cgroup/memory.max"])
        .succeeds();
    assert_eq!(limit, "33554432");
    let (code, body) = environment
        .api("GET", &format!("/containers/{id}/stats?stream=0&one-shot=1"), "")
        .unwrap();
    assert!(code == 200 && body.contains("\"limit\":33554432"), "{code} {body}");
    environment.finish();
}

#[test]
fn v2_block_limits_are_in_io_max() {
    let environment = TestEnvironment::with_starter();
    let device = LoopDevice::attach();
    let body = format!(
        r#"{{"Image": "{STARTER}", "Cmd": ["cat", "/sys/fs/cgroup/io.max"],
            "HostConfig": {{"BlkioDeviceWriteBps": [{{"Path": "{}", "Rate": 1048576}}]}}}}"#,
        device.path
    );
    let (code, answer) = environment.api("POST", "/containers/create", &body).unwrap();
    assert_eq!(code, 201, "{answer}");
    let id = environment.container_ids().pop().expect("the container");
    environment.hb(["start", &id]).succeeds();
    environment.hb(["wait", &id]).succeeds();
    let limits = environment.hb(["logs", &id]).succeeds();
    assert!(
        limits.starts_with("7:0 ") && limits.contains("wbps=1048576"),
        "{limits}"
    );
    environment.hb(["rm", &id]).succeeds();
    environment.finish();
}

/// A block device of this machine, given back in the end.
struct LoopDevice {
    path: &'static str,
}

impl LoopDevice {
    fn attach() -> Self {
        let busybox = |arguments: &[&str]| {
            let output = std::process::Command::new("/bin/busybox")
                .args(arguments)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let path = "/dev/loop0";
        if !std::path::Path::new(path).exists() {
            busybox(&["modprobe", "loop"]);
        }
        busybox(&["truncate", "-s", "1M", "/run/loop0"]);
        busybox(&["losetup", path, "/run/loop0"]);
        Self { path }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // The machine is thrown away in any case.
        drop(
            std::process::Command::new("/bin/busybox")
                .args(["losetup", "-d", self.path])
                .status(),
        );
    }
}
