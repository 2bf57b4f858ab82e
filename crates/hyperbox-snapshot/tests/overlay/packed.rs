// SPDX-License-Identifier: MIT
//! Files of several layers stored once: containers see the same before, afterwards and when it was undone; nothing is lost by removals,
//! damage, a full disk or a killed process, and nothing is kept that nobody needs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hyperbox_core::seam::{ActiveKey, LayerCheck, LayerOptimizer, Pace, Snapshotter};
use hyperbox_snapshot::{LayerForm, MountPlace, OverlaySnapshotter, Settings};
use hyperbox_testkit::wait_for;
use hyperbox_types::{DiffId, ErrorKind, RootMount};

use super::full::SmallDisk;
use super::tree::{Holes, describe};
use super::{open, require_root, wait_until_empty};

/// Bytes that look alike nowhere.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// A version of an application: sixty files of all lengths of which one in twenty differs from version to version, and what else a
/// tar may have.
fn version(number: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o640);
    header.set_mtime(1_000_000_000 + number);
    for file in 0..60 {
        let seed = if file % 20 == 7 { 1000 + number } else { file };
        let data = noise(seed + 1, usize::try_from(file * file * 37 + file % 3).unwrap());
        header.set_size(data.len() as u64);
        builder
            .append_data(&mut header, format!("app/{}/file-{file}", file % 5), data.as_slice())
            .unwrap();
    }
    // A later entry takes the place of an earlier one.
    for text in ["first", "second"] {
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, "app/twice", text.as_bytes()).unwrap();
    }
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Link);
    builder.append_link(&mut header, "app/hard", "app/4/file-59").unwrap();
    header.set_entry_type(tar::EntryType::Symlink);
    builder.append_link(&mut header, "app/soft", "/app/twice").unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    builder.append_data(&mut header, "app/.wh.gone", &b""[..]).unwrap();
    odd(&mut builder);
    builder.into_inner().unwrap()
}

/// A sparse file whose pieces are aligned to nothing.
fn odd(builder: &mut tar::Builder<Vec<u8>>) {
    let extensions: [(&str, &[u8]); 2] = [("GNU.sparse.map", b"3,5,5000,700"), ("GNU.sparse.size", b"9000")];
    builder.append_pax_extensions(extensions).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(705);
    header.set_mode(0o600);
    builder
        .append_data(&mut header, "app/odd", noise(5, 705).as_slice())
        .unwrap();
}

async fn add(snapshotter: &OverlaySnapshotter, archive: Vec<u8>) -> DiffId {
    let staged = snapshotter.stage_layer(Box::new(Cursor::new(archive))).await.unwrap();
    let layer = staged.diff_id().clone();
    staged.commit().unwrap();
    layer
}

async fn versions(snapshotter: &OverlaySnapshotter, count: u64) -> Vec<DiffId> {
    let mut layers = Vec::new();
    for number in 0..count {
        layers.push(add(snapshotter, version(number)).await);
    }
    layers
}

fn mounted(snapshotter: &OverlaySnapshotter, layer: &DiffId) -> OwnedFd {
    let view = snapshotter.view(std::slice::from_ref(layer)).unwrap();
    hyperbox_sys::detached_mount::open(&view).unwrap()
}

type Tree = BTreeMap<PathBuf, String>;

fn seen(mounted: &OwnedFd) -> Tree {
    describe(
        Path::new(&format!("/proc/self/fd/{}/", mounted.as_raw_fd())),
        Holes::Passed,
    )
}

fn all_seen(snapshotter: &OverlaySnapshotter, layers: &[DiffId]) -> Vec<Tree> {
    layers.iter().map(|layer| seen(&mounted(snapshotter, layer))).collect()
}

fn of_layer(root: &Path, layer: &DiffId, file: &str) -> PathBuf {
    root.join("layers").join(&layer.0.hex()[..32]).join(file)
}

