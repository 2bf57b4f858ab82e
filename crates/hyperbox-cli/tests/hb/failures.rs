// SPDX-License-Identifier: MIT
//! No daemon, a strange daemon, wrong words: one sentence, a hint, the right exit code.

use super::daemon::{Daemon, answer, raw};
use super::program::{hb, run};

#[cfg(unix)]
#[test]
fn without_a_daemon_the_user_is_told_how_to_start_it() {
    let directory = tempfile::tempdir().unwrap();
    let host = format!("unix://{}/none.sock", directory.path().display());
    for (arguments, code) in [
        (&["ps"][..], 1),
        (&["run", "busybox"], 125),
        (&["rm", "a", "b"], 1),
        (&["system", "health"], 1),
    ] {
        let result = run(&[&["--host", &host], arguments].concat());
        assert_eq!(result.code, Some(code), "{arguments:?}: {result:?}");
        assert_eq!(
            result.stderr,
            format!(
                "hb: cannot connect to HyperBox at {host}. Is hyperboxd running? (No such file or directory (os error 2))\n\
                 hint: start the daemon with `hb system start`, or choose another one with --host\n"
            )
        );
    }
}

#[test]
fn strange_answers_are_errors_and_no_panics() {
    for (bytes, text) in [
        (&b""[..], "lost the connection"),
        (b"garbage\r\n\r\n", "not HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "the length of the answer is not a number",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[",
            "ends before its announced length",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "a chunk of the answer has no length",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[",
            "ends before its announced length",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "the daemon's answer to /v1.51/containers/json is not understood",
        ),
        (
            b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
            "the daemon answered with status 500 and no explanation",
        ),
        (
            b"HTTP/1.1 400 Bad\r\nContent-Length: 4\r\n\r\nno!\n",
            "Error response from daemon: no!",
        ),
    ] {
        let daemon = Daemon::start(vec![raw(bytes)]);
        let result = run(&["--host", daemon.address(), "ps"]);
        assert_eq!(result.code, Some(1), "{result:?}");
        assert!(result.stderr.contains(text), "{text}: {result:?}");
        assert!(!result.stderr.contains("panicked"), "{result:?}");
    }
}

#[test]
fn endless_heads_are_refused() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(200_000));
    // The client stops reading in the middle of it, so the daemon's write may fail.
    let daemon = Daemon::start(vec![Box::new(move |stream| {
        use std::io::Write;
        drop(stream.write_all(endless.as_bytes()));
    })]);
    let result = run(&["--host", daemon.address(), "ps"]);
    assert_eq!(result.code, Some(1));
    assert!(
        result.stderr.contains("the head of the answer is longer than"),
        "{result:?}"
    );
}

#[test]
fn chunked_answers_are_read() {
    let daemon = Daemon::start(vec![raw(
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n[\r\n1\r\n]\r\n0\r\nTrailer: x\r\n\r\n"[..],
    )]);
    let result = run(&["--host", daemon.address(), "ps", "-q"]);
    assert_eq!(
        (result.code, result.stdout.as_str(), result.stderr.as_str()),
        (Some(0), "", "")
    );
}

#[test]
fn each_object_is_tried_and_each_failure_told() {
    let missing = "{\"message\":\"No such container: x\"}";
    let daemon = Daemon::start(vec![
        answer("404 Not Found", missing),
        answer("204 No Content", ""),
        answer("404 Not Found", missing),
    ]);
    let result = run(&["--host", daemon.address(), "rm", "-v", "x", "ok", "x"]);
    assert_eq!(result.code, Some(1));
    assert_eq!(result.stdout, "ok\n");
    assert_eq!(
        result.stderr,
        "Error response from daemon: No such container: x\nError response from daemon: No such container: x\n"
    );
    assert_eq!(daemon.request_lines()[1], "DELETE /v1.51/containers/ok?v=1 HTTP/1.1");
}

