// SPDX-License-Identifier: MIT
//! Layers that try to write outside the root filesystem, or to break the daemon.

use hyperbox_core::seam::Compression;
use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::images::{ArchiveKind, Content, Image, Layer, LayoutOptions, starter};

/// Loads an image with one more layer and returns whether it was accepted.
fn load(environment: &TestEnvironment, layers: Vec<Layer>, name: &str) -> bool {
    let mut image: Image = starter();
    image.layers.extend(layers);
    let layout = environment.layout(&image, LayoutOptions::default());
    let archive = environment.path("hostile.tar");
    layout
        .write_archive(&archive, ArchiveKind::Docker, &[name], Compression::None)
        .unwrap();
    let output = environment.hb(["load", "-i", &archive.to_string_lossy()]);
    assert!(output.code == 0 || output.code == 1, "{output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
    output.code == 0
}

/// Requires that a file that the layer aims at does not exist on the host, and that the daemon lives.
fn does_no_harm(layers: impl Fn(&str) -> Vec<Layer>) {
    let environment = TestEnvironment::with_starter();
    let target = environment.path("target");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join("precious"), "precious").unwrap();
    let accepted = load(&environment, layers(&target.to_string_lossy()), "hostile:1");
    if accepted {
        // Neutralised: it must also do no harm when it runs.
        let _outcome = environment.hb(["run", "--rm", "hostile:1", "true"]);
    }
    let names: Vec<_> = std::fs::read_dir(&target)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["precious"]);
    assert_eq!(std::fs::read_to_string(target.join("precious")).unwrap(), "precious");
    assert_eq!(environment.run(&[], &["echo", "alive"]), "alive");
    environment.finish();
}

#[test]
fn privileged_parent_directories() {
    does_no_harm(|target| {
        let up = "../".repeat(30);
        vec![
            Layer::new().file(&format!("{up}{}", &target[1..]), 0o644, "x"),
            Layer::new().file(&format!("a/{up}{target}/evil"), 0o644, "x"),
        ]
    });
}

#[test]
fn privileged_absolute_names() {
    does_no_harm(|target| vec![Layer::new().file(&format!("{target}/evil"), 0o644, "x")]);
}

#[test]
fn privileged_links_out_of_the_root() {
    does_no_harm(|target| {
        vec![
            Layer::new()
                .symlink("out", target)
                .file("out/evil", 0o644, "x")
                .file("out/precious", 0o644, "x"),
        ]
    });
}

#[test]
fn privileged_links_out_of_the_root_across_layers() {
    does_no_harm(|target| {
        vec![
            Layer::new().symlink("out", target),
            Layer::new().file("out/evil", 0o644, "x").whiteout("out", "precious"),
        ]
    });
}

#[test]
fn privileged_hard_links_out_of_the_root() {
    does_no_harm(|target| {
        let victim = format!("{target}/precious");
        vec![
            Layer::new().hard_link("stolen", &victim).file("stolen", 0o644, "x"),
            Layer::new().hard_link("stolen2", &format!("../../../..{victim}")),
        ]
    });
}

#[test]
fn privileged_whiteouts_out_of_the_root() {
    does_no_harm(|target| {
        let up = "../".repeat(30);
        vec![
            Layer::new().whiteout(&format!("{up}{}", &target[1..]), "precious"),
            Layer::new().file(".wh...", 0o644, ""),
            Layer::new().file(".wh..", 0o644, ""),
        ]
    });
}

#[test]
fn privileged_entries_that_replace_their_own_parents() {
    does_no_harm(|target| {
        vec![
            Layer::new()
                .directory("d", 0o755)
                .file("d/f", 0o644, "x")
                .symlink("d", target)
                .file("d/evil", 0o644, "x")
                .file("d", 0o644, "x")
                .file("d/evil", 0o644, "y"),
        ]
    });
}

#[test]
fn privileged_a_bomb_is_refused_or_survived() {
    let environment = TestEnvironment::with_starter();
    // Generated content compresses by half only; zeros a thousandfold: 300 MB of them in 300 kB.
    let zeros = Layer::new().file("zeros", 0o644, vec![0; 300_000_000]);
    let accepted = load(&environment, vec![zeros], "bomb:1");
    if accepted {
        environment.hb(["rmi", "bomb:1"]).succeeds();
    }
    assert_eq!(environment.run(&[], &["echo", "alive"]), "alive");
    environment.finish();
}

#[test]
fn privileged_damaged_archives_are_refused() {
    let environment = TestEnvironment::with_starter();
    let registry = environment.registry(hyperbox_testkit::registry::RegistryAccess::Anyone);
    let layer = Layer::new().content(
        "data",
        0o644,
        Content::Generated {
            seed: 1,
            length: 500_000,
        },
    );
    let mut image = starter();
    image.layers.push(layer);
    let layout = environment.layout(&image, LayoutOptions::default());
    let name = registry.add("damaged:1", &layout);
    let blob = registry.blob_file(&layout.layers[1].digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&blob, bytes).unwrap();
    let _refused = environment.hb(["pull", &name]).exits_with(1).complains("damaged");
    assert_eq!(environment.hb(["images", "-q"]).succeeds().lines().count(), 1);
    environment.finish();
}
