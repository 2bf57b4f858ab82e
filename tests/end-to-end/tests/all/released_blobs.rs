// SPDX-License-Identifier: MIT
//! Images whose compressed blobs are not here, as a registry has them: everything still works, also when that registry is gone.

use std::path::Path;

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::images::{Image, Layer, LayoutOptions, starter};
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess};

use crate::layer_forms::{convert, forms, options};

const SHOW: &str = "cat /app/* | md5sum";

fn version(number: usize) -> Image {
    let mut image = starter();
    let shared = Layer::new().file("app/shared", 0o644, "shared\n".repeat(50_000));
    image.layers.push(shared);
    image
        .layers
        .push(Layer::new().file("app/version", 0o644, number.to_string()));
    image
}

fn add(environment: &TestEnvironment, registry: &LocalRegistry, number: usize) -> String {
    let layout = environment.layout(&version(number), LayoutOptions::default());
    registry.add(&format!("version:{number}"), &layout)
}

fn shown(environment: &TestEnvironment, image: &str) -> String {
    environment.hb(["run", "--rm", image, "sh", "-c", SHOW]).succeeds()
}

fn blobs(environment: &TestEnvironment) -> usize {
    let blobs = std::fs::read_dir(environment.root().join("content/blobs/sha256"));
    blobs.unwrap().count()
}

fn is_whole(environment: &TestEnvironment) {
    let check = environment.hb(["system", "check"]).succeeds();
    assert!(check.contains("no damage"), "{check}");
}

/// Has blobs stay where layers are.
pub(crate) fn keeping() -> DaemonOptions {
    DaemonOptions {
        config: "[storage]\nkeep_blobs = true\n".to_owned(),
        ..DaemonOptions::default()
    }
}

/// An environment with a pulled version whose blobs are gone, and how it looked before.
fn released() -> (TestEnvironment, LocalRegistry, String, String) {
    let environment = TestEnvironment::start_with(&keeping());
    let registry = environment.registry(RegistryAccess::Anyone);
    let image = add(&environment, &registry, 1);
    environment.hb(["pull", &image]).succeeds();
    let before = shown(&environment, &image);
    let all = blobs(&environment);
    environment.hb(["image", "optimize", "--release-blobs"]).succeeds();
    assert_eq!(blobs(&environment), all - 3);
    (environment, registry, image, before)
}

#[test]
fn privileged_what_is_here_is_not_fetched_again() {
    let (environment, registry, image, before) = released();
    let left = blobs(&environment);
    let again = environment.hb(["pull", &image]).succeeds();
    assert!(again.contains("Image is up to date"), "{again}");
    let newer = add(&environment, &registry, 2);
    environment.hb(["pull", &newer]).succeeds();
    // The new layer, the configuration and the manifest.
    assert_eq!(blobs(&environment), left + 3);
    assert_ne!(shown(&environment, &newer), before);
    assert_eq!(shown(&environment, &image), before);
    is_whole(&environment);
    environment.hb(["rmi", &image]).succeeds();
    is_whole(&environment);
    environment.finish();
}

#[test]
fn privileged_images_made_of_it_are_whole() {
    let (environment, registry, image, before) = released();
    environment
        .hb(["run", "--name", "one", &image, "touch", "/new"])
        .succeeds();
    environment.hb(["commit", "one", "committed"]).succeeds();
    let context = environment.path("context");
    std::fs::create_dir(&context).unwrap();
    std::fs::write(context.join("Dockerfile"), format!("FROM {image}\nRUN touch /built\n")).unwrap();
    let build = || {
        environment
            .hb(["build", "-t", "built", context.to_str().unwrap()])
            .succeeds()
    };
    build();
    for made in ["committed", "built"] {
        assert_eq!(shown(&environment, made), before, "{made}");
    }
    is_whole(&environment);
    // Pushed and released, the layers of a build are still what the next one finds.
    let target = registry.image("built:1");
    environment.hb(["tag", "built", &target]).succeeds();
    environment.hb(["push", &target]).succeeds();
    environment.hb(["image", "optimize", "--release-blobs"]).succeeds();
    let layers = std::fs::read_dir(environment.root().join("overlay/layers"))
        .unwrap()
        .count();
    build();
    let after = std::fs::read_dir(environment.root().join("overlay/layers"))
        .unwrap()
        .count();
    assert_eq!(after, layers);
    is_whole(&environment);
    environment.hb(["rm", "one"]).succeeds();
    environment.hb(["rmi", "-f", &image, "committed"]).succeeds();
    is_whole(&environment);
    assert_eq!(shown(&environment, "built"), before);
    environment.finish();
}

