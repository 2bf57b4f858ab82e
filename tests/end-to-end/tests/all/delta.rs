// SPDX-License-Identifier: MIT
//! `hb image pull --delta-from`: two real daemons, two real registries, and a daemon that dies in between.

use std::path::PathBuf;

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::images::{Content, Image, Layer, LayoutOptions, starter};
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess};

use crate::released_blobs::keeping;

/// The steps of a delta pull.
pub(crate) const TESTED: &[&str] = &["delta.after-list", "delta.after-layer"];

/// Version `number` of an application: 8 MB in forty files, of which each version has two of its own.
fn version(number: u64) -> Image {
    let mut layer = Layer::new().directory("srv", 0o755);
    for part in 0..40 {
        let seed = if part % 20 == number { 1000 + number } else { 0 };
        let content = Content::Generated {
            seed: 10_000 + part + seed,
            length: 200_000,
        };
        layer = layer.content(&format!("srv/{part}"), 0o644, content);
    }
    layer = layer.file("srv/version", 0o644, number.to_string());
    let mut image = starter();
    image.layers.push(layer);
    image
}

/// A daemon with the old version, and another one that has the new one; both have a registry.
struct Pair {
    here: TestEnvironment,
    there: TestEnvironment,
    registry: LocalRegistry,
    new: String,
    new_blob: PathBuf,
}

fn pair(options: &DaemonOptions) -> Pair {
    let there = TestEnvironment::start();
    there.load(&version(2), "app:2");
    let mut here = TestEnvironment::new();
    here.start_daemon(&keeping());
    let registry = here.registry(RegistryAccess::Anyone);
    let old = registry.add("app:1", &here.layout(&version(1), LayoutOptions::default()));
    let layout = here.layout(&version(2), LayoutOptions::default());
    let new = registry.add("app:2", &layout);
    here.hb(["pull", &old]).succeeds();
    let hex = layout.layers[1].digest.hex().to_owned();
    let new_blob = here.root().join("content/blobs/sha256").join(hex);
    if options.failpoint.is_some() {
        assert!(here.stop_daemon().success());
        here.start_daemon(&DaemonOptions {
            config: keeping().config,
            ..options.clone()
        });
    }
    Pair {
        here,
        there,
        registry,
        new,
        new_blob,
    }
}

impl Pair {
    /// Pulls the new version; returns how many bytes the other daemon sent and how many were here.
    fn pull_delta(&self) -> (u64, u64) {
        let host = self.there.host();
        let said = self
            .here
            .hb(["image", "pull", "--delta-from", &host, &self.new])
            .succeeds();
        let line = said.lines().find(|line| line.starts_with("Delta: "));
        let line = line.unwrap_or_else(|| panic!("no summary: {said}"));
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        (numbers[0], numbers[1])
    }

    /// The image is whole, whoever gave it.
    fn shows_version_2(&self, when: &str) {
        let script = "cat /srv/version && cat /srv/* | sha256sum";
        let sum = |environment: &TestEnvironment, image: &str| {
            environment.hb(["run", "--rm", image, "sh", "-c", script]).succeeds()
        };
        let (ours, theirs) = (sum(&self.here, &self.new), sum(&self.there, "app:2"));
        assert!(
            ours.starts_with('2') && ours == theirs,
            "{when}: {ours} instead of {theirs}"
        );
    }

    fn end(self) {
        self.here.finish();
        self.there.finish();
    }
}

#[test]
fn privileged_a_delta_moves_what_differs_and_the_image_is_a_whole_one() {
    let pair = pair(&DaemonOptions::default());
    let (sent, taken) = pair.pull_delta();
    assert!(sent < 1_000_000 && taken > 6_000_000, "{sent} sent, {taken} taken");
    assert!(!pair.new_blob.exists());
    pair.shows_version_2("after a delta");
    let check = pair.here.hb(["system", "check"]).succeeds();
    assert!(
        check.contains("blobs that only registries have: 1") && check.contains("no damage"),
        "{check}"
    );
    // Saved elsewhere, it is the same image: the blob was fetched for it.
    let archive = pair.here.path("archive");
    let archive = archive.to_string_lossy();
    pair.here.hb(["save", "-o", &archive, &pair.new]).succeeds();
    assert!(pair.new_blob.exists());
    pair.there.hb(["rmi", "app:2"]).succeeds();
    pair.there.hb(["load", "-i", &archive]).succeeds();
    pair.there.hb(["tag", &pair.new, "app:2"]).succeeds();
    pair.shows_version_2("loaded from what was saved");
    let check = pair.here.hb(["system", "check"]).succeeds();
    assert!(
        !check.contains("only registries") && check.contains("no damage"),
        "{check}"
    );
    pair.end();
}

