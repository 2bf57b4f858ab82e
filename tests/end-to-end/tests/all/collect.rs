// SPDX-License-Identifier: MIT
//! The daemon dies while it collects garbage: what is referred to stays whole, and the next start takes away the rest.

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::images::{Image, Layer, starter};
use hyperbox_testkit::registry::RegistryAccess;
use hyperbox_testkit::wait_for;

/// The steps of a collection.
pub(crate) const TESTED: &[&str] = &["collect.before-removal", "collect.after-blob", "collect.after-layer"];

/// Counts what is stored: blobs and layers, whichever snapshotter keeps them.
fn stored(environment: &TestEnvironment) -> usize {
    let blobs = std::fs::read_dir(environment.root().join("content/blobs/sha256"))
        .unwrap()
        .count();
    let layers =
        |kind: &str| std::fs::read_dir(environment.root().join(kind).join("layers")).map_or(0, Iterator::count);
    blobs + layers("overlay") + layers("erofs")
}

fn with_layer(path: &'static str) -> Image {
    let mut image = starter();
    image.layers.push(Layer::new().file(path, 0o644, path));
    image
}

fn dies_at(point: &str) {
    let mut environment = TestEnvironment::start_with(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    let registry = environment.registry(RegistryAccess::Anyone);
    let kept = registry.add("kept:1", &environment.layout(&with_layer("kept"), Default::default()));
    let going = registry.add("going:1", &environment.layout(&with_layer("going"), Default::default()));
    environment.hb(["pull", &kept]).succeeds();
    let alone = stored(&environment);
    environment.hb(["pull", &going]).succeeds();
    assert!(stored(&environment) > alone);
    let _cut_off = environment.hb(["rmi", &going]);
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    wait_for("what is left of the image to go", || match stored(&environment) {
        count if count == alone => Ok(()),
        count => Err(format!("{count} blobs and layers instead of {alone}, after {point}")),
    });
    assert_eq!(
        environment.hb(["images", "-q"]).succeeds().lines().count(),
        1,
        "after {point}"
    );
    assert_eq!(
        environment.hb(["run", "--rm", &kept, "cat", "/kept"]).succeeds(),
        "kept"
    );
    assert_eq!(
        environment.hb(["run", "--rm", &going, "cat", "/going"]).succeeds(),
        "going"
    );
    environment.finish();
}

#[test]
fn privileged_collect_before_removal() {
    dies_at(TESTED[0]);
}

#[test]
fn privileged_collect_after_blob() {
    dies_at(TESTED[1]);
}

#[test]
fn privileged_collect_after_layer() {
    dies_at(TESTED[2]);
}

#[test]
fn privileged_layers_of_a_container_without_image_go_with_it() {
    let environment = TestEnvironment::start();
    let empty = stored(&environment);
    environment.load(&with_layer("mine"), "mine:1");
    environment
        .hb(["create", "--name", "last", "mine:1", "true"])
        .succeeds();
    environment.hb(["rmi", "-f", "mine:1"]).succeeds();
    environment.hb(["start", "-a", "last"]).succeeds();
    assert!(stored(&environment) > empty);
    environment.hb(["rm", "last"]).succeeds();
    wait_for("the layers to go", || match stored(&environment) {
        count if count == empty => Ok(()),
        count => Err(count.to_string()),
    });
    environment.finish();
}
