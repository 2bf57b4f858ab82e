// SPDX-License-Identifier: MIT
//! The life of a container, one command after the other.

use std::process::Stdio;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::wait_for;

#[test]
fn privileged_create_start_stop_restart_remove() {
    let environment = TestEnvironment::with_starter();
    let script = "trap 'exit 0' TERM; echo up; while :; do usleep 20000; done";
    let id = environment
        .hb(["create", "--name", "one", STARTER, "sh", "-c", script])
        .succeeds();
    assert_eq!(environment.status("one"), "created");
    assert_eq!(environment.hb(["start", "one"]).succeeds(), "one");
    environment.wait_for_log("one", "up");
    assert_eq!(environment.status(&id[..12]), "running");
    assert_eq!(environment.hb(["stop", "one"]).succeeds(), "one");
    assert_eq!(environment.status("one"), "exited");
    environment.hb(["restart", "one"]).succeeds();
    wait_for("the second start", || {
        let ups = environment.hb(["logs", "one"]).succeeds().matches("up").count();
        if ups == 2 { Ok(()) } else { Err(format!("{ups} starts")) }
    });
    environment.hb(["rm", "-f", "one"]).succeeds();
    assert!(environment.container_ids().is_empty());
    environment.finish();
}

#[test]
fn privileged_what_a_container_wrote_survives_a_restart() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sh", "-c", "echo $(cat /kept 2>/dev/null)x >/kept; cat /kept"]);
    environment.hb(["wait", &id]).succeeds();
    environment.hb(["start", "-a", &id]).succeeds();
    assert_eq!(environment.hb(["logs", &id]).succeeds(), "x\nxx");
    environment.finish();
}

#[test]
fn privileged_kill_signals_and_wait() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(
        &[],
        &[
            "sh",
            "-c",
            "trap 'echo usr1' USR1; echo ready; while :; do usleep 20000; done",
        ],
    );
    environment.wait_for_log(&id, "ready");
    environment.hb(["kill", "-s", "USR1", &id]).succeeds();
    environment.wait_for_log(&id, "usr1");
    assert_eq!(environment.status(&id), "running");
    let waiter = environment
        .hb_command(["wait", &id])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    environment.hb(["kill", &id]).succeeds();
    let output = waiter.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "137");
    assert_eq!(environment.hb(["wait", &id]).succeeds(), "137");
    environment.finish();
}

#[test]
fn privileged_pause_freezes() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sh", "-c", hyperbox_testkit::environment::TICKER]);
    environment.wait_for_log(&id, "line 1");
    environment.hb(["pause", &id]).succeeds();
    assert_eq!(environment.status(&id), "paused");
    let _refused = environment.hb(["exec", &id, "true"]).exits_with(1).complains("paused");
    let count = || environment.hb(["logs", &id]).succeeds().lines().count();
    let before = count();
    let listed = environment
        .hb(["ps", "--filter", "status=paused", "--format", "{{.Status}}"])
        .succeeds();
    assert!(listed.contains("(Paused)"), "{listed}");
    assert!(count() <= before + 1, "a frozen container writes nothing");
    environment.hb(["unpause", &id]).succeeds();
    wait_for("new lines", || {
        if count() > before + 2 {
            Ok(())
        } else {
            Err("there are none".to_owned())
        }
    });
    environment.finish();
}

#[test]
fn privileged_attach_sees_output_and_gives_input() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&["-i"], &["sh", "-c", "read line; echo got $line"]);
    let output = environment.hb_with_input(["attach", &id], b"hello\n").exits_with(0);
    assert_eq!(output.stdout, "got hello\n");
    environment.wait_for_status(&id, "exited");
    environment.finish();
}

#[test]
fn privileged_list_filters_and_formats() {
    let environment = TestEnvironment::with_starter();
    environment.detached(&["--name", "first"], &["sleep", "600"]);
    let _exited = environment
        .hb(["run", "--name", "second", STARTER, "sh", "-c", "exit 3"])
        .exits_with(3);
    let table = environment.hb(["ps", "-a"]).succeeds();
    for part in ["CONTAINER ID", "NAMES", "first", "second", "Exited (3)", "Up ", STARTER] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
    let running = environment.hb(["ps", "--format", "{{.Names}} {{.Image}}"]).succeeds();
    assert_eq!(running, format!("first {STARTER}"));
    let exited = environment
        .hb(["ps", "-a", "--filter", "status=exited", "--format", "json"])
        .json();
    assert_eq!(exited["Names"], "second");
    assert_eq!(
        environment.hb(["ps", "-aq", "--filter", "exited=3"]).succeeds().len(),
        12
    );
    environment.finish();
}

#[test]
fn privileged_stats_show_what_is_used() {
    let environment = TestEnvironment::with_starter();
    environment.detached(&["--name", "busy", "-m", "64m"], &["sleep", "600"]);
    let table = environment.hb(["stats", "--no-stream"]).succeeds();
    assert!(
        table.contains("busy") && table.contains("MEM USAGE / LIMIT") && table.contains("64MiB"),
        "{table}"
    );
    let json = environment
        .hb(["stats", "--no-stream", "--format", "json", "busy"])
        .json();
    assert_eq!(json["Name"], "busy");
    environment.finish();
}