#[test]
fn wrong_words_have_dockers_exit_codes() {
    for (arguments, code, text) in [
        (&["bogus"][..], 1, "hb: unknown command: hb bogus"),
        (&["image", "bogus"], 1, "hb: unknown command: hb image bogus"),
        (&["help", "bogus"], 1, "unknown help topic: bogus"),
        (&["build", "."], 1, "hb: failed to read dockerfile: open "),
        (&["image", "build"], 1, "hb: 'hb image build' requires 1 argument"),
        (&["swarm", "init"], 1, "hb: hb swarm: HyperBox is no swarm manager"),
        (&["--bogus"], 1, "hb: unknown flag: --bogus"),
        (&["run"], 1, "hb: 'hb run' requires at least 1 argument"),
        (&["exec", "x"], 1, "hb: 'hb exec' requires at least 2 arguments"),
        (&["ps", "x"], 1, "hb: 'hb ps' accepts no arguments"),
        (&["rename", "x"], 1, "hb: 'hb rename' requires 2 arguments"),
        (&["run", "--bogus", "x"], 125, "hb: unknown flag: --bogus"),
        (&["ps", "-z"], 125, "hb: unknown shorthand flag: 'z' in -z"),
        (&["run", "--name"], 125, "hb: flag needs an argument: --name"),
        (
            &["run", "-m", "1x", "i"],
            125,
            "hb: invalid argument \"1x\" for \"-m, --memory\" flag: invalid suffix: 'x'",
        ),
        (
            &["run", "-d", "--rm", "--restart", "always", "i"],
            125,
            "hb: conflicting options: cannot specify both --restart and --rm",
        ),
        (
            &["run", "-d", "-a", "stdout", "i"],
            1,
            "hb: conflicting options: cannot specify both --attach and --detach",
        ),
        (&["run", "-it", "i"], 1, "hb: the input device is not a TTY"),
        (&["--host", "ftp://x", "ps"], 1, "hb: unable to parse host \"ftp://x\""),
        (
            &["ps", "--filter", "x"],
            125,
            "hb: invalid argument \"x\" for \"-f, --filter\" flag",
        ),
        (
            &["login", "-u", "x"],
            1,
            "hb: Cannot perform an interactive login from a non TTY device",
        ),
        (&["completion", "tcsh"], 1, "hb: unknown shell: tcsh"),
    ] {
        let result = run(arguments);
        assert_eq!(result.code, Some(code), "{arguments:?}: {result:?}");
        assert!(result.stderr.starts_with(text), "{arguments:?}: {}", result.stderr);
    }
}

#[test]
fn a_word_that_is_nearly_a_command_gets_a_hint() {
    for (arguments, hint) in [
        (&["imges"][..], "hint: did you mean `hb images`?"),
        (&["image", "pul"], "hint: did you mean `hb image pull`?"),
        // Docker gives no hints.
        (&["docker", "contxt", "ls"], "Run 'docker --help' for more information"),
        (
            &["compose", "up"],
            "hint: `hb up`, `hb down` and `hb project` run Compose files; `hb docker compose` runs Docker's plugin",
        ),
    ] {
        let result = run(arguments);
        assert_eq!(result.code, Some(1));
        assert_eq!(result.stderr.lines().last(), Some(hint), "{result:?}");
    }
    assert!(!run(&["bogus"]).stderr.contains("hint:"));
}

#[test]
fn help_and_completion_need_no_daemon() {
    for (arguments, text) in [
        (&[][..], "Management Commands:"),
        (&["--help"], "Usage:  hb [OPTIONS] COMMAND"),
        (&["volume"], "hb volume COMMAND"),
        (&["help"], "Usage:  hb [OPTIONS] COMMAND"),
        (&["help", "run"], "Usage:  hb run [OPTIONS] IMAGE [COMMAND] [ARG...]"),
        (&["help", "image"], "Usage:  hb image COMMAND"),
        (&["help", "image", "pull"], "Usage:  hb image pull [OPTIONS]"),
        (&["docker", "--help"], "Usage:  docker [OPTIONS] COMMAND"),
        (&["docker", "--help"], "  context     Manage contexts"),
        (
            &["docker", "run", "--help"],
            "Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        ),
        (&["docker", "--version"], "Docker version 28.5.2, build HyperBox-"),
        (&["network"], "disconnect"),
        (&["events", "--help"], "hb events [OPTIONS]"),
        (&["run", "--help"], "hb run [OPTIONS] IMAGE [COMMAND] [ARG...]"),
        (&["completion", "bash"], "complete -F _hb"),
        (&["completion", "bash"], "--gw-priority"),
        (&["completion", "zsh"], "#compdef hb"),
        (&["completion", "zsh"], "--aux-address"),
        (&["completion", "fish"], "disconnect"),
        (&["completion", "fish"], "complete -c hb"),
        (&["completion", "powershell"], "Register-ArgumentCompleter"),
        (&["--version"], "HyperBox version"),
    ] {
        let result = run(arguments);
        assert_eq!((result.code, result.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(result.stdout.contains(text), "{arguments:?}: {}", result.stdout);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_to_talk_about() {
    let mut child = hb(&["completion", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(141), Vec::new()));
}

#[test]
fn docker_host_is_used_only_when_hyperbox_answers_there() {
    for (server, used) in [("HyperBox/0.1.0 (linux)", true), ("Docker/28.5.2 (linux)", false)] {
        let daemon = Daemon::start(vec![
            raw(format!(
                "HTTP/1.1 200 OK\r\nServer: {server}\r\nApi-Version: 1.51\r\nConnection: close\r\n\r\n"
            )),
            answer("200 OK", "[]"),
        ]);
        if std::path::Path::new(hyperbox_client::Host::DEFAULT_SOCKET).exists() {
            // A daemon on this machine comes first, whatever DOCKER_HOST says.
            continue;
        }
        let result = hb(&["ps", "-q"]).env("DOCKER_HOST", daemon.address()).output().unwrap();
        assert_eq!(result.status.success(), used, "{server}");
        assert_eq!(daemon.request_lines()[0], "HEAD /_ping HTTP/1.1");
    }
}
