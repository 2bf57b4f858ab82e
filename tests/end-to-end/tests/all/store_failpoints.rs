// SPDX-License-Identifier: MIT
//! The daemon dies while it mends its store, and so does the conversion of layers: an image that could be used can be used afterwards, what
//! was damaged is damaged or whole, and the same command succeeds. Packing of layers: `optimize.rs`.

use std::path::PathBuf;

use hyperbox_testkit::environment::{DaemonOptions, Output, TestEnvironment};
use hyperbox_testkit::images::{Image, Layer, LayoutOptions, starter};
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess};
use hyperbox_testkit::wait_for;

use crate::check::{blob, flip, largest_below};
use crate::layer_forms::{convert, converter, forms, options};
use crate::released_blobs::keeping;

const SHOW: [&str; 2] = ["cat", "/greeting"];

fn subject() -> Image {
    let mut image = starter();
    image.layers.push(Layer::new().file("greeting", 0o644, "hello"));
    image
}

fn shown(environment: &TestEnvironment, image: &str) -> Output {
    environment.hb([&["run", "--rm", image][..], &SHOW[..]].concat())
}

/// Nothing is left of what did not come to its end.
fn nothing_is_staged(environment: &TestEnvironment, point: &str) {
    for place in ["overlay/staging", "overlay/trash", "content/ingest", "content/trash"] {
        let place = environment.root().join(place);
        wait_for("remains to go", || match std::fs::read_dir(&place).unwrap().count() {
            0 => Ok(()),
            count => Err(format!("{count} entries are in {} after {point}", place.display())),
        });
    }
}

