// SPDX-License-Identifier: MIT
//! The daemon dies at every commit step of pull, create, start and remove: after a restart nothing half-made is visible, nothing
//! is leaked, and the same command succeeds.

use hyperbox_core::failpoint;
use hyperbox_testkit::environment::{DaemonOptions, STARTER, TestEnvironment};
use hyperbox_testkit::images::starter;
use hyperbox_testkit::registry::RegistryAccess;
use hyperbox_testkit::wait_for;

/// Lives through pull, create, start, end and remove, up to the first step that loses its daemon.
fn live(environment: &TestEnvironment, image: &str) {
    let script = "echo done; exit 3";
    let steps: [(&[&str], i32); 5] = [
        (&["pull", image], 0),
        (
            &[
                "create",
                "--name",
                "subject",
                "-v",
                "subject:/data",
                image,
                "sh",
                "-c",
                script,
            ],
            0,
        ),
        (&["start", "-a", "subject"], 3),
        (&["wait", "subject"], 0),
        (&["rm", "-v", "subject"], 0),
    ];
    for (step, code) in steps {
        if environment.hb(step).code != code {
            return;
        }
    }
}

/// What must hold after the restart, wherever the daemon has died.
fn tells_the_truth(environment: &TestEnvironment, image: &str, point: &str) {
    let images = environment.hb(["images", "-q"]).succeeds();
    if !images.is_empty() {
        // A visible image is a whole one.
        let output = environment.hb(["run", "--rm", image, "echo", "whole"]);
        assert_eq!(output.succeeds(), "whole", "after {point}");
    }
    for id in environment.container_ids() {
        wait_for("a settled state", || {
            let status = environment.status(&id);
            if matches!(status.as_str(), "created" | "exited") {
                Ok(())
            } else {
                Err(format!("{status} after {point}"))
            }
        });
        environment.hb(["rm", "-f", "-v", &id]).succeeds();
    }
}

/// The steps of making an image of a container.
const COMMITS: &[&str] = &["commit.before-record", "commit.after-record"];

