// SPDX-License-Identifier: MIT
//! What people do wrong: one sentence with the object's name, the right exit code, no panic, nothing left.

use hyperbox_testkit::environment::{Output, STARTER, TestEnvironment};

/// At most a sentence and a hint or two.
fn is_brief(output: &Output) {
    let lines = output.stderr.trim().lines().count();
    assert!((1..=6).contains(&lines), "{lines} lines of {output}");
}

#[test]
fn privileged_commands_that_cannot_be_executed() {
    let environment = TestEnvironment::with_starter();
    for (command, code, part) in [
        ("nosuchcommand", 127, "nosuchcommand"),
        ("/no/such/file", 127, "/no/such/file"),
        ("/etc/passwd", 126, "/etc/passwd"),
        ("/etc", 126, "/etc"),
    ] {
        let output = environment
            .hb(["run", "--rm", STARTER, command])
            .exits_with(code)
            .complains(part);
        is_brief(&output);
    }
    let output = environment.hb(["run", "--rm", "-w", "/etc/passwd", STARTER, "true"]);
    assert!(
        output.code == 126 || output.code == 127 || output.code == 125,
        "{output}"
    );
    is_brief(&output);
    assert!(environment.container_ids().is_empty());
    environment.finish();
}

#[test]
fn privileged_wrong_options() {
    let environment = TestEnvironment::with_starter();
    let cases: &[(&[&str], &str)] = &[
        (&["run", "--rm", "--no-such-flag", STARTER], "--no-such-flag"),
        (&["run", "--rm", "--memory", "lots", STARTER], "lots"),
        (&["run", "--rm", "--memory", "1k", STARTER], "memory"),
        (&["run", "--rm", "--network", "nosuch", STARTER], "nosuch"),
        (&["run", "--rm", "--runtime", "nosuch", STARTER], "nosuch"),
        (&["run", "--rm", "--user", "nobodyknows", STARTER], "nobodyknows"),
        (&["run", "--rm", "--cap-add", "NOSUCH", STARTER], "NOSUCH"),
        (&["run", "--rm", "--name", "not valid", STARTER], "not valid"),
        (&["run", "--restart", "sometimes", STARTER], "sometimes"),
        (&["run", "--rm", "--restart", "always", STARTER], "--rm"),
        (&["run", "--rm", "-v", "relative/path:/x", STARTER], "relative/path"),
        (&["run", "--rm", "--cpuset-cpus", "4096", STARTER], "4096"),
        (&["run", "--rm", "--ulimit", "nosuch=1", STARTER], "nosuch"),
        (&["run", "--rm", "--device", "/dev/nosuch", STARTER], "/dev/nosuch"),
        (&["run", "UPPER/case", "true"], "UPPER/case"),
    ];
    let _incomplete = environment
        .hb(["run"])
        .exits_with(1)
        .complains("requires at least 1 argument");
    for (words, part) in cases {
        let output = environment.hb(*words);
        // As Docker's client: 126 and 127 where the answer reads like that of a program that cannot be run.
        assert!((125..=127).contains(&output.code), "{output}");
        let output = output.complains(part);
        assert!(!output.stderr.contains("panicked"), "{output}");
    }
    assert!(
        environment.container_ids().is_empty(),
        "a refused container is not left"
    );
    environment.finish();
}

#[test]
fn privileged_missing_objects_are_named() {
    let environment = TestEnvironment::with_starter();
    let cases: &[(&[&str], &str)] = &[
        (&["start", "nosuch"], "No such container: nosuch"),
        (&["stop", "nosuch"], "No such container: nosuch"),
        (&["logs", "nosuch"], "No such container: nosuch"),
        (&["exec", "nosuch", "true"], "No such container: nosuch"),
        (&["wait", "nosuch"], "No such container: nosuch"),
        (&["rm", "nosuch"], "No such container: nosuch"),
        (&["container", "inspect", "nosuch"], "nosuch"),
        (&["image", "inspect", "nosuch"], "nosuch"),
        (&["rmi", "nosuch"], "nosuch"),
        (&["tag", "nosuch", "other"], "nosuch"),
        (&["volume", "inspect", "nosuch"], "nosuch"),
        (&["volume", "rm", "nosuch"], "nosuch"),
    ];
    for (words, part) in cases {
        let output = environment.hb(*words).exits_with(1).complains(part);
        is_brief(&output);
    }
}

#[test]
fn privileged_states_that_do_not_allow_it() {
    let environment = TestEnvironment::with_starter();
    environment.detached(&["--name", "running"], &["sleep", "600"]);
    environment
        .hb(["create", "--name", "created", STARTER, "true"])
        .succeeds();
    let _in_use = environment
        .hb(["run", "--name", "running", STARTER, "true"])
        .exits_with(125)
        .complains("already in use");
    let _running = environment.hb(["rm", "running"]).exits_with(1).complains("running");
    let _not_running = environment
        .hb(["exec", "created", "true"])
        .exits_with(1)
        .complains("not running");
    let _not_running = environment
        .hb(["kill", "created"])
        .exits_with(1)
        .complains("not running");
    let _not_paused = environment
        .hb(["unpause", "running"])
        .exits_with(1)
        .complains("not paused");
    let _used = environment
        .hb(["rmi", STARTER])
        .exits_with(1)
        .complains("is using its referenced image")
        .complains(STARTER);
    // Starting what runs and stopping what is stopped is no mistake.
    environment.hb(["start", "running"]).succeeds();
    environment.hb(["stop", "created"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_without_a_daemon_hb_says_how_to_start_it() {
    let environment = TestEnvironment::new();
    for words in [
        &["ps"][..],
        &["run", STARTER, "true"],
        &["system", "info"],
        &["image", "list"],
    ] {
        let output = environment.hb(words);
        assert!(output.code == 1 || output.code == 125, "{output}");
        let output = output.complains("hyperboxd").complains("hb system start");
        is_brief(&output);
    }
}