/// The conversion dies; both layers are usable under either configuration, and converting again succeeds.
fn conversion_dies_at(point: &str, from: &str, to: &str) {
    let mut environment = TestEnvironment::start_with(&options(from));
    environment.load(&subject(), "local:1");
    assert!(environment.stop_daemon().success());
    let died = Output::of(converter(&environment, to).env("HYPERBOX_FAILPOINT", point));
    assert!(died.code >= 128, "{point}: {died}");
    for snapshotter in [from, to] {
        environment.start_daemon(&options(snapshotter));
        assert_eq!(shown(&environment, "local:1").succeeds(), "hello", "after {point}");
        let check = environment.hb(["system", "check"]).succeeds();
        assert!(check.contains("no damage"), "after {point}: {check}");
        nothing_is_staged(&environment, point);
        assert!(environment.stop_daemon().success());
    }
    convert(&environment, to).succeeds();
    let expected = if to == "overlay" { (2, 0) } else { (0, 2) };
    assert_eq!(forms(&environment), expected, "after {point}");
    environment.start_daemon(&options(to));
    assert_eq!(shown(&environment, "local:1").succeeds(), "hello", "after {point}");
    environment.hb(["rmi", "local:1"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_conversion_to_indexes_around_its_files() {
    conversion_dies_at("layer.after-tar", "overlay", "erofs");
    conversion_dies_at("layer.after-index:2", "overlay", "erofs");
}

#[test]
fn privileged_conversion_to_indexes_around_its_exchange() {
    conversion_dies_at("layer.before-rename", "overlay", "erofs");
    conversion_dies_at("layer.after-rename", "overlay", "erofs");
}

#[test]
fn privileged_conversion_to_indexes_at_its_last_layer() {
    conversion_dies_at("layer.before-rename:2", "overlay", "erofs");
    conversion_dies_at("layer.after-rename:2", "overlay", "erofs");
}

#[test]
fn privileged_conversion_to_directories_around_its_exchange() {
    conversion_dies_at("layer.before-rename", "erofs", "overlay");
    conversion_dies_at("layer.after-rename:2", "erofs", "overlay");
}

/// An image that was pulled, with its blobs, and the archive of its upper layer.
struct Pulled {
    environment: TestEnvironment,
    registry: LocalRegistry,
    image: String,
    blob: PathBuf,
    archive: PathBuf,
}

fn pulled() -> Pulled {
    let environment = TestEnvironment::start_with(&keeping());
    let registry = environment.registry(RegistryAccess::Anyone);
    let layout = environment.layout(&subject(), LayoutOptions::default());
    let image = registry.add("subject:1", &layout);
    environment.hb(["pull", &image]).succeeds();
    let blob = blob(&environment, &layout.layers[1].digest.to_string());
    let words = ["image", "inspect", "-f", "{{index .RootFS.Layers 1}}", &image];
    let diff_id = environment.hb(words).succeeds();
    let archive = largest_below(&environment, diff_id.strip_prefix("sha256:").unwrap());
    Pulled {
        environment,
        registry,
        image,
        blob,
        archive,
    }
}

/// The daemon dies while it mends.
fn mending_dies_at(environment: &mut TestEnvironment, point: &str) {
    assert!(environment.stop_daemon().success());
    environment.start_daemon(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        config: keeping().config,
        ..DaemonOptions::default()
    });
    let _cut_off = environment.hb(["system", "check", "--repair"]);
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&keeping());
}

/// What was damaged is still there, damaged or whole, and can be mended.
fn is_mended(pulled: Pulled, point: &str, problem: &str) {
    let Pulled { environment, image, .. } = &pulled;
    let check = environment.hb(["system", "check"]);
    assert!(
        !check.stdout.contains("missing") && (check.code == 0 || check.stdout.contains(problem)),
        "after {point}: {check}"
    );
    environment.hb(["system", "check", "--repair"]).succeeds();
    let check = environment.hb(["system", "check"]).succeeds();
    assert!(check.contains("no damage"), "after {point}: {check}");
    assert_eq!(shown(environment, image).succeeds(), "hello", "after {point}");
    nothing_is_staged(environment, point);
    drop(pulled.registry);
    pulled.environment.finish();
}

fn mending_of_a_layer_dies_at(point: &str) {
    let mut pulled = pulled();
    flip(&pulled.archive);
    mending_dies_at(&mut pulled.environment, point);
    is_mended(pulled, point, "damaged");
}

fn mending_of_a_blob_dies_at(point: &str) {
    let mut pulled = pulled();
    flip(&pulled.blob);
    mending_dies_at(&mut pulled.environment, point);
    assert_eq!(
        shown(&pulled.environment, &pulled.image).succeeds(),
        "hello",
        "after {point}"
    );
    is_mended(pulled, point, "damaged");
}

#[test]
fn privileged_mending_of_a_layer_around_its_files() {
    mending_of_a_layer_dies_at("layer.after-tar");
    mending_of_a_layer_dies_at("layer.after-index");
}

#[test]
fn privileged_mending_of_a_layer_around_its_exchange() {
    mending_of_a_layer_dies_at("layer.before-rename");
    mending_of_a_layer_dies_at("layer.after-rename");
}

#[test]
fn privileged_mending_of_a_blob_around_its_exchange() {
    mending_of_a_blob_dies_at("content.before-rename");
    mending_of_a_blob_dies_at("content.after-rename");
}

/// An image that nobody has any more goes, and takes nothing of others with it.
fn giving_up_dies_at(point: &str) {
    let mut environment = TestEnvironment::start();
    environment.load(&subject(), "lost:1");
    let mut other = starter();
    other.layers.push(Layer::new().file("greeting", 0o644, "kept"));
    environment.load(&other, "kept:1");
    let words = ["image", "inspect", "-f", "{{index .RootFS.Layers 1}}", "lost:1"];
    let diff_id = environment.hb(words).succeeds();
    flip(&largest_below(&environment, diff_id.strip_prefix("sha256:").unwrap()));
    let saved = environment
        .hb(["image", "inspect", "-f", "{{.Id}}", "lost:1"])
        .succeeds();
    std::fs::remove_file(layer_blob(&environment, &saved)).unwrap();
    mending_dies_at(&mut environment, point);
    assert_eq!(shown(&environment, "kept:1").succeeds(), "kept", "after {point}");
    let _settled = environment.hb(["system", "check", "--repair"]);
    let names = environment.hb(["images", "--format", "{{.Repository}}"]).succeeds();
    assert_eq!(names, "kept", "after {point}");
    let check = environment.hb(["system", "check"]).succeeds();
    assert!(check.contains("no damage"), "after {point}: {check}");
    nothing_is_staged(&environment, point);
    environment.finish();
}

/// Finds the blob of an image's upper layer by the image's manifest.
fn layer_blob(environment: &TestEnvironment, image: &str) -> PathBuf {
    let blobs = environment.root().join("content/blobs/sha256");
    let texts = std::fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path());
    let manifests =
        texts.filter_map(|path| serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).ok()?).ok());
    let manifest = manifests.into_iter().find(|text| text["config"]["digest"] == image);
    let layers = manifest.expect("the image's manifest")["layers"].clone();
    blob(environment, layers[1]["digest"].as_str().unwrap())
}

#[test]
fn privileged_giving_up_an_image() {
    giving_up_dies_at("collect.before-removal");
    giving_up_dies_at("collect.after-blob");
    giving_up_dies_at("collect.after-layer");
}