#[test]
fn privileged_an_image_of_a_delta_can_be_pushed() {
    let pair = pair(&DaemonOptions::default());
    pair.pull_delta();
    let copy = pair.registry.image("copy:2");
    pair.here.hb(["tag", &pair.new, &copy]).succeeds();
    pair.here.hb(["push", &copy]).succeeds();
    pair.here.hb(["rmi", "-f", &copy, &pair.new]).succeeds();
    pair.here.hb(["pull", &copy]).succeeds();
    assert!(pair.new_blob.exists());
    pair.here.hb(["tag", &copy, &pair.new]).succeeds();
    pair.shows_version_2("pushed and pulled");
    pair.end();
}

#[test]
fn privileged_a_host_that_is_none_of_ours_costs_nothing() {
    let pair = pair(&DaemonOptions::default());
    for host in ["unix:///nowhere.sock", "tcp://127.0.0.1:1"] {
        let said = pair
            .here
            .hb(["image", "pull", "--delta-from", host, &pair.new])
            .succeeds();
        assert!(said.contains(&format!("No delta from {host}")), "{said}");
        pair.shows_version_2(host);
        pair.here.hb(["rmi", &pair.new]).succeeds();
    }
    let refused = pair.here.hb(["image", "pull", "--delta-from", "ssh://x", &pair.new]);
    assert_ne!(refused.code, 0, "{refused}");
    pair.end();
}

/// The daemon that pulls dies; afterwards the new version is there whole or not at all, and the same pull succeeds.
fn dies_at(point: &str) {
    let mut pair = pair(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    let host = pair.there.host();
    let _cut_off = pair.here.hb(["image", "pull", "--delta-from", &host, &pair.new]);
    let _died = pair.here.wait_for_daemon_death();
    pair.here.start_daemon(&DaemonOptions::default());
    if !pair.here.hb(["images", "-q", &pair.new]).succeeds().is_empty() {
        pair.shows_version_2(point);
    }
    let remains = pair.here.root().join("overlay/staging");
    assert_eq!(std::fs::read_dir(remains).unwrap().count(), 0, "after {point}");
    pair.here
        .hb(["image", "pull", "--delta-from", &host, &pair.new])
        .succeeds();
    pair.shows_version_2(point);
    assert!(!pair.new_blob.exists(), "after {point}");
    let check = pair.here.hb(["system", "check"]).succeeds();
    assert!(check.contains("no damage"), "after {point}: {check}");
    pair.end();
}

#[test]
fn privileged_delta_after_list() {
    dies_at(TESTED[0]);
}

#[test]
fn privileged_delta_after_layer() {
    dies_at(TESTED[1]);
}

#[test]
fn privileged_delta_layer_before_rename() {
    dies_at("layer.before-rename");
}

#[test]
fn privileged_delta_layer_after_rename() {
    dies_at("layer.after-rename");
}

#[test]
fn privileged_delta_before_record() {
    dies_at("pull.before-record");
}

#[test]
fn privileged_delta_after_record() {
    dies_at("pull.after-record");
}

/// A blob that comes for `save` is here before its record says so.
#[test]
fn privileged_delta_while_its_blob_comes() {
    // Configuration and manifest of the delta pull are the first two.
    let mut pair = pair(&DaemonOptions {
        failpoint: Some("content.after-rename:3".to_owned()),
        ..DaemonOptions::default()
    });
    pair.pull_delta();
    let archive = pair.here.path("archive");
    let archive = archive.to_string_lossy();
    let _cut_off = pair.here.hb(["save", "-o", &archive, &pair.new]);
    let _died = pair.here.wait_for_daemon_death();
    pair.here.start_daemon(&DaemonOptions::default());
    assert!(pair.new_blob.exists());
    pair.here.hb(["save", "-o", &archive, &pair.new]).succeeds();
    let check = pair.here.hb(["system", "check"]).succeeds();
    assert!(
        !check.contains("only registries") && check.contains("no damage"),
        "{check}"
    );
    pair.end();
}
