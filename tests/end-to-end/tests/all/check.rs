// SPDX-License-Identifier: MIT
//! `hb system check`: bytes are really flipped, files really cut and deleted, below a daemon that serves; a real registry gives back.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hyperbox_testkit::environment::{DaemonOptions, Output, TestEnvironment};
use hyperbox_testkit::images::{Image, Layer, Layout, LayoutOptions, starter};
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess};
use serde_json::Value;

use crate::released_blobs::keeping;

fn subject() -> Image {
    let mut image = starter();
    image.layers.push(Layer::new().file("greeting", 0o644, "hello"));
    image
}

/// An image that was pulled from a registry of its own.
fn pulled(environment: &TestEnvironment) -> (LocalRegistry, String, Layout) {
    let registry = environment.registry(RegistryAccess::Anyone);
    let layout = environment.layout(&subject(), LayoutOptions::default());
    let name = registry.add("subject:1", &layout);
    environment.hb(["pull", &name]).succeeds();
    (registry, name, layout)
}

pub(crate) fn blob(environment: &TestEnvironment, digest: &str) -> PathBuf {
    let hex = digest.strip_prefix("sha256:").unwrap();
    environment.root().join("content/blobs/sha256").join(hex)
}

pub(crate) fn flip(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let at = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Finds the file of that name in the unpacked layers, or the archive that holds it.
fn unpacked(environment: &TestEnvironment, name: &str) -> PathBuf {
    let script = format!(
        "find {0}/*/layers -name {name} -type f 2>/dev/null | head -1",
        environment.root().display()
    );
    let mut shell = environment.command("sh".as_ref());
    PathBuf::from(Output::of(shell.arg("-c").arg(script)).succeeds())
}

/// Returns findings and summary.
fn check(environment: &TestEnvironment, repair: bool, code: i32) -> (Vec<Value>, Value) {
    let mut words = vec!["system", "check", "--format", "json"];
    words.extend(repair.then_some("--repair"));
    let output = environment.hb(words).exits_with(code);
    let events: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = events.last().expect("an end").clone();
    assert_eq!(last["event"], "finished", "{output}");
    let findings = events.into_iter().filter(|event| event["event"] == "finding").collect();
    (findings, last)
}

/// What happens to a file below the daemon's back.
type Damage = fn(&Path);

#[test]
fn privileged_damaged_blobs_are_found_and_fetched_again() {
    let environment = TestEnvironment::start_with(&keeping());
    let (_registry, name, layout) = pulled(&environment);
    let (findings, summary) = check(&environment, false, 0);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(
        (summary["blobs"].as_u64(), summary["layers"].as_u64()),
        (Some(4), Some(2))
    );
    let digests = [&layout.top.digest, &layout.config.digest, &layout.layers[0].digest];
    let damages: [(&str, Damage); 3] = [
        ("blob-damaged", flip),
        ("blob-damaged", |path| {
            File::options().write(true).open(path).unwrap().set_len(7).unwrap();
        }),
        ("blob-missing", |path| std::fs::remove_file(path).unwrap()),
    ];
    for digest in digests.map(ToString::to_string) {
        for (problem, damage) in damages {
            damage(&blob(&environment, &digest));
            let (findings, _) = check(&environment, false, 4);
            assert_eq!(
                (&findings[0]["problem"], &findings[0]["subject"]),
                (&problem.into(), &digest.as_str().into())
            );
            assert_eq!(findings[0]["needed-by"][0], name.as_str());
            let (findings, summary) = check(&environment, true, 0);
            assert_eq!(findings[0]["outcome"]["did"], "repaired", "{findings:?}");
            assert_eq!(summary["settled"], 1);
            let (findings, _) = check(&environment, false, 0);
            assert!(findings.is_empty(), "{findings:?}");
        }
    }
    let text = environment.hb(["system", "check"]).succeeds();
    assert!(
        text.starts_with("whole blobs: 4 ") && text.ends_with("no damage"),
        "{text}"
    );
    // What was mended is the image: it can be pushed, saved and run.
    environment.hb(["push", &name]).succeeds();
    assert_eq!(
        environment.hb(["run", "--rm", &name, "cat", "/greeting"]).succeeds(),
        "hello"
    );
    environment.finish();
}

#[test]
fn privileged_damaged_layers_are_unpacked_again() {
    unpacks_again("");
}

#[test]
fn privileged_damaged_directories_are_unpacked_again() {
    unpacks_again("[storage]\nsnapshotter = \"overlay\"\n");
}

fn unpacks_again(config: &str) {
    let environment = TestEnvironment::start_with(&DaemonOptions {
        config: config.to_owned(),
        ..DaemonOptions::default()
    });
    environment.load(&subject(), "local:1");
    let run = ["run", "--rm", "local:1", "cat", "/greeting"];
    let file = unpacked(&environment, "greeting");
    if file.as_os_str().is_empty() {
        // The snapshotter keeps archives.
        let archive = environment
            .hb(["image", "inspect", "-f", "{{index .RootFS.Layers 1}}", "local:1"])
            .succeeds();
        flip(&largest_below(&environment, archive.strip_prefix("sha256:").unwrap()));
    } else {
        std::fs::write(&file, "jello").unwrap();
    }
    let (findings, _) = check(&environment, false, 4);
    assert_eq!(findings[0]["problem"], "layer-damaged", "{findings:?}");
    // A container that runs on the layer keeps it.
    environment
        .hb(["run", "-d", "--name", "on-it", "local:1", "sleep", "600"])
        .succeeds();
    let (findings, _) = check(&environment, true, 4);
    let why = findings[0]["outcome"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("stop it first"), "{findings:?}");
    environment.hb(["rm", "-f", "on-it"]).succeeds();
    let (findings, _) = check(&environment, true, 0);
    assert_eq!(findings[0]["outcome"]["did"], "repaired", "{findings:?}");
    assert_eq!(environment.hb(run).succeeds(), "hello");
    assert!(check(&environment, false, 0).0.is_empty());
    environment.finish();
}

#[test]
fn privileged_damaged_layers_come_back_from_the_registry_that_kept_their_blobs() {
    let environment = TestEnvironment::start();
    let (registry, name, layout) = pulled(&environment);
    assert!(!blob(&environment, &layout.layers[1].digest.to_string()).exists());
    let diff_id = environment
        .hb(["image", "inspect", "-f", "{{index .RootFS.Layers 1}}", &name])
        .succeeds();
    let archive = largest_below(&environment, diff_id.strip_prefix("sha256:").unwrap());
    let damages: [Damage; 2] = [flip, |path| std::fs::remove_file(path).unwrap()];
    for damage in damages {
        damage(&archive);
        let (findings, _) = check(&environment, false, 4);
        assert_eq!(findings[0]["problem"], "layer-damaged", "{findings:?}");
        let (findings, _) = check(&environment, true, 0);
        assert_eq!(findings[0]["outcome"]["did"], "repaired", "{findings:?}");
        assert!(check(&environment, false, 0).0.is_empty());
        let shown = environment.hb(["run", "--rm", &name, "cat", "/greeting"]).succeeds();
        assert_eq!(shown, "hello");
    }
    // What was fetched for it goes again; without the registry nothing is made worse.
    environment.hb(["image", "optimize", "--release-blobs"]).succeeds();
    drop(registry);
    flip(&archive);
    let (findings, _) = check(&environment, true, 4);
    assert_eq!(findings[0]["outcome"]["did"], "left", "{findings:?}");
    environment.finish();
}

/// Returns the largest file of a layer that is kept as an archive.
pub(crate) fn largest_below(environment: &TestEnvironment, diff_id: &str) -> PathBuf {
    let script = format!(
        "find {}/*/layers -path '*{}*' -type f -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2-",
        environment.root().display(),
        &diff_id[..32]
    );
    let mut shell = environment.command("sh".as_ref());
    PathBuf::from(Output::of(shell.arg("-c").arg(script)).succeeds())
}

#[test]
fn privileged_what_nobody_has_is_told_and_removed() {
    let environment = TestEnvironment::start();
    environment.load(&subject(), "local:1");
    // Only the blob: the image still runs.
    let blobs = environment.root().join("content/blobs/sha256");
    let smallest_layer = smallest_archive(&blobs);
    flip(&smallest_layer);
    let (findings, _) = check(&environment, true, 4);
    let why = findings[0]["outcome"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("no registry is known to have it"), "{findings:?}");
    assert_eq!(
        environment
            .hb(["run", "--rm", "local:1", "cat", "/greeting"])
            .succeeds(),
        "hello"
    );
    environment.hb(["rmi", "-f", "local:1"]).succeeds();
    assert!(check(&environment, false, 0).0.is_empty(), "nothing is left of it");
    environment.finish();
}

/// Returns the smallest blob that is an archive: the layer on top.
fn smallest_archive(blobs: &Path) -> PathBuf {
    let is_archive = |path: &PathBuf| !std::fs::read(path).unwrap().starts_with(b"{");
    let archives = std::fs::read_dir(blobs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(is_archive);
    archives
        .min_by_key(|path| path.metadata().unwrap().len())
        .expect("an archive")
}

#[test]
fn privileged_a_registry_that_is_away_leaves_everything_as_it_is() {
    let environment = TestEnvironment::start_with(&keeping());
    let (registry, name, layout) = pulled(&environment);
    drop(registry);
    let damaged = blob(&environment, &layout.layers[1].digest.to_string());
    std::fs::remove_file(&damaged).unwrap();
    let (findings, _) = check(&environment, true, 4);
    assert_eq!(findings[0]["outcome"]["did"], "left", "{findings:?}");
    assert_eq!(
        environment.hb(["run", "--rm", &name, "cat", "/greeting"]).succeeds(),
        "hello"
    );
    environment.finish();
}

#[test]
fn privileged_remains_are_cleared_and_foreign_files_left() {
    let environment = TestEnvironment::start();
    environment.load_starter();
    let content = environment.root().join("content");
    std::fs::write(content.join("ingest/lost"), "x").unwrap();
    std::fs::write(content.join("notes.txt"), "mine").unwrap();
    std::fs::write(content.join("blobs/sha256").join("0".repeat(64)), "nobody's").unwrap();
    let problems = |findings: &[Value]| -> Vec<String> {
        let mut names: Vec<String> = findings
            .iter()
            .map(|finding| finding["problem"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let (findings, summary) = check(&environment, false, 0);
    assert_eq!(problems(&findings), ["foreign", "unfinished", "unreferenced"]);
    assert_eq!(summary["harmless"], 3);
    check(&environment, true, 0);
    assert_eq!(problems(&check(&environment, false, 0).0), ["foreign"]);
    assert!(content.join("notes.txt").exists());
    environment.finish();
}
