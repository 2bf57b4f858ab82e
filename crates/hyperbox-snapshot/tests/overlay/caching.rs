// SPDX-License-Identifier: MIT
//! A layer of large files is read past the cache of its tar when that is on the disk only, and shows the same either way.

use std::fs::{self, File};
use std::io::Cursor;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use hyperbox_core::seam::Snapshotter;
use hyperbox_snapshot::{LayerForm, OverlaySnapshotter};
use hyperbox_types::DiffId;
use rustix::fs::{Advice, AtFlags, StatxFlags, fadvise, statx};

use super::{open, require_root};

/// Lengths that are no multiples of anything.
const FILES: [(&str, usize); 3] = [("one", 5_000_001), ("two", 4_194_304), ("three", 3_333_333)];

fn content(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 31 + at / 4096 + seed).to_le_bytes()[0])
        .collect()
}

async fn add(snapshotter: &OverlaySnapshotter) -> DiffId {
    let mut builder = tar::Builder::new(Vec::new());
    for (seed, (name, length)) in FILES.into_iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(length as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, &content(seed, length)[..])
            .unwrap();
    }
    let archive = Cursor::new(builder.into_inner().unwrap());
    let staged = snapshotter.stage_layer(Box::new(archive)).await.unwrap();
    let layer = staged.diff_id().clone();
    staged.commit().unwrap();
    layer
}

fn shows_its_files(snapshotter: &OverlaySnapshotter, layer: &DiffId) {
    let view = snapshotter.view(std::slice::from_ref(layer)).unwrap();
    let mounted = hyperbox_sys::detached_mount::open(&view).unwrap();
    for (seed, (name, length)) in FILES.into_iter().enumerate() {
        let found = fs::read(format!("/proc/self/fd/{}/{name}", mounted.as_raw_fd())).unwrap();
        assert!(found == content(seed, length), "{name}");
    }
}

fn cached(tar: &Path) -> u64 {
    hyperbox_sys::page_cache::cached(File::open(tar).unwrap().as_fd()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_large_files_are_read_past_the_cache() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let snapshotter = open(directory.path(), LayerForm::Erofs);
    let layer = add(&snapshotter).await;
    let tar = directory
        .path()
        .join("layers")
        .join(&layer.0.hex()[..32])
        .join("layer.tar");
    let whole = tar.metadata().unwrap().len();
    assert!(cached(&tar) >= whole / 2, "it was just written");
    shows_its_files(&snapshotter, &layer);
    drop(snapshotter);

    let file = File::open(&tar).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    let told = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).unwrap();
    let can = (1..=512).contains(&told.stx_dio_offset_align.max(told.stx_dio_mem_align));
    let before = cached(&tar);
    let snapshotter = open(directory.path(), LayerForm::Erofs);
    shows_its_files(&snapshotter, &layer);
    if can && before == 0 {
        assert_eq!(cached(&tar), 0, "nothing is cached twice");
    }
}
