// SPDX-License-Identifier: MIT
//! `load`, `commit`, `image optimize` and the conversion of layers on a small filesystem that is full, or whose device fails: the error is
//! clear, what was there before is there afterwards, and the space comes back. Pulls: `disk_errors.rs`.

use hyperbox_core::seam::Compression;
use hyperbox_testkit::environment::{Output, STARTER};
use hyperbox_testkit::images::{ArchiveKind, Content, Image, Layer, LayoutOptions, starter};
use hyperbox_testkit::wait_for;

use crate::disk_errors::{MEGABYTE, Small, small, subject, until_there_is_room};
use crate::layer_forms::{converter, forms, options};

const COUNT: &str = "ls /srv | wc -l";

/// Writes the image as an archive outside of the small filesystem.
fn archive(small: &Small) -> String {
    let environment = &small.environment;
    let layout = environment.layout(&subject(), LayoutOptions::default());
    let archive = environment.path("archive");
    let written = layout.write_archive(&archive, ArchiveKind::Docker, &["subject:1"], Compression::None);
    written.unwrap();
    archive.to_string_lossy().into_owned()
}

fn is_whole(small: &Small, image: &str) {
    let environment = &small.environment;
    let count = environment.hb(["run", "--rm", image, "sh", "-c", COUNT]).succeeds();
    assert_eq!(count.trim(), "2002");
    let check = environment.hb(["system", "check"]).succeeds();
    assert!(check.contains("no damage"), "{check}");
}

#[test]
fn privileged_a_full_disk_at_every_stage_of_a_load() {
    let small = small(180, None, "");
    let environment = &small.environment;
    let archive = archive(&small);
    let failures = until_there_is_room(&small, 4 * MEGABYTE, || {
        let load = environment.hb(["load", "-i", &archive]);
        assert_eq!(small.images() > 0, load.code == 0, "{load}");
        load
    });
    assert!(failures > 5, "only {failures} attempts found a full disk");
    is_whole(&small, "subject:1");
    small.end();
}

#[test]
fn privileged_a_device_that_fails_at_every_stage_of_a_load() {
    for device in [12, 24, 40] {
        let small = small(180, Some(device), "");
        let archive = archive(&small);
        let load = small.environment.hb(["load", "-i", &archive]);
        assert_ne!(load.code, 0, "{device} MB: {load}");
        small.tells_of_the_device(&load);
        assert_eq!(small.images(), 0, "{device} MB: a failed load shows no image");
        small.end();
    }
}

/// Makes a container that has written 16 MB which cannot be compressed.
fn written(small: &Small) {
    small.environment.load_starter();
    let script = "dd if=/dev/urandom of=/made bs=1M count=16 2>/dev/null && sync /made";
    small
        .environment
        .hb(["run", "--name", "wrote", STARTER, "sh", "-c", script])
        .succeeds();
}

#[test]
fn privileged_a_full_disk_at_every_stage_of_a_commit() {
    let small = small(140, None, "");
    let environment = &small.environment;
    written(&small);
    let failures = until_there_is_room(&small, 3 * MEGABYTE, || {
        let commit = environment.hb(["commit", "wrote", "made:1"]);
        assert_eq!(small.images() > 1, commit.code == 0, "{commit}");
        commit
    });
    assert!(failures > 5, "only {failures} attempts found a full disk");
    let sum = |words: &[&str]| environment.hb(words).succeeds();
    let made = sum(&["run", "--rm", "made:1", "sha256sum", "/made"]);
    environment
        .hb(["cp", "wrote:/made", &environment.path("made").to_string_lossy()])
        .succeeds();
    let mut command = environment.command("sha256sum".as_ref());
    let expected = Output::of(command.arg(environment.path("made"))).succeeds();
    assert_eq!(made.split(' ').next(), expected.split(' ').next());
    environment.hb(["rm", "wrote"]).succeeds();
    small.end();
}

#[test]
fn privileged_a_device_that_fails_during_a_commit() {
    for device in [36, 46] {
        let small = small(140, Some(device), "");
        written(&small);
        let commit = small.environment.hb(["commit", "wrote", "made:1"]);
        assert_ne!(commit.code, 0, "{device} MB: {commit}");
        small.tells_of_the_device(&commit);
        assert_eq!(small.images(), 1, "{device} MB: a failed commit shows no image");
        small.end();
    }
}

/// A version of an application of 9 MB; 8 of them are those of every version.
fn version(number: u64) -> Image {
    let mut layer = Layer::new().directory("srv", 0o755);
    for part in 0..9 {
        let seed = if part == 8 { 100 + number } else { part };
        let length = 1_000_000;
        layer = layer.content(&format!("srv/{part}"), 0o644, Content::Generated { seed, length });
    }
    let mut image = starter();
    image.layers.push(layer);
    image
}

fn load_versions(small: &Small) -> [String; 2] {
    [1, 2].map(|number| {
        let name = format!("version:{number}");
        small.environment.load(&version(number), &name);
        name
    })
}

fn sums(small: &Small, images: &[String; 2]) -> [String; 2] {
    images.clone().map(|image| {
        let words = ["run", "--rm", &image, "sh", "-c", "cat /srv/* | sha256sum"];
        small.environment.hb(words).succeeds()
    })
}

