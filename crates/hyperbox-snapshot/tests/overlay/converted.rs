// SPDX-License-Identifier: MIT
//! Layers of both forms side by side, and from one form to the other.

use std::fs;
use std::io::Cursor;
use std::os::fd::AsRawFd;
use std::path::Path;

use hyperbox_core::seam::{ActiveKey, LayerCheck, Snapshotter};
use hyperbox_snapshot::{LayerForm, MountPlace, OverlaySnapshotter, Settings};
use hyperbox_types::{DiffId, RootMount};

use super::{open, require_root, tree, wait_until_empty};

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_000_000_000);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

async fn add(snapshotter: &OverlaySnapshotter, archive: Vec<u8>) -> DiffId {
    let staged = snapshotter.stage_layer(Box::new(Cursor::new(archive))).await.unwrap();
    let layer = staged.diff_id().clone();
    staged.commit().unwrap();
    layer
}

fn content(recipe: &RootMount, name: &str) -> String {
    let mounted = hyperbox_sys::detached_mount::open(recipe).unwrap();
    fs::read_to_string(format!("/proc/self/fd/{}/{name}", mounted.as_raw_fd())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_layers_of_both_forms_are_joined() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let below = add(
        &open(directory.path(), LayerForm::Directory),
        archive(&[("a", "1"), ("b", "1")]),
    )
    .await;
    let snapshotter = open(directory.path(), LayerForm::Erofs);
    let above = add(&snapshotter, archive(&[("b", "2"), ("c", "2"), (".wh.gone", "")])).await;
    assert_eq!(snapshotter.layers_in_other_form(), std::slice::from_ref(&below));
    let layers = [below.clone(), above.clone()];
    let key = ActiveKey(hyperbox_testkit::container_id());
    let recipe = snapshotter.prepare(&key, &layers).await.unwrap();
    assert_eq!(["a", "b", "c"].map(|name| content(&recipe, name)), ["1", "2", "2"]);

    // The same again, with all layers in one form, and back.
    for form in [LayerForm::Erofs, LayerForm::Directory] {
        let snapshotter = open(directory.path(), form);
        for layer in snapshotter.layers_in_other_form() {
            let again = if layer == below {
                archive(&[("a", "1"), ("b", "1")])
            } else {
                archive(&[("b", "2"), ("c", "2"), (".wh.gone", "")])
            };
            assert_eq!(add(&snapshotter, again).await, layer);
        }
        assert!(snapshotter.layers_in_other_form().is_empty());
        let recipe = snapshotter.mount(&key, &layers).unwrap();
        assert_eq!(
            ["a", "b", "c"].map(|name| content(&recipe, name)),
            ["1", "2", "2"],
            "{form}"
        );
        wait_until_empty(&directory.path().join("trash"));
        drop(snapshotter);
        assert!(
            open(directory.path(), form).layers_in_other_form().is_empty(),
            "after a restart"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_a_mounted_root_outlives_layers_and_snapshotter() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let snapshotter = open(directory.path(), LayerForm::Erofs);
    let text = "x".repeat(100_000);
    let layer = add(&snapshotter, archive(&[("file", &text)])).await;
    let key = ActiveKey(hyperbox_testkit::container_id());
    let recipe = snapshotter.prepare(&key, std::slice::from_ref(&layer)).await.unwrap();
    let mounted = hyperbox_sys::detached_mount::open(&recipe).unwrap();
    snapshotter.remove_layer(&layer).await.unwrap();
    drop(snapshotter);
    let path = format!("/proc/self/fd/{}/file", mounted.as_raw_fd());
    assert_eq!(fs::read_to_string(path).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_older_kernels_have_attached_mounts() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("attached");
    let open = || {
        let settings = Settings {
            form: LayerForm::Erofs,
            mounts: MountPlace::Attached(place.clone()),
            ..Settings::default()
        };
        OverlaySnapshotter::open(&directory.path().join("store"), settings).unwrap()
    };
    let mounted = || {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        table
            .lines()
            .filter(|line| line.contains(place.to_str().unwrap()))
            .count()
    };
    let snapshotter = open();
    let layer = add(&snapshotter, archive(&[("file", "text")])).await;
    let view = snapshotter.view(std::slice::from_ref(&layer)).unwrap();
    assert_eq!((content(&view, "file").as_str(), mounted()), ("text", 1));
    // As a crash does: nobody unmounts.
    std::mem::forget(snapshotter);
    let snapshotter = open();
    assert_eq!((mounted(), fs::read_dir(&place).unwrap().count()), (0, 0));
    let view = snapshotter.view(std::slice::from_ref(&layer)).unwrap();
    assert_eq!((content(&view, "file").as_str(), mounted()), ("text", 1));
    drop(snapshotter);
    assert_eq!(mounted(), 0);
}

/// A map whose pieces begin and end anywhere, as no common writer makes it and any may.
#[tokio::test(flavor = "multi_thread")]
async fn privileged_odd_pieces_are_laid_out_anew() {
    require_root();
    let pieces: &[(u64, &[u8])] = &[(0, b"abc"), (510, b"0123456789"), (5000, b"z"), (100_001, &[7; 3000])];
    let mut map = String::new();
    let mut data = Vec::new();
    let mut expected = vec![0; 200_000];
    for (offset, bytes) in pieces {
        let comma = if map.is_empty() { "" } else { "," };
        map.push_str(&format!("{comma}{offset},{}", bytes.len()));
        let offset = usize::try_from(*offset).unwrap();
        expected[offset..offset + bytes.len()].copy_from_slice(bytes);
        data.extend_from_slice(bytes);
    }
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_pax_extensions([
            ("GNU.sparse.map", map.as_bytes()),
            ("GNU.sparse.size", b"200000".as_slice()),
        ])
        .unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "sparse", data.as_slice()).unwrap();
    let archive = builder.into_inner().unwrap();

    let directory = tempfile::tempdir().unwrap();
    let snapshotter = open(directory.path(), LayerForm::Erofs);
    let layer = add(&snapshotter, archive).await;
    let RootMount::Overlay { lower, .. } = snapshotter.view(std::slice::from_ref(&layer)).unwrap() else {
        panic!("a layer's view is an overlay");
    };
    assert!(fs::read(lower[0].join("sparse")).unwrap() == expected);
    assert_eq!(tree::describe(&lower[0], tree::Holes::Passed).len(), 1);
    assert_eq!(
        snapshotter.verify_layer(&layer, None).await.unwrap(),
        LayerCheck::Intact
    );
    let committed = fs::read_dir(directory.path().join("layers"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    for (name, reason) in [
        ("odd.data", "the data beside its tar differs"),
        ("index.erofs", "its index differs"),
        ("layer.tar", "its tar"),
    ] {
        let path = committed.join(name);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        let last = if name == "layer.tar" { 1 } else { damaged.len() - 1 };
        damaged[last] ^= 1;
        fs::write(&path, damaged).unwrap();
        match snapshotter.verify_layer(&layer, None).await.unwrap() {
            LayerCheck::Damaged { reason: found } => assert!(found.contains(reason), "{name}: {found}"),
            other => panic!("{name}: {other:?}"),
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(Path::new("/proc/self/mountinfo").exists());
}
