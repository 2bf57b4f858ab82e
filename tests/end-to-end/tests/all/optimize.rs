// SPDX-License-Identifier: MIT
//! Files of layers stored once: containers notice nothing, push and save stay exact, and a daemon that dies at any step loses nothing.

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::images::{Image, Layer, LayoutOptions, starter};
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess};
use hyperbox_testkit::wait_for;

use crate::released_blobs::keeping;

/// The steps of optimizing.
pub(crate) const TESTED: &[&str] = &[
    "optimize.after-objects",
    "optimize.before-exchange",
    "optimize.after-exchange",
    "optimize.before-reclaim",
    "optimize.after-reclaim",
    "optimize.before-release",
    "optimize.after-release",
];

/// What a container shows of its image.
const SHOW: &str = "find /app | sort && cat /app/* | md5sum";

/// A version of an application: most of its files are those of other versions.
fn version(number: usize) -> Image {
    let mut image = starter();
    let mut layer = Layer::new().file("app/version", 0o644, number.to_string());
    for (file, path) in ["app/a", "app/b", "app/c", "app/d"].into_iter().enumerate() {
        layer = layer.file(path, 0o644, format!("{file}-line\n").repeat(10_000 + file));
    }
    image.layers.push(layer);
    image
}

fn add(environment: &TestEnvironment, registry: &LocalRegistry, number: usize) -> String {
    let layout = environment.layout(&version(number), LayoutOptions::default());
    registry.add(&format!("version:{number}"), &layout)
}

fn shown(environment: &TestEnvironment, image: &str) -> String {
    environment.hb(["run", "--rm", image, "sh", "-c", SHOW]).succeeds()
}

fn packed(environment: &TestEnvironment) -> usize {
    let layers = std::fs::read_dir(environment.root().join("overlay/layers")).unwrap();
    let lists = layers.map(|layer| layer.unwrap().path().join("objects.list"));
    lists.filter(|list| list.exists()).count()
}

fn blobs(environment: &TestEnvironment) -> usize {
    std::fs::read_dir(environment.root().join("content/blobs/sha256"))
        .unwrap()
        .count()
}

fn wait_until_nothing_is_kept(environment: &TestEnvironment) {
    for place in ["objects", "graves", "staging"] {
        let place = environment.root().join("overlay").join(place);
        wait_for("what nobody needs to go", || {
            match std::fs::read_dir(&place).unwrap().count() {
                0 => Ok(()),
                count => Err(format!("{count} entries are in {}", place.display())),
            }
        });
    }
}

#[test]
fn privileged_containers_see_the_same_all_the_way() {
    let environment = TestEnvironment::start();
    let registry = environment.registry(RegistryAccess::Anyone);
    let images: Vec<String> = (0..3).map(|number| add(&environment, &registry, number)).collect();
    for image in &images {
        environment.hb(["pull", image]).succeeds();
    }
    let before: Vec<String> = images.iter().map(|image| shown(&environment, image)).collect();
    let run = ["run", "-d", "--name", "runs", images[0].as_str(), "sleep", "600"];
    environment.hb(run).succeeds();
    let running = |environment: &TestEnvironment| environment.hb(["exec", "runs", "sh", "-c", SHOW]).succeeds();

    let told = environment.hb(["image", "optimize"]).succeeds();
    assert!(told.contains("layers that share files: 3"), "{told}");
    assert_eq!(packed(&environment), 3);
    let after: Vec<String> = images.iter().map(|image| shown(&environment, image)).collect();
    assert_eq!((after, running(&environment)), (before.clone(), before[0].clone()));
    environment.hb(["restart", "-t", "0", "runs"]).succeeds();
    assert_eq!(running(&environment), before[0]);
    environment.hb(["system", "check"]).succeeds();

    // A registry has them, so they can go; save fetches them again, byte for byte.
    let saved = environment.path("saved.tar");
    let save = ["save", "-o", saved.to_str().unwrap(), images[1].as_str()];
    environment.hb(save).succeeds();
    let exact = std::fs::read(&saved).unwrap();
    let all = blobs(&environment);
    environment.hb(["image", "optimize", "--release-blobs"]).succeeds();
    assert!(blobs(&environment) < all);
    let checked = environment.hb(["system", "check"]).succeeds();
    assert!(checked.contains("blobs that only registries have: 4"), "{checked}");
    environment.hb(save).succeeds();
    assert!(std::fs::read(&saved).unwrap() == exact);

    environment.hb(["image", "optimize", "--undo"]).succeeds();
    assert_eq!(packed(&environment), 0);
    let undone: Vec<String> = images.iter().map(|image| shown(&environment, image)).collect();
    assert_eq!((undone, running(&environment)), (before.clone(), before[0].clone()));
    environment.hb(["rm", "-f", "runs"]).succeeds();
    wait_until_nothing_is_kept(&environment);
    environment.hb(["system", "check"]).succeeds();
    environment.finish();
}