fn packed(small: &Small) -> usize {
    let layers = std::fs::read_dir(small.environment.root().join("overlay/layers")).unwrap();
    layers
        .filter(|layer| layer.as_ref().unwrap().path().join("objects.list").exists())
        .count()
}

/// Both ways; one layer may have come to its new form before there was no room for the next.
#[test]
fn privileged_a_full_disk_while_files_are_stored_once_and_back() {
    let small = small(140, None, "");
    let environment = &small.environment;
    let images = load_versions(&small);
    let before = sums(&small, &images);
    for (words, expected) in [(&["image", "optimize"][..], 2), (&["image", "optimize", "--undo"], 0)] {
        let mut failures = 0;
        let mut room = MEGABYTE / 4;
        loop {
            let empty = small.free();
            let filler = environment.root().join("filler");
            let taken = (empty - room).to_string();
            crate::disk_errors::run(environment, &["fallocate", "-l", &taken, &filler.to_string_lossy()]);
            let outcome = environment.hb(words);
            std::fs::remove_file(&filler).unwrap();
            assert_eq!(sums(&small, &images), before, "{room} bytes: {outcome}");
            if outcome.code == 0 {
                break;
            }
            failures += 1;
            let told = outcome.stderr.to_lowercase();
            assert!(
                told.contains("no space left") || told.contains("disk is full"),
                "{outcome}"
            );
            wait_for("what was begun to go", || {
                let remains = small.remains();
                if remains.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{remains:?}"))
                }
            });
            room += 2 * MEGABYTE;
        }
        assert!(failures > 2, "{words:?}: only {failures} attempts found a full disk");
        assert_eq!(packed(&small), expected, "{words:?}");
        assert_eq!(sums(&small, &images), before, "{words:?}");
        let check = environment.hb(["system", "check"]).succeeds();
        assert!(check.contains("no damage"), "{words:?}: {check}");
    }
    let objects = environment.root().join("overlay/objects");
    wait_for("the objects to go", || {
        match std::fs::read_dir(&objects).unwrap().count() {
            0 => Ok(()),
            count => Err(format!("{count} are left")),
        }
    });
    small.end();
}

#[test]
fn privileged_a_device_that_fails_while_files_are_stored_once() {
    let small = small(140, Some(44), "");
    let environment = &small.environment;
    let _images = load_versions(&small);
    let optimize = environment.hb(["image", "optimize"]);
    assert_ne!(optimize.code, 0, "{optimize}");
    small.tells_of_the_device(&optimize);
    assert_eq!(small.images(), 2, "no image is lost");
    // Nothing took the place of what was whole. Not all of it can be compared: that takes room.
    let check = environment.hb(["system", "check"]);
    assert!(
        !check.stdout.contains("damaged") && !check.stdout.contains("missing"),
        "{check}"
    );
    small.end();
}

/// The conversion ends without room for a layer; the store is as usable as before, under either configuration.
#[test]
fn privileged_a_full_disk_at_every_stage_of_a_conversion() {
    let mut small = small(180, None, &options("overlay").config);
    small.environment.load(&subject(), "subject:1");
    for (from, to, expected) in [("overlay", "erofs", (0, 2)), ("erofs", "overlay", (2, 0))] {
        assert!(small.environment.stop_daemon().success());
        let failures = fill_and_convert(&small, to);
        assert!(failures > 3, "{from}: only {failures} attempts found a full disk");
        assert_eq!(forms(&small.environment), expected);
        small.environment.start_daemon(&options(to));
        is_whole(&small, "subject:1");
    }
    small.end();
}

fn fill_and_convert(small: &Small, to: &str) -> u64 {
    let environment = &small.environment;
    let filler = environment.root().join("filler");
    let (mut failures, mut room) = (0, MEGABYTE / 4);
    loop {
        let taken = small.free().saturating_sub(room).to_string();
        crate::disk_errors::run(environment, &["fallocate", "-l", &taken, &filler.to_string_lossy()]);
        let outcome = Output::of(&mut converter(environment, to));
        std::fs::remove_file(&filler).unwrap();
        if outcome.code == 0 {
            return failures;
        }
        failures += 1;
        let told = outcome.stderr.to_lowercase();
        assert!(
            told.contains("no space left") || told.contains("disk is full"),
            "{room} bytes: {outcome}"
        );
        assert!(!told.contains("panicked"), "{room} bytes: {outcome}");
        let (directories, indexes) = forms(environment);
        assert_eq!(directories + indexes, 2, "{room} bytes: {outcome}");
        room += 3 * MEGABYTE;
    }
}

#[test]
fn privileged_a_device_that_fails_during_a_conversion() {
    let mut small = small(180, Some(80), &options("overlay").config);
    small.environment.load(&subject(), "subject:1");
    assert!(small.environment.stop_daemon().success());
    let failed = Output::of(&mut converter(&small.environment, "erofs"));
    assert_ne!(failed.code, 0, "{failed}");
    small.tells_of_the_device(&failed);
    let (directories, indexes) = forms(&small.environment);
    assert_eq!(directories + indexes, 2, "no layer is lost: {failed}");
    small.end();
}
