// SPDX-License-Identifier: MIT
//! `hb exec`: further processes in a running container.

use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::wait_for;

#[test]
fn privileged_output_input_and_exit_code() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&["-e", "FROM=run"], &["sleep", "600"]);
    let output = environment
        .hb(["exec", &id, "sh", "-c", "echo $FROM; echo error >&2; exit 9"])
        .exits_with(9);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("run\n", "error\n"));
    let echoed = environment
        .hb_with_input(["exec", "-i", &id, "cat"], b"through")
        .succeeds();
    assert_eq!(echoed, "through");
    let missing = environment.hb(["exec", &id, "nosuchcommand"]).exits_with(127);
    assert!(
        (missing.stdout.clone() + &missing.stderr).contains("nosuchcommand"),
        "{missing}"
    );
    let _directory = environment.hb(["exec", &id, "/etc"]).exits_with(126);
    environment.finish();
}

#[test]
fn privileged_options() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sleep", "600"]);
    let words = [
        "exec",
        "-e",
        "GIVEN=1",
        "-w",
        "/tmp",
        "-u",
        "alice",
        &id,
        "sh",
        "-c",
        "echo $GIVEN $(pwd) $(id -un):$(id -gn)",
    ];
    assert_eq!(environment.hb(words).succeeds(), "1 /tmp alice:alice");
    environment
        .hb(["exec", "-d", &id, "sh", "-c", "echo made >/tmp/file"])
        .succeeds();
    wait_for("the detached exec", || {
        let output = environment.hb(["exec", &id, "cat", "/tmp/file"]);
        if output.stdout == "made\n" {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
    let _stopped = {
        environment.hb(["stop", "-t", "0", &id]).succeeds();
        environment
            .hb(["exec", &id, "true"])
            .exits_with(1)
            .complains("not running")
    };
    environment.finish();
}

#[test]
fn privileged_shares_namespaces_and_limits() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&["--cap-drop", "ALL", "--hostname", "shared"], &["sleep", "600"]);
    let script = "hostname; grep CapEff /proc/self/status; grep -c . /proc/1/cmdline; readlink /proc/1/ns/pid; readlink /proc/self/ns/pid";
    let text = environment.hb(["exec", &id, "sh", "-c", script]).succeeds();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "shared");
    assert!(lines[1].ends_with("0000000000000000"), "{text}");
    assert_eq!(lines[3], lines[4]);
    let all = environment
        .hb(["exec", "--privileged", &id, "grep", "CapEff", "/proc/self/status"])
        .succeeds();
    assert!(!all.ends_with("0000000000000000"), "{all}");
    environment.finish();
}

#[test]
fn privileged_many_at_once() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sleep", "600"]);
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (environment, id) = (&environment, &id);
            scope.spawn(move || {
                let script = format!("echo {number}; exit {number}");
                let output = environment.hb(["exec", id, "sh", "-c", &script]).exits_with(number);
                assert_eq!(output.stdout, format!("{number}\n"));
            });
        }
    });
    environment.finish();
}

#[test]
fn privileged_top_lists_the_processes() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sleep", "600"]);
    let text = environment.hb(["top", &id]).succeeds();
    assert!(text.contains("PID") && text.contains("sleep 600"), "{text}");
}