/// An image that is being made of a container: it is there whole or not at all, and the commit succeeds afterwards.
fn commit_dies_at(point: &str) {
    let mut environment = TestEnvironment::start_with(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    environment.load_starter();
    let write = ["run", "--name", "subject", STARTER, "sh", "-c", "echo content >/made"];
    environment.hb(write).succeeds();
    let commit = ["commit", "subject", "made:1"];
    let _cut_off = environment.hb(commit);
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    let show = ["run", "--rm", "made:1", "cat", "/made"];
    if !environment.hb(["images", "-q", "made"]).succeeds().is_empty() {
        assert_eq!(environment.hb(show).succeeds(), "content", "after {point}");
    }
    environment.hb(commit).succeeds();
    assert_eq!(environment.hb(show).succeeds(), "content", "after {point}");
    environment.hb(["rm", "-v", "subject"]).succeeds();
    environment.hb(["rmi", "made:1"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_commit_before_record() {
    commit_dies_at("commit.before-record");
}

#[test]
fn privileged_commit_after_record() {
    commit_dies_at("commit.after-record");
}

/// Later passages: the first one of a pull is its configuration, then come layers and, beside them, the manifest; a commit follows a
/// loaded image.
#[test]
fn privileged_pull_with_a_blob_whose_layer_is_missing() {
    dies_at("content.before-rename:2");
    dies_at("content.after-rename:2");
}

#[test]
fn privileged_pull_with_layers_but_without_a_manifest() {
    dies_at("content.before-rename:2");
    dies_at("content.after-rename:2");
}

#[test]
fn privileged_commit_around_its_layer() {
    commit_dies_at("layer.before-rename:2");
    commit_dies_at("layer.after-rename:2");
}

#[test]
fn privileged_commit_around_its_blobs() {
    commit_dies_at("content.before-rename:4");
    commit_dies_at("content.after-rename:5");
    commit_dies_at("content.after-rename:6");
}

fn dies_at(point: &str) {
    let mut environment = TestEnvironment::start_with(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    let registry = environment.registry(RegistryAccess::Anyone);
    let image = registry.add("subject:1", &environment.layout(&starter(), Default::default()));
    live(&environment, &image);
    // Fails here when the daemon never passes the point.
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    tells_the_truth(&environment, &image, point);
    // The same commands succeed now.
    environment.hb(["pull", &image]).succeeds();
    let output = environment.hb([
        "run",
        "--rm",
        "--name",
        "subject",
        "-v",
        "subject:/data",
        &image,
        "echo",
        "again",
    ]);
    assert_eq!(output.succeeds(), "again", "after {point}");
    environment.hb(["volume", "rm", "-f", "subject"]).succeeds();
    environment.hb(["rmi", "-f", &image]).succeeds();
    assert_eq!(environment.hb(["images", "-q"]).succeeds(), "");
    environment.finish();
}

/// The same for `hb run --rm`, which creates and starts in one request: nobody has ever heard of a container that did not run.
fn run_dies_at(point: &str) {
    let mut environment = TestEnvironment::start_with(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    environment.load_starter();
    let run = [
        "run", "--rm", "--name", "subject", "-v", "/data", STARTER, "echo", "ran",
    ];
    let _cut_off = environment.hb(run);
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    wait_for("the container to be gone", || {
        let left = environment
            .hb(["ps", "-a", "--format", "{{.Names}} {{.State}}"])
            .succeeds();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    assert_eq!(environment.hb(["volume", "ls", "-q"]).succeeds(), "", "after {point}");
    assert_eq!(environment.hb(run).succeeds(), "ran", "after {point}");
    environment.finish();
}

#[test]
fn privileged_run_between_create_and_start() {
    run_dies_at("create.after-record");
}

#[test]
fn privileged_run_before_its_launch() {
    run_dies_at("start.before-launch");
}

#[test]
fn privileged_run_before_its_start_is_recorded() {
    run_dies_at("start.after-launch");
}

/// Each point has a test of its own, so that they run in parallel and a failure names it.
macro_rules! failpoints {
    ($($name:ident: $point:literal,)*) => {
        $(
            #[test]
            fn $name() {
                dies_at($point);
            }
        )*

        #[test]
        fn all_failpoints_have_a_test() {
            let tested = [&[$($point),*], crate::network_failpoints::TESTED, crate::cni_failpoints::TESTED, crate::build_failpoints::TESTED, crate::collect::TESTED, crate::delta::TESTED, crate::optimize::TESTED, COMMITS].concat();
            for point in failpoint::ALL {
                assert!(tested.contains(point), "{point} has no test");
            }
            assert_eq!(tested.len(), failpoint::ALL.len());
        }
    };
}

failpoints! {
    privileged_content_before_rename: "content.before-rename",
    privileged_content_after_rename: "content.after-rename",
    privileged_layer_after_tar: "layer.after-tar",
    privileged_layer_after_index: "layer.after-index",
    privileged_layer_before_rename: "layer.before-rename",
    privileged_layer_after_rename: "layer.after-rename",
    privileged_pull_before_record: "pull.before-record",
    privileged_pull_after_record: "pull.after-record",
    privileged_create_after_snapshot: "create.after-snapshot",
    privileged_create_after_volumes: "create.after-volumes",
    privileged_create_after_record: "create.after-record",
    privileged_start_after_network: "start.after-network",
    privileged_start_before_launch: "start.before-launch",
    privileged_start_after_launch: "start.after-launch",
    privileged_start_after_record: "start.after-record",
    privileged_exit_before_record: "exit.before-record",
    privileged_exit_after_record: "exit.after-record",
    privileged_remove_after_mark: "remove.after-mark",
    privileged_remove_after_task: "remove.after-task",
    privileged_remove_after_snapshot: "remove.after-snapshot",
    privileged_remove_after_record: "remove.after-record",
}
