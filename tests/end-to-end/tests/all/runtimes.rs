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
        let script = "tr '\\0' ' ' </proc/1/cmdline";
        let init = environment.hb([
            "run",
            "--rm",
            "--init",
            "--runtime",
            "crun",
            STARTER,
            "sh",
            "-c",
            script,
        ]);
        assert!(init.succeeds().starts_with("/sbin/docker-init -- sh -c tr"));
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
    let (_, version) = environment.api("GET", "/version", "").unwrap();
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    let components = version["Components"].as_array().unwrap();
    let crun = components.iter().find(|component| component["Name"] == "crun").unwrap();
    let own = std::process::Command::new("crun").arg("--version").output().unwrap();
    let own = String::from_utf8(own.stdout).unwrap();
    let shown = crun["Version"].as_str().unwrap();
    assert!(
        !shown.is_empty() && own.contains(&format!("version {shown}\n")),
        "{crun} {own}"
    );
    environment.finish();
}