#[test]
fn privileged_a_pull_leaves_blobs_with_the_registry() {
    let mut environment = TestEnvironment::start_with(&keeping());
    let registry = environment.registry(RegistryAccess::Anyone);
    let image = add(&environment, &registry, 1);
    let archive = |environment: &TestEnvironment| {
        let path = environment.path("saved.tar");
        environment
            .hb(["save", "-o", path.to_str().unwrap(), &image])
            .succeeds();
        std::fs::read(path).unwrap()
    };
    environment.hb(["pull", &image]).succeeds();
    assert_eq!(blobs(&environment), 5);
    let kept = archive(&environment);
    environment.hb(["rmi", &image]).succeeds();
    environment.stop_daemon();
    environment.start_daemon(&DaemonOptions::default());
    environment.hb(["pull", &image]).succeeds();
    // The manifest and the configuration.
    assert_eq!(blobs(&environment), 2);
    let before = shown(&environment, &image);
    let check = environment.hb(["system", "check"]).succeeds();
    assert!(
        check.contains("blobs that only registries have: 3") && check.contains("no damage"),
        "{check}"
    );
    // Whoever has them already is not sent them, and so they are not fetched.
    for target in [image.clone(), registry.image("copy:1")] {
        environment.hb(["tag", &image, &target]).succeeds();
        environment.hb(["push", &target]).succeeds();
        assert_eq!(blobs(&environment), 2, "{target}");
    }
    environment.hb(["rmi", &registry.image("copy:1")]).succeeds();
    // Saved byte for byte as with blobs that were kept.
    assert!(archive(&environment) == kept);
    assert_eq!(blobs(&environment), 5);
    is_whole(&environment);
    // Without the registry, what is here is enough.
    environment.hb(["image", "optimize", "--release-blobs"]).succeeds();
    assert_eq!(blobs(&environment), 2);
    drop(registry);
    assert_eq!(shown(&environment, &image), before);
    assert!(!archive(&environment).is_empty());
    loads(&environment.path("saved.tar"), &image, &before);
    environment.finish();
}

#[test]
fn privileged_blobs_of_directories_are_kept() {
    let environment = TestEnvironment::start_with(&options("overlay"));
    let registry = environment.registry(RegistryAccess::Anyone);
    let image = add(&environment, &registry, 1);
    environment.hb(["pull", &image]).succeeds();
    assert_eq!(blobs(&environment), 5);
    environment.finish();
}

fn loads(archive: &Path, image: &str, before: &str) {
    let other = TestEnvironment::start();
    other.hb(["load", "-i", archive.to_str().unwrap()]).succeeds();
    assert_eq!(shown(&other, image), before);
    is_whole(&other);
    other.finish();
}

#[test]
fn privileged_a_registry_that_is_gone_is_no_loss() {
    let (environment, registry, image, before) = released();
    let id = environment.hb(["image", "inspect", "-f", "{{.Id}}", &image]).succeeds();
    drop(registry);
    let archive = environment.path("saved.tar");
    environment
        .hb(["save", "-o", archive.to_str().unwrap(), &image])
        .succeeds();
    loads(&archive, &image, &before);
    // Nobody names what was made for the archive.
    is_whole(&environment);

    let other = environment.registry(RegistryAccess::Anyone);
    let target = other.image("moved:1");
    environment.hb(["tag", &image, &target]).succeeds();
    environment.hb(["push", &target]).succeeds();
    is_whole(&environment);
    let here = environment
        .hb(["image", "inspect", "-f", "{{.Id}}", &target])
        .succeeds();
    assert_eq!(here, id, "the image is the same");
    environment.hb(["rmi", "-f", &image, &target]).succeeds();
    environment.hb(["pull", &target]).succeeds();
    assert_eq!(shown(&environment, &target), before);
    let there = environment
        .hb(["image", "inspect", "-f", "{{.Id}}", &target])
        .succeeds();
    assert_eq!(there, id, "the image is the same");
    environment.finish();
}

#[test]
fn privileged_layers_change_their_form_without_blobs() {
    let (mut environment, registry, image, before) = released();
    drop(registry);
    environment.stop_daemon();
    convert(&environment, "overlay").succeeds();
    assert_eq!(forms(&environment), (3, 0));
    environment.start_daemon(&options("overlay"));
    assert_eq!(shown(&environment, &image), before);
    is_whole(&environment);
    environment.finish();
}
