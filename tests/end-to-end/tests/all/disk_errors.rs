// SPDX-License-Identifier: MIT
//! A pull onto a small filesystem of its own (ext4 on a loop device) that is full, or whose device fails, at every stage: the error is
//! clear, nothing half-made is seen, and the space comes back.

use std::path::{Path, PathBuf};

use hyperbox_testkit::environment::{DaemonOptions, Output, TestEnvironment};
use hyperbox_testkit::images::{Content, Image, Layer, LayoutOptions, starter};
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess};
use hyperbox_testkit::wait_for;

pub(crate) const MEGABYTE: u64 = 1 << 20;

/// An environment whose root directory is a filesystem in a file.
pub(crate) struct Small {
    pub(crate) environment: TestEnvironment,
    pub(crate) registry: LocalRegistry,
    image: String,
    /// The filesystem below the one with the file, when there is one.
    below: Option<PathBuf>,
}

pub(crate) fn run(environment: &TestEnvironment, words: &[&str]) -> String {
    Output::of(environment.command(words[0].as_ref()).args(&words[1..])).succeeds()
}

/// The starter with a layer of two large files and many small ones: 24 MB, compressed hardly less.
pub(crate) fn subject() -> Image {
    let mut layer = Layer::new().directory("srv", 0o755);
    for (part, length) in [(0, 12_000_000), (1, 11_000_000)] {
        layer = layer.content(&format!("srv/{part}"), 0o644, Content::Generated { seed: part, length });
    }
    for part in 0..2000_u64 {
        layer = layer.content(
            &format!("srv/small-{part}"),
            0o644,
            Content::Generated {
                seed: 100 + part,
                length: 300,
            },
        );
    }
    let mut image = starter();
    image.layers.push(layer);
    image
}

/// Makes a filesystem of so many megabytes; its file may take `device` megabytes only, when that is given.
pub(crate) fn small(megabytes: u64, device: Option<u64>, config: &str) -> Small {
    let mut environment = TestEnvironment::new();
    let root = environment.root();
    std::fs::create_dir(&root).unwrap();
    let directory = environment.path("device");
    std::fs::create_dir(&directory).unwrap();
    if let Some(limit) = device {
        let option = format!("size={limit}m");
        run(
            &environment,
            &[
                "mount",
                "-t",
                "tmpfs",
                "-o",
                &option,
                "hyperbox-test",
                &directory.to_string_lossy(),
            ],
        );
    }
    let file = directory.join("image");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(megabytes * MEGABYTE)
        .unwrap();
    let file = file.to_string_lossy().into_owned();
    run(
        &environment,
        &[
            "mkfs.ext4",
            "-q",
            "-F",
            "-m",
            "0",
            "-E",
            "lazy_itable_init=1",
            "-J",
            "size=4",
            &file,
        ],
    );
    run(&environment, &["mount", "-o", "loop", &file, &root.to_string_lossy()]);
    environment.start_daemon(&DaemonOptions {
        config: config.to_owned(),
        ..DaemonOptions::default()
    });
    let registry = environment.registry(RegistryAccess::Anyone);
    let image = registry.add("subject:1", &environment.layout(&subject(), LayoutOptions::default()));
    Small {
        environment,
        registry,
        image,
        below: device.map(|_| directory),
    }
}

impl Small {
    pub(crate) fn free(&self) -> u64 {
        let root = self.environment.root();
        let text = run(
            &self.environment,
            &["stat", "-f", "-c", "%a %S", &root.to_string_lossy()],
        );
        let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        numbers[0] * numbers[1]
    }

    pub(crate) fn images(&self) -> usize {
        self.environment.hb(["images", "-q"]).succeeds().lines().count()
    }

