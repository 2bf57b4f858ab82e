// SPDX-License-Identifier: MIT
//! Layers as directories and as indexes: each store goes on under either configuration, and converts.

use std::process::Command;

use hyperbox_testkit::environment::{DaemonOptions, Output, STARTER, TestEnvironment, binary};

pub(crate) fn options(snapshotter: &str) -> DaemonOptions {
    DaemonOptions {
        config: format!("[storage]\nsnapshotter = \"{snapshotter}\"\n"),
        ..DaemonOptions::default()
    }
}

/// Runs the conversion to the form of a configuration, as an administrator does while the daemon is stopped.
pub(crate) fn convert(environment: &TestEnvironment, snapshotter: &str) -> Output {
    Output::of(&mut converter(environment, snapshotter))
}

/// The command of [`convert`].
pub(crate) fn converter(environment: &TestEnvironment, snapshotter: &str) -> Command {
    let config = environment.path("convert.toml");
    std::fs::write(&config, options(snapshotter).config).unwrap();
    let mut command = environment.command(&binary("hyperboxd"));
    command
        .arg("--config")
        .arg(&config)
        .arg("--root")
        .arg(environment.root());
    command
        .arg("--run-dir")
        .arg(environment.path("run"))
        .arg("--convert-layers");
    command
}

/// Tells how many layers are directories and how many are indexes.
pub(crate) fn forms(environment: &TestEnvironment) -> (usize, usize) {
    let layers = std::fs::read_dir(environment.root().join("overlay/layers")).unwrap();
    let paths: Vec<_> = layers.map(|layer| layer.unwrap().path()).collect();
    let having = |name: &str| paths.iter().filter(|path| path.join(name).exists()).count();
    (having("diff"), having("index.erofs"))
}

#[test]
fn privileged_a_store_changes_its_form() {
    let mut environment = TestEnvironment::start_with(&options("overlay"));
    environment.load_starter();
    let write = ["run", "--name", "kept", STARTER, "sh", "-c", "echo mine >/file"];
    environment.hb(write).succeeds();
    assert_eq!(forms(&environment), (1, 0));
    let info = environment.hb(["system", "info"]).succeeds();
    assert!(
        info.contains("Layers: directories") && info.contains("by configuration"),
        "{info}"
    );

    // What is there goes on as it is, and new layers lie upon it.
    environment.stop_daemon();
    environment.start_daemon(&DaemonOptions::default());
    let info = environment.hb(["system", "info"]).succeeds();
    assert!(
        info.contains("Layers: EROFS") && info.contains("Layers in Another Form: 1"),
        "{info}"
    );
    environment.hb(["commit", "kept", "made:1"]).succeeds();
    assert_eq!(forms(&environment), (1, 1));
    let show = ["run", "--rm", "made:1", "cat", "/file"];
    assert_eq!(environment.hb(show).succeeds(), "mine");

    // A running container is in the way.
    environment
        .hb(["run", "-d", "--name", "runs", "made:1", "sleep", "600"])
        .succeeds();
    environment.stop_daemon();
    let refused = convert(&environment, "erofs");
    assert!(
        refused.code != 0 && refused.stderr.contains("containers run"),
        "{refused}"
    );
    environment.start_daemon(&DaemonOptions::default());
    assert_eq!(environment.hb(["exec", "runs", "cat", "/file"]).succeeds(), "mine");
    environment.hb(["rm", "-f", "runs"]).succeeds();

    for (snapshotter, expected) in [("erofs", (0, 2)), ("overlay", (2, 0)), ("auto", (0, 2))] {
        environment.stop_daemon();
        convert(&environment, snapshotter).succeeds();
        assert_eq!(forms(&environment), expected, "{snapshotter}");
        environment.start_daemon(&options(snapshotter));
        assert_eq!(environment.hb(show).succeeds(), "mine", "{snapshotter}");
        let restarted = environment.hb(["start", "-a", "kept"]);
        assert_eq!(restarted.code, 0, "{snapshotter}: {restarted}");
    }
    environment.hb(["rm", "kept"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_containers_read_on_without_the_daemon() {
    let mut environment = TestEnvironment::with_starter();
    let script = "while ! test -e /go; do sleep 0.05; done; sha256sum /bin/busybox; sleep 600";
    environment
        .hb(["run", "-d", "--name", "runs", STARTER, "sh", "-c", script])
        .succeeds();
    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    // The mounts of the first daemon are gone, what the container has of them is not.
    environment.hb(["exec", "runs", "touch", "/go"]).succeeds();
    let expected = environment
        .hb(["run", "--rm", STARTER, "sha256sum", "/bin/busybox"])
        .succeeds();
    hyperbox_testkit::wait_for("the sum", || match environment.hb(["logs", "runs"]).succeeds() {
        logs if logs == expected => Ok(()),
        logs => Err(format!("{logs:?} instead of {expected:?}")),
    });
    environment.hb(["rm", "-f", "runs"]).succeeds();
    environment.finish();
}
