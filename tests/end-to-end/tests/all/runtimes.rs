// SPDX-License-Identifier: MIT
//! External OCI runtimes by `--runtime`: the same behaviour as the embedded one.
//!
//! crun is the oracle. It refuses the hybrid cgroups of some machines; where it cannot run a container by itself, the test shows
//! that HyperBox passes its sentence on.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

#[test]
fn privileged_crun_runs_or_says_why_not() {
    let environment = TestEnvironment::with_starter();
    let output = environment.hb([
        "run",
        "--rm",
        "--runtime",
        "crun",
        "-e",
        "A=b",
        STARTER,
        "sh",
        "-c",
        "echo $A; exit 5",
    ]);
    if output.code == 5 {
        assert_eq!(output.stdout, "b\n");
        let id = environment.detached(&["--runtime", "crun"], &["sleep", "600"]);
        assert_eq!(environment.hb(["exec", &id, "echo", "inside"]).succeeds(), "inside");
        environment.hb(["stop", "-t", "0", &id]).succeeds();
        assert_eq!(environment.inspect(&id)["State"]["ExitCode"], 137);
        let _missing = environment
            .hb(["run", "--rm", "--runtime", "crun", STARTER, "nosuch"])
            .exits_with(127);
    } else {
        let _explained = output.exits_with(125).complains("cgroup");
    }
    environment.finish();
}

#[test]
fn privileged_runtimes_are_listed() {
    let environment = TestEnvironment::start();
    let info = environment.hb(["info", "--format", "json"]).json();
    let runtimes = info["Runtimes"].as_object().unwrap();
    assert!(runtimes.contains_key("crun"), "{runtimes:?}");
    assert!(
        runtimes.contains_key(info["DefaultRuntime"].as_str().unwrap()),
        "{info}"
    );
    environment.finish();
}