    /// What no pull in progress explains.
    pub(crate) fn remains(&self) -> Vec<PathBuf> {
        let root = self.environment.root();
        let places = ["content/ingest", "overlay/staging", "spool"];
        let entries = places
            .iter()
            .filter_map(|place| std::fs::read_dir(root.join(place)).ok());
        entries.flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// The disk that fails is named as the reason, and nothing else comes of it.
    pub(crate) fn tells_of_the_device(&self, outcome: &Output) {
        let told = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
        let reasons = [
            "input/output error",
            "read-only file system",
            "disk i/o error",
            "no space left",
            "structure needs cleaning",
        ];
        assert!(reasons.iter().any(|reason| told.contains(reason)), "{outcome}");
        let log = self.environment.log();
        assert!(!told.contains("panicked") && !log.contains("panicked"), "{outcome}");
    }

    pub(crate) fn end(mut self) {
        if !self.environment.daemon_is_dead() {
            // A device that fails takes no record of a removal. What is left on it has ended.
            if self.below.is_none() {
                self.environment.remove_containers();
            }
            let _any_end = self.environment.stop_daemon();
        }
        unmount(&self.environment, &self.environment.root());
        if let Some(below) = &self.below {
            // Mount namespaces that others made meanwhile may keep the filesystem above it, and with that the loop device.
            run(&self.environment, &["umount", "--lazy", &below.to_string_lossy()]);
        }
        drop(self.registry);
        self.environment.is_clean();
    }
}

fn unmount(environment: &TestEnvironment, path: &Path) {
    wait_for("a filesystem to be unused", || {
        let output = Output::of(environment.command("umount".as_ref()).arg(path));
        if output.code == 0 || output.stderr.contains("not mounted") {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
}

/// Leaves less and less room missing: each stage of something is the first one that finds none, until it succeeds. After each failure the
/// space comes back. Returns how many attempts failed.
pub(crate) fn until_there_is_room(small: &Small, step: u64, attempt: impl Fn() -> Output) -> u64 {
    let environment = &small.environment;
    let filler = environment.root().join("filler");
    let empty = small.free();
    let mut failures = 0;
    let mut room = MEGABYTE / 4;
    loop {
        assert!(room < empty, "it needs more than {empty} bytes");
        let taken = (empty - room).to_string();
        run(environment, &["fallocate", "-l", &taken, &filler.to_string_lossy()]);
        let outcome = attempt();
        std::fs::remove_file(&filler).unwrap();
        if outcome.code == 0 {
            return failures;
        }
        failures += 1;
        let told = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
        assert!(
            told.contains("no space left") || told.contains("disk is full"),
            "{room} bytes: {outcome}"
        );
        assert!(!told.contains("panicked"), "{room} bytes: {outcome}");
        wait_for("the space to come back", || {
            let (free, remains) = (small.free(), small.remains());
            // The database and its log keep what they once took.
            if remains.is_empty() && free + MEGABYTE > empty {
                Ok(())
            } else {
                Err(format!(
                    "{free} of {empty} bytes are free, {remains:?} is there; there were {room}: {outcome}"
                ))
            }
        });
        room += step;
    }
}

fn full_at_every_stage(config: &str) {
    let small = small(140, None, config);
    let environment = &small.environment;
    let failures = until_there_is_room(&small, 2 * MEGABYTE, || {
        let pull = environment.hb(["pull", &small.image]);
        assert_eq!(small.images() > 0, pull.code == 0, "{pull}");
        pull
    });
    assert!(failures > 10, "only {failures} pulls found a full disk");
    let count = environment
        .hb(["run", "--rm", &small.image, "sh", "-c", "ls /srv | wc -l"])
        .succeeds();
    assert_eq!(count.trim(), "2002");
    let check = environment.hb(["system", "check"]).succeeds();
    assert!(check.contains("no damage"), "{check}");
    small.end();
}

#[test]
fn privileged_a_full_disk_at_every_stage_of_a_pull() {
    full_at_every_stage("");
}

#[test]
fn privileged_a_full_disk_at_every_stage_of_a_pull_into_directories() {
    full_at_every_stage("[storage]\nsnapshotter = \"overlay\"\n");
}

/// The filesystem believes in 140 MB, its device has fewer: what is written back fails, and `fsync(2)` tells (loop devices pass on that
/// their file cannot grow as an I/O error).
#[test]
fn privileged_a_device_that_fails_at_every_stage_of_a_pull() {
    for device in [12, 18, 24] {
        let small = small(140, Some(device), "");
        let environment = &small.environment;
        let pull = environment.hb(["pull", &small.image]);
        assert_ne!(pull.code, 0, "{device} MB: {pull}");
        small.tells_of_the_device(&pull);
        assert_eq!(small.images(), 0, "{device} MB: a failed pull shows no image");
        small.end();
    }
}
