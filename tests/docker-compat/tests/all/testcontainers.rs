// SPDX-License-Identifier: MIT
//! Testcontainers with its reaper: a container that holds the daemon's socket and removes what a client has left.
//!
//! The reaper is a program of ours in the place of Ryuk (`src/reaper.rs`), as no registry can be reached; Testcontainers' own code
//! starts it, connects and registers its session.

use docker_compat::images;
use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::wait_for;

use super::cases::engine;

/// Testcontainers, told which image its reaper has.
fn python(script: &str) -> String {
    format!(
        "RYUK_CONTAINER_IMAGE={} RYUK_RECONNECTION_TIMEOUT=500ms $PYTHON $FIXTURES/python/{script}",
        images::REAPER
    )
}

fn lists(environment: &TestEnvironment) -> Vec<String> {
    let list = |words: &[&str]| environment.hb(words).succeeds();
    vec![
        list(&["ps", "--all", "--format", "{{.Names}}"]),
        list(&["network", "ls", "--format", "{{.Name}}"]),
        list(&["volume", "ls", "--quiet"]),
        list(&["images", "--format", "{{.Repository}}"]),
    ]
}

fn wait_for_lists(environment: &TestEnvironment, before: &[String]) {
    wait_for("the reaper to have removed everything", || {
        let now = lists(environment);
        if now == before {
            Ok(())
        } else {
            Err(format!("{now:?}, {before:?} before"))
        }
    });
}

#[test]
fn privileged_a_killed_client_leaves_nothing() {
    let environment = TestEnvironment::with_starter();
    environment.load(&images::reaper(), images::REAPER);
    // What is of somebody else stays.
    environment.hb(["volume", "create", "kept"]).succeeds();
    environment
        .hb([
            "create",
            "--name",
            "kept",
            "--label",
            "org.testcontainers=true",
            "starter:latest",
        ])
        .succeeds();
    let before = lists(&environment);
    let output = engine(&environment).shell(&python("reaped.py")).exits_with(137);
    assert_eq!(output.stdout, "1\n1\n1\n1\n", "{output}");
    wait_for_lists(&environment, &before);
    environment.finish();
}

#[test]
fn privileged_a_client_that_ends_well_takes_its_reaper_along() {
    let environment = TestEnvironment::with_starter();
    environment.load(&images::reaper(), images::REAPER);
    let before = lists(&environment);
    let printed = engine(&environment)
        .shell(&python("containers_for_tests.py"))
        .succeeds();
    assert!(printed.starts_with("b'page\\n'\n"), "{printed}");
    wait_for_lists(&environment, &before);
    environment.finish();
}