/// Two versions that were pulled, blobs included, so that some can go; with what their containers show.
fn pulled() -> (TestEnvironment, LocalRegistry, [String; 2], [String; 2]) {
    let environment = TestEnvironment::start_with(&keeping());
    let registry = environment.registry(RegistryAccess::Anyone);
    let images = [0, 1].map(|number| add(&environment, &registry, number));
    for image in &images {
        environment.hb(["pull", image]).succeeds();
    }
    let before = images.clone().map(|image| shown(&environment, &image));
    (environment, registry, images, before)
}

/// The daemon dies at that point while it does what those words ask for; a next one is started.
fn die_at(environment: &mut TestEnvironment, point: &str, words: &[&str]) {
    environment.stop_daemon();
    environment.start_daemon(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    let _cut_off = environment.hb(words);
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
}

fn dies_at(point: &str) {
    let (mut environment, _registry, images, before) = pulled();
    die_at(&mut environment, point, &["image", "optimize", "--release-blobs"]);
    let all_shown = |environment: &TestEnvironment| images.clone().map(|image| shown(environment, &image));
    assert_eq!(all_shown(&environment), before, "after {point}");
    environment.hb(["system", "check"]).succeeds();
    environment.hb(["image", "optimize", "--release-blobs"]).succeeds();
    assert_eq!(packed(&environment), 2, "after {point}");
    environment.hb(["image", "optimize", "--undo"]).succeeds();
    assert_eq!(all_shown(&environment), before, "after {point}");
    wait_until_nothing_is_kept(&environment);
    environment.finish();
}

/// The same while layers get their archives back.
fn undo_dies_at(point: &str) {
    let (mut environment, _registry, images, before) = pulled();
    environment.hb(["image", "optimize", "--release-blobs"]).succeeds();
    assert_eq!(packed(&environment), 2);
    die_at(&mut environment, point, &["image", "optimize", "--undo"]);
    let all_shown = |environment: &TestEnvironment| images.clone().map(|image| shown(environment, &image));
    assert_eq!(all_shown(&environment), before, "after {point}");
    environment.hb(["system", "check"]).succeeds();
    environment.hb(["image", "optimize", "--undo"]).succeeds();
    assert_eq!(packed(&environment), 0, "after {point}");
    assert_eq!(all_shown(&environment), before, "after {point}");
    wait_until_nothing_is_kept(&environment);
    environment.finish();
}

/// The same while an image goes, whose objects another one has too.
fn removal_dies_at(point: &str) {
    let (mut environment, _registry, [going, kept], [_, before]) = pulled();
    environment.hb(["image", "optimize", "--release-blobs"]).succeeds();
    die_at(&mut environment, point, &["rmi", &going]);
    assert_eq!(environment.hb(["images", "-q"]).succeeds().lines().count(), 1);
    assert_eq!(shown(&environment, &kept), before, "after {point}");
    environment.hb(["system", "check"]).succeeds();
    environment.hb(["rmi", &kept]).succeeds();
    wait_until_nothing_is_kept(&environment);
    environment.finish();
}

#[test]
fn privileged_after_objects() {
    dies_at("optimize.after-objects");
}

#[test]
fn privileged_before_exchange() {
    dies_at("optimize.before-exchange");
}

#[test]
fn privileged_after_exchange() {
    dies_at("optimize.after-exchange");
}

#[test]
fn privileged_before_reclaim() {
    dies_at("optimize.before-reclaim");
}

#[test]
fn privileged_after_reclaim() {
    dies_at("optimize.after-reclaim");
}

#[test]
fn privileged_before_release() {
    dies_at("optimize.before-release");
}

#[test]
fn privileged_after_one_of_several_is_released() {
    dies_at("optimize.after-release");
}

#[test]
fn privileged_between_two_layers() {
    dies_at("optimize.after-objects:2");
    dies_at("optimize.after-exchange:2");
}

#[test]
fn privileged_undo_around_its_tar() {
    undo_dies_at("layer.after-tar");
    undo_dies_at("layer.after-index");
}

#[test]
fn privileged_undo_around_its_exchange() {
    undo_dies_at("optimize.before-exchange");
    undo_dies_at("optimize.after-exchange");
}

#[test]
fn privileged_undo_between_two_layers() {
    undo_dies_at("layer.after-tar:2");
    undo_dies_at("optimize.after-exchange:2");
}

#[test]
fn privileged_undo_while_objects_go() {
    undo_dies_at("optimize.before-reclaim");
    undo_dies_at("optimize.after-reclaim");
}

#[test]
fn privileged_removal_while_objects_go() {
    removal_dies_at("optimize.before-reclaim");
    removal_dies_at("optimize.after-reclaim");
}
