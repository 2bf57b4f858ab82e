// SPDX-License-Identifier: MIT
//! `-it` is a real terminal, on a pseudo-terminal that util-linux's `script` makes.

use std::io::Write as _;
use std::process::Stdio;

use hyperbox_testkit::environment::{Output, STARTER, TestEnvironment, binary};

/// Runs a shell line on a terminal and returns what it showed.
fn on_terminal(environment: &TestEnvironment, line: &str, input: &[u8]) -> Output {
    let mut command = environment.command("script".as_ref());
    command
        .args(["-qec", line, "/dev/null"])
        .env("HYPERBOX_HOST", environment.host())
        .env("SHELL", "/bin/sh");
    command.env("TERM", "xterm").env("hb", binary("hb"));
    Output::with_input(&mut command, input)
}

#[test]
fn privileged_has_the_callers_size_and_exit_code() {
    let environment = TestEnvironment::with_starter();
    let line =
        format!("stty rows 33 cols 101; $hb run -it --rm {STARTER} sh -c 'tty; stty size; exit 6'; echo code $?");
    let text = on_terminal(&environment, &line, b"").succeeds();
    for part in ["/dev/pts/0", "33 101", "code 6"] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    environment.finish();
}

#[test]
fn privileged_is_restored_on_every_way_out() {
    let environment = TestEnvironment::with_starter();
    let line = format!(
        "a=$(stty -g); $hb run -it --rm {STARTER} true; b=$(stty -g); $hb run -it --rm {STARTER} nosuch; c=$(stty -g); \
         $hb run -it --rm {STARTER} sh -c 'kill -KILL $$'; d=$(stty -g); \
         [ $a = $b ] && [ $b = $c ] && [ $c = $d ] && echo restored"
    );
    let text = on_terminal(&environment, &line, b"").succeeds();
    assert!(text.contains("restored"), "{text:?}");
    environment.finish();
}

#[test]
fn privileged_keys_reach_the_process() {
    let environment = TestEnvironment::with_starter();
    // Interrupt (0x03) goes through the container's terminal to its foreground process.
    let line = format!(
        "$hb run -it --name keys {STARTER} sh -c 'trap \"echo interrupted; exit 4\" INT; echo ready; read x; read x'; echo code $?"
    );
    let mut command = environment.command("script".as_ref());
    command
        .args(["-qec", &line, "/dev/null"])
        .env("HYPERBOX_HOST", environment.host())
        .env("hb", binary("hb"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    hyperbox_testkit::wait_for("the container", || {
        let log = environment.hb(["logs", "keys"]);
        if log.stdout.contains("ready") {
            Ok(())
        } else {
            Err(log.to_string())
        }
    });
    keyboard.write_all(&[3]).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("interrupted") && text.contains("code 4"), "{text:?}");
    environment.finish();
}

#[test]
fn privileged_detach_keys_leave_the_container_running() {
    let environment = TestEnvironment::with_starter();
    let line = format!("$hb run -it --name left {STARTER} sh -c 'echo ready; exec sleep 600'");
    let mut command = environment.command("script".as_ref());
    command
        .args(["-qec", &line, "/dev/null"])
        .env("HYPERBOX_HOST", environment.host())
        .env("hb", binary("hb"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    hyperbox_testkit::wait_for("the container", || {
        let log = environment.hb(["logs", "left"]);
        if log.stdout.contains("ready") {
            Ok(())
        } else {
            Err(log.to_string())
        }
    });
    keyboard.write_all(&[16, 17]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(environment.status("left"), "running");
    environment.finish();
}

#[test]
fn privileged_exec_has_one_too() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sleep", "600"]);
    let line = format!("stty rows 20 cols 90; $hb exec -it {id} sh -c 'test -t 0 && stty size'");
    let text = on_terminal(&environment, &line, b"").succeeds();
    assert!(text.contains("20 90"), "{text:?}");
    let _refused = environment
        .hb(["run", "-it", "--rm", STARTER, "true"])
        .exits_with(1)
        .complains("TTY");
    environment.finish();
}
