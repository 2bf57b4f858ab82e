// SPDX-License-Identifier: MIT
//! The daemon dies in a build: the image is there whole or not at all, no process is left, and the same build succeeds afterwards.

use hyperbox_testkit::environment::{DaemonOptions, STARTER, TestEnvironment};

/// The steps of a build that have failpoints.
pub(crate) const TESTED: &[&str] = &[
    "build.before-record",
    "build.after-record",
    "build.before-image",
    "build.after-image",
];

fn dies_at(point: &str) {
    let mut environment = TestEnvironment::start_with(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    environment.load_starter();
    let context = tempfile::tempdir().unwrap();
    let text = format!("FROM {STARTER}\nRUN echo content >/made\nCOPY file /\nCMD cat /made /file\n");
    std::fs::write(context.path().join("Dockerfile"), text).unwrap();
    std::fs::write(context.path().join("file"), "copied").unwrap();
    let build = ["build", "-q", "-t", "made:1", context.path().to_str().unwrap()];
    let _cut_off = environment.hb(build);
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    let show = ["run", "--rm", "made:1"];
    if !environment.hb(["images", "-q", "made"]).succeeds().is_empty() {
        assert_eq!(environment.hb(show).succeeds(), "content\ncopied", "after {point}");
    }
    environment.hb(build).succeeds();
    assert_eq!(environment.hb(show).succeeds(), "content\ncopied", "after {point}");
    environment.hb(["rmi", "made:1"]).succeeds();
    environment.hb(["builder", "prune", "-a", "-f"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_build_before_record() {
    dies_at(TESTED[0]);
}

#[test]
fn privileged_build_after_record() {
    dies_at(TESTED[1]);
}

#[test]
fn privileged_build_before_image() {
    dies_at(TESTED[2]);
}

#[test]
fn privileged_build_after_image() {
    dies_at(TESTED[3]);
}
