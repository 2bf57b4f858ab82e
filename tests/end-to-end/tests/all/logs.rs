// SPDX-License-Identifier: MIT
//! `hb logs`: complete, separable, followable.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use hyperbox_testkit::environment::{TICKER, TestEnvironment};

#[test]
fn privileged_streams_tail_and_timestamps() {
    let environment = TestEnvironment::with_starter();
    let script = "for i in 1 2 3 4 5; do echo out $i; done; echo err >&2; printf 'no line end'";
    let id = environment.detached(&[], &["sh", "-c", script]);
    environment.hb(["wait", &id]).succeeds();
    let output = environment.hb(["logs", &id]).exits_with(0);
    assert_eq!(output.stdout, "out 1\nout 2\nout 3\nout 4\nout 5\nno line end");
    assert_eq!(output.stderr, "err\n");
    let tail = environment.hb(["logs", "--tail", "2", &id]).exits_with(0);
    assert!(
        !tail.stdout.contains("out 4") && tail.stdout.contains("no line end"),
        "{tail}"
    );
    let stamped = environment.hb(["logs", "-t", &id]).succeeds();
    assert!(
        stamped
            .lines()
            .next()
            .is_some_and(|line| line.starts_with("20") && line.ends_with("Z out 1")),
        "{stamped}"
    );
    let _future = environment
        .hb(["logs", "--since", "2099-01-01T00:00:00Z", &id])
        .exits_with(0);
    assert_eq!(
        environment
            .hb(["logs", "--since", "2099-01-01T00:00:00Z", &id])
            .succeeds(),
        ""
    );
    environment.finish();
}

#[test]
fn privileged_following_ends_with_the_container() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sh", "-c", TICKER]);
    let mut follower = environment
        .hb_command(["logs", "-f", &id])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    for number in 1..=20 {
        assert_eq!(lines.next().unwrap().unwrap(), format!("line {number}"));
    }
    environment.hb(["stop", &id]).succeeds();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(follower.wait().unwrap().success());
    let whole = environment.hb(["logs", &id]).succeeds();
    assert_eq!(
        whole.lines().count(),
        20 + rest.len(),
        "following shows every line once"
    );
    environment.finish();
}

#[test]
fn privileged_rotation_keeps_the_newest() {
    let environment = TestEnvironment::with_starter();
    let options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=2"];
    let id = environment.detached(
        &options,
        &[
            "sh",
            "-c",
            "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line number $i; done",
        ],
    );
    environment.hb(["wait", &id]).succeeds();
    let log = environment.hb(["logs", &id]).succeeds();
    assert!(log.ends_with("line number 2000"), "the end is kept");
    assert!(!log.contains("line number 1\n"), "the beginning is rotated away");
    let numbers: Vec<u32> = log
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "no line is lost between files"
    );
    environment.finish();
}

#[test]
fn privileged_no_log_when_none_is_wanted() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&["--log-driver", "none"], &["echo", "unkept"]);
    environment.hb(["wait", &id]).succeeds();
    let output = environment.hb(["logs", &id]);
    assert!(output.code != 0 && output.stdout.is_empty(), "{output}");
}
