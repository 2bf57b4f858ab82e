// SPDX-License-Identifier: MIT
//! A process that is killed while a layer is staged leaves garbage only, and the next open removes it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use hyperbox_core::seam::Snapshotter;

use hyperbox_snapshot::LayerForm;

use super::{open, require_root, stage, wait_until_empty};

const ROOT: &str = "HYPERBOX_TEST_SNAPSHOT_ROOT";
const STAGED: &str = "a layer is staged";

/// The part of the victim: not a test of its own, but what the test below starts.
#[tokio::test(flavor = "multi_thread")]
async fn privileged_victim_stages_and_waits() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let root = Path::new(&root);
    let snapshotter = open(&root.join("snapshots"), LayerForm::Erofs);
    let staged = stage(&snapshotter, &root.join("archive")).await;
    println!("\n{STAGED}");
    std::future::pending::<()>().await;
    drop(staged);
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_killed_between_stage_and_commit() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::create_dir_all(root.join("source/deep/er")).unwrap();
    std::fs::write(root.join("source/deep/er/file"), "x").unwrap();
    let tar = Command::new("tar")
        .arg("-C")
        .arg(root.join("source"))
        .arg("-cf")
        .arg(root.join("archive"))
        .arg(".")
        .status();
    assert!(tar.unwrap().success());

    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::privileged_victim_stages_and_waits", "--nocapture"])
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let staged = lines.any(|line| line.unwrap().contains(STAGED));
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(staged, "the victim ended before it had staged anything");

    let staging = root.join("snapshots/staging");
    assert_eq!(
        std::fs::read_dir(&staging).unwrap().count(),
        1,
        "the killed process cannot have cleaned up"
    );
    let snapshotter = open(&root.join("snapshots"), LayerForm::Erofs);
    assert!(snapshotter.layers().await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    wait_until_empty(&root.join("snapshots/trash"));

    let layer = super::add(&snapshotter, &root.join("archive")).await;
    drop(snapshotter);
    let snapshotter = open(&root.join("snapshots"), LayerForm::Erofs);
    assert!(
        snapshotter.has_layer(&layer),
        "a committed layer is there after a restart"
    );
}

both_forms!(privileged_damaged_layers_are_discarded_at_open,);

async fn privileged_damaged_layers_are_discarded_at_open(form: LayerForm) {
    let directory = tempfile::tempdir().unwrap();
    let layers = directory.path().join("layers");
    drop(open(directory.path(), form));
    std::fs::create_dir_all(layers.join("0123/diff")).unwrap();
    std::fs::create_dir_all(layers.join("4567/diff")).unwrap();
    std::fs::write(layers.join("4567/layer.json"), "{").unwrap();
    let snapshotter = open(directory.path(), form);
    assert!(snapshotter.layers().await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(&layers).unwrap().count(), 0);
    wait_until_empty(&directory.path().join("trash"));
}
