// SPDX-License-Identifier: MIT
//! The quota of a project over all its containers.
//!
//! That memory is really taken away is tested on pure cgroup v2, in the virtual machine.

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::wait_for;

use crate::project_folder::{Folder, nothing_is_left};

const QUIET: &str = r#"
services:
  one: {image: "starter:latest", command: [sleep, "6000"], stop_signal: KILL}
  two: {image: "starter:latest", command: [sleep, "6000"], stop_signal: KILL}
"#;

/// One service takes what it gets; its neighbour has as much of the quota as it needs.
const GREEDY: &str = r#"
services:
  eater:
    image: "starter:latest"
    command: [sh, -c, "while [ ! -e /tmp/go ]; do usleep 100000; done; head -c 300m /dev/zero | tail"]
    stop_signal: KILL
"#;

const LIMITS: &str = "[limits]\nmemory = \"64m\"\ncpus = 0.75\npids = 40\n";

#[test]
fn privileged_project_quota_is_told_and_outlives_the_daemon() {
    let mut environment = TestEnvironment::with_starter();
    let shop = Folder::new(&environment, "shop", QUIET);
    shop.write("hyperbox.toml", LIMITS);
    shop.hb(&environment, &["up", "-d"]).succeeds();
    let limited = |environment: &TestEnvironment| {
        let status = shop.status(environment);
        assert_eq!(status["cgroup"], format!("/{}/shop", environment.name()));
        let usage = &status["usage"];
        assert_eq!(usage["memory"]["limit"], f64::from(64 << 20), "{usage}");
        assert_eq!(
            (&usage["pids"]["limit"], &usage["cpus"]["limit"]),
            (&40.0.into(), &0.75.into()),
            "{usage}"
        );
        assert_eq!(usage["pids"]["used"], 2.0, "{usage}");
    };
    limited(&environment);
    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    limited(&environment);
    // What is not limited any more is lifted while it runs.
    shop.write("hyperbox.toml", "[limits]\npids = 50\n");
    shop.hb(&environment, &["up", "-d"]).succeeds();
    let usage = shop.status(&environment)["usage"].clone();
    assert_eq!(
        (&usage["pids"]["limit"], &usage["memory"]["limit"]),
        (&50.0.into(), &serde_json::Value::Null)
    );
    environment.hb(["project", "remove", "shop"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn v2_project_quota_stops_who_eats_memory_and_nobody_else() {
    let environment = TestEnvironment::with_starter();
    let calm = Folder::new(&environment, "calm", QUIET);
    let greedy = Folder::new(&environment, "greedy", GREEDY);
    greedy.write("hyperbox.toml", LIMITS);
    calm.hb(&environment, &["up", "-d"]).succeeds();
    greedy.hb(&environment, &["up", "-d"]).succeeds();
    let undisturbed = (
        calm.containers(&environment, "one"),
        calm.containers(&environment, "two"),
    );
    environment
        .hb(["exec", "greedy-eater-1", "touch", "/tmp/go"])
        .succeeds();
    wait_for("the eater to be stopped", || {
        let eater = greedy.containers(&environment, "eater").remove(0);
        if eater["state"] == "exited" {
            Ok(())
        } else {
            Err(eater.to_string())
        }
    });
    let eater = greedy.containers(&environment, "eater").remove(0);
    assert_eq!(eater["out_of_memory"], true, "{eater:#}");
    let usage = greedy.status(&environment)["usage"].clone();
    assert!(usage["memory_kills"].as_u64().unwrap() >= 1, "{usage}");
    assert_eq!(
        (
            calm.containers(&environment, "one"),
            calm.containers(&environment, "two")
        ),
        undisturbed
    );
    for name in ["calm", "greedy"] {
        environment.hb(["project", "remove", name]).succeeds();
    }
    nothing_is_left(&environment);
    environment.finish();
}
