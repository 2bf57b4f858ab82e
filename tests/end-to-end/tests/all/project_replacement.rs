// SPDX-License-Identifier: MIT
//! The daemon dies in the middle of replacing a container whose files have changed: the next `up` finishes that, and what the container had
//! written into its anonymous volume is still there.

use hyperbox_testkit::environment::{DaemonOptions, STARTER, TestEnvironment};

use crate::project_folder::{Folder, nothing_is_left};

/// A service that keeps its first word in an anonymous volume.
fn keeper(word: &str) -> String {
    format!(
        "services:
  keeper:
    image: {STARTER}
    init: true
    environment: {{WORD: {word}}}
    volumes: [/kept]
    command: sh -c '[ -e /kept/first ] || echo $$WORD >/kept/first; sleep 1000'
"
    )
}

fn replacement_dies_at(point: &str) {
    let mut environment = TestEnvironment::with_starter();
    let folder = Folder::new(&environment, "shelf", &keeper("one"));
    folder.hb(&environment, &["up", "-d"]).succeeds();
    environment.stop_daemon();
    environment.start_daemon(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    folder.write("compose.yaml", &keeper("two"));
    let cut_off = folder.hb(&environment, &["up", "-d"]);
    assert_ne!(cut_off.code, 0, "{cut_off}");
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    folder.hb(&environment, &["up", "-d"]).succeeds();
    let names = environment
        .hb(["ps", "-a", "--format", "{{.Names}} {{.State}}"])
        .succeeds();
    assert_eq!(names, "shelf-keeper-1 running", "after {point}");
    let word = environment.hb(["exec", "shelf-keeper-1", "sh", "-c", "cat /kept/first; echo $WORD"]);
    assert_eq!(word.succeeds(), "one\ntwo", "after {point}");
    environment.hb(["project", "remove", "--volumes", "shelf"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn privileged_project_replacement_that_is_only_created() {
    replacement_dies_at("create.after-record");
}

#[test]
fn privileged_project_replacement_of_what_has_just_ended() {
    replacement_dies_at("exit.after-record");
}

#[test]
fn privileged_project_replacement_of_what_is_being_removed() {
    replacement_dies_at("remove.after-mark");
}

#[test]
fn privileged_project_replacement_without_its_name() {
    replacement_dies_at("remove.after-record");
}