fn packs(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join("objects")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn occupied(root: &Path) -> u64 {
    packs(root)
        .iter()
        .map(|pack| pack.metadata().unwrap().blocks() * 512)
        .sum()
}

async fn assert_intact(snapshotter: &OverlaySnapshotter, layers: &[DiffId]) {
    for layer in layers {
        assert_eq!(snapshotter.verify_layer(layer, None).await.unwrap(), LayerCheck::Intact);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_versions_share_their_files_and_get_them_back() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let snapshotter = open(root, LayerForm::Erofs);
    let mut layers = versions(&snapshotter, 4).await;
    let mut stranger = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(500_000);
    stranger
        .append_data(&mut header, "own", noise(99, 500_000).as_slice())
        .unwrap();
    let stranger = add(&snapshotter, stranger.into_inner().unwrap()).await;
    layers.push(stranger.clone());
    let before = all_seen(&snapshotter, &layers);
    let running = mounted(&snapshotter, &layers[0]);
    let key = ActiveKey(hyperbox_testkit::container_id());
    let recipe = snapshotter.prepare(&key, &layers[..1]).await.unwrap();

    let done = snapshotter.optimize(&layers, Arc::new(Pace::default())).await.unwrap();
    assert_eq!(done.layers, 4, "the stranger shares nothing");
    assert!(done.after.0 * 2 < done.before.0, "{done:?}");
    assert!(of_layer(root, &stranger, "layer.tar").is_file());
    assert!(!of_layer(root, &layers[0], "layer.tar").exists());
    assert_eq!(all_seen(&snapshotter, &layers), before);
    assert_eq!(seen(&running), before[0], "what was mounted stays readable");
    let started = hyperbox_sys::detached_mount::open(&recipe).unwrap();
    let text = fs::read_to_string(format!("/proc/self/fd/{}/app/twice", started.as_raw_fd())).unwrap();
    assert_eq!(text, "second", "a recipe that was handed out stays good");
    assert_intact(&snapshotter, &layers).await;
    let mut archive = Vec::new();
    std::io::Read::read_to_end(&mut snapshotter.archive(&layers[2]).unwrap(), &mut archive).unwrap();
    assert!(archive == version(2), "who asks for the archive gets it");
    let shared = snapshotter.shared();
    assert_eq!((shared.layers, shared.stored.0), (4, occupied(root)));
    assert!(shared.referenced.0 > 3 * shared.stored.0, "{shared:?}");
    let again = snapshotter.optimize(&layers, Arc::new(Pace::default())).await.unwrap();
    assert_eq!(again.layers, 0);
    assert_eq!(
        add(&snapshotter, version(0)).await,
        layers[0],
        "a pull of the same changes nothing"
    );
    assert!(!of_layer(root, &layers[0], "layer.tar").exists());

    drop(snapshotter);
    let snapshotter = open(root, LayerForm::Erofs);
    assert!(snapshotter.layers_in_other_form().is_empty());
    assert_eq!(all_seen(&snapshotter, &layers), before, "after a restart");
    let later = add(&snapshotter, version(9)).await;
    let done = snapshotter
        .optimize(std::slice::from_ref(&later), Arc::new(Pace::default()))
        .await
        .unwrap();
    assert_eq!(done.layers, 1, "packs that are there serve later layers");

    let reading = mounted(&snapshotter, &layers[1]);
    let done = snapshotter.restore(&layers, Arc::new(Pace::default())).await.unwrap();
    assert_eq!(done.layers, 4);
    assert_eq!(all_seen(&snapshotter, &layers), before);
    for (number, layer) in (0..).zip(&layers[..4]) {
        assert!(
            fs::read(of_layer(root, layer, "layer.tar")).unwrap() == version(number),
            "byte for byte"
        );
    }
    assert_eq!(seen(&reading), before[1], "also through a mount of the former form");
    snapshotter.remove_layer(&later).await.unwrap();
    drop((reading, started));
    wait_until_empty(&root.join("graves"));
    wait_until_empty(&root.join("objects"));
    assert_intact(&snapshotter, &layers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_what_nobody_needs_goes_and_nothing_else() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let snapshotter = open(root, LayerForm::Erofs);
    let layers = versions(&snapshotter, 3).await;
    let before = all_seen(&snapshotter, &layers);
    snapshotter.optimize(&layers, Arc::new(Pace::default())).await.unwrap();
    let whole = occupied(root);
    let reading = mounted(&snapshotter, &layers[0]);
    snapshotter.remove_layer(&layers[0]).await.unwrap();
    // Whoever removes next looks at all graves.
    snapshotter.optimize(&layers, Arc::new(Pace::default())).await.unwrap();
    assert_eq!(occupied(root), whole, "somebody reads it");
    assert_eq!(seen(&reading), before[0]);
    drop(reading);
    wait_until_empty(&root.join("graves"));
    wait_for("the objects of one version to go", || match occupied(root) {
        left if left < whole => Ok(()),
        left => Err(format!("{left} of {whole} bytes are left")),
    });
    assert!(occupied(root) > whole * 3 / 4, "the others need most of them");
    assert_intact(&snapshotter, &layers[1..]).await;
    assert_eq!(all_seen(&snapshotter, &layers[1..]), before[1..]);
    for layer in &layers[1..] {
        snapshotter.remove_layer(layer).await.unwrap();
    }
    wait_until_empty(&root.join("objects"));
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_damage_is_found_in_every_part() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let snapshotter = open(root, LayerForm::Erofs);
    let layers = versions(&snapshotter, 2).await;
    snapshotter.optimize(&layers, Arc::new(Pace::default())).await.unwrap();
    let parts = [
        (packs(root).remove(0), "its tar"),
        (of_layer(root, &layers[0], "rest.zst"), "its tar"),
        (of_layer(root, &layers[0], "objects.list"), "its list of objects"),
        (of_layer(root, &layers[0], "index.erofs"), "its index"),
        (of_layer(root, &layers[0], "odd.data"), "the data beside its tar"),
    ];
    for (path, expected) in parts {
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut byte = [0];
        let at = if path.extension().is_some_and(|extension| extension == "pack") {
            100_000
        } else {
            100
        };
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        match snapshotter.verify_layer(&layers[0], None).await.unwrap() {
            LayerCheck::Damaged { reason } => assert!(reason.contains(expected), "{}: {reason}", path.display()),
            other => panic!("{}: {other:?}", path.display()),
        }
        file.write_all_at(&byte, at).unwrap();
        assert_intact(&snapshotter, &layers).await;
    }
    let pack = packs(root).remove(0);
    File::options()
        .write(true)
        .open(&pack)
        .unwrap()
        .write_all_at(b"?", 100_000)
        .unwrap();
    let error = snapshotter
        .restore(&layers[..1], Arc::new(Pace::default()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
    assert!(
        of_layer(root, &layers[0], "objects.list").is_file(),
        "nothing takes the place of what is there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_attached_mounts_change_their_form_too() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("attached");
    let settings = Settings {
        form: LayerForm::Erofs,
        mounts: MountPlace::Attached(place.clone()),
        ..Settings::default()
    };
    let snapshotter = OverlaySnapshotter::open(&directory.path().join("store"), settings).unwrap();
    let layers = versions(&snapshotter, 2).await;
    let before = all_seen(&snapshotter, &layers);
    let recipe = snapshotter.view(&layers[..1]).unwrap();
    snapshotter.optimize(&layers, Arc::new(Pace::default())).await.unwrap();
    assert_eq!(snapshotter.view(&layers[..1]).unwrap(), recipe);
    let RootMount::Overlay { lower, .. } = &recipe else {
        panic!("a layer's view is an overlay");
    };
    assert_eq!(describe(&lower[0], Holes::Passed).len(), before[0].len());
    assert_eq!(all_seen(&snapshotter, &layers), before);
    drop(snapshotter);
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!table.contains(place.to_str().unwrap()), "nothing stays mounted");
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_a_full_disk_leaves_layers_as_they_were() {
    require_root();
    let disk = SmallDisk::new();
    let store = disk.point.join("store");
    let snapshotter = open(&store, LayerForm::Erofs);
    let layers = versions(&snapshotter, 2).await;
    let before = all_seen(&snapshotter, &layers);
    let filler = disk.point.join("filler");
    let free = disk.free();
    let file = File::create(&filler).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free - (700 << 10)).unwrap();
    drop(file);
    let error = snapshotter
        .optimize(&layers, Arc::new(Pace::default()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error:?}");
    assert_eq!(all_seen(&snapshotter, &layers), before);
    assert_intact(&snapshotter, &layers[..1]).await;
    wait_until_empty(&store.join("objects"));
    wait_until_empty(&store.join("staging"));
    fs::remove_file(&filler).unwrap();
    let done = snapshotter.optimize(&layers, Arc::new(Pace::default())).await.unwrap();
    assert_eq!(done.layers, 2);
    assert_eq!(all_seen(&snapshotter, &layers), before);
}

const ROOT: &str = "HYPERBOX_TEST_PACKED_ROOT";

/// The part of the victim: changes the form of layers back and forth until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn privileged_victim_packs_and_restores() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let snapshotter = open(Path::new(&root), LayerForm::Erofs);
    let layers: Vec<DiffId> = snapshotter
        .layers()
        .await
        .unwrap()
        .into_iter()
        .map(|(layer, _)| layer)
        .collect();
    println!("\nbegun");
    loop {
        snapshotter.optimize(&layers, Arc::new(Pace::default())).await.unwrap();
        snapshotter.restore(&layers, Arc::new(Pace::default())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_killed_at_any_moment() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let snapshotter = open(root, LayerForm::Erofs);
    let layers = versions(&snapshotter, 3).await;
    let before = all_seen(&snapshotter, &layers);
    drop(snapshotter);
    for round in 0..12 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "packed::privileged_victim_packs_and_restores", "--nocapture"])
            .env(ROOT, root)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("begun")));
        // Some moment: how far it came in that time differs from round to round.
        let (waker, moment) = std::sync::mpsc::channel::<()>();
        assert!(
            moment
                .recv_timeout(std::time::Duration::from_millis(round * 13))
                .is_err()
        );
        victim.kill().unwrap();
        victim.wait().unwrap();
        drop(waker);
        let snapshotter = open(root, LayerForm::Erofs);
        assert_eq!(snapshotter.layers().await.unwrap().len(), layers.len());
        assert_eq!(all_seen(&snapshotter, &layers), before, "round {round}");
        assert_intact(&snapshotter, &layers).await;
    }
    let snapshotter = open(root, LayerForm::Erofs);
    snapshotter.restore(&layers, Arc::new(Pace::default())).await.unwrap();
    wait_until_empty(&root.join("objects"));
    wait_until_empty(&root.join("staging"));
}
