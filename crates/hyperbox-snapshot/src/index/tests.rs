// SPDX-License-Identifier: MIT
//! Whatever an archive says, a tree of files and an index become the same, and refuse the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hyperbox_core::seam::SnapshotError;
use hyperbox_erofs::{Image, Kind};
use proptest::strategy::Strategy;
use rustix::fs::CWD;

use super::{IndexTree, Odd};
use crate::archive::tests::Tarball;
use crate::unpack::disk::Disk;
use crate::unpack::{Limits, UnpackSummary, unpack};

/// What matters of an entry that archives describe: kind with mode, owner, size or link, how many names.
type Shown = BTreeMap<Vec<u8>, String>;

fn as_files(archive: &[u8], directory: &Path) -> Result<(Shown, UnpackSummary), SnapshotError> {
    let root = directory.join("root");
    std::fs::create_dir(&root).unwrap();
    let opened = hyperbox_sys::tree::open_directory(CWD, &root).unwrap();
    let unpacked = unpack(Disk::new(opened), Cursor::new(archive), &Limits::default())?;
    let mut shown = Shown::new();
    let mut waiting = vec![root.clone()];
    while let Some(parent) = waiting.pop() {
        for entry in std::fs::read_dir(&parent).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let mut text = format!("{:o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid());
            if metadata.is_dir() {
                let mut value = [0; 8];
                let opaque = rustix::fs::lgetxattr(&path, "trusted.overlay.opaque", &mut value).is_ok();
                text.push_str(&format!(" opaque {opaque}"));
                waiting.push(path.clone());
            } else {
                text.push_str(&format!(" names {} size {}", metadata.nlink(), metadata.size()));
            }
            let name = path.strip_prefix(&root).unwrap().as_os_str().as_bytes().to_vec();
            shown.insert(name, text);
        }
    }
    Ok((shown, unpacked.summary))
}

fn as_index(archive: &[u8], directory: &Path) -> Result<(Shown, UnpackSummary), SnapshotError> {
    let tree = IndexTree::new(1 << 20, Odd::at(directory.join("odd")), None);
    let unpacked = unpack(tree, Cursor::new(archive), &Limits::default())?;
    let path = directory.join("index");
    let file = File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    unpacked.filesystem.write(&file, archive.len() as u64, &path)?;
    let image = Image::open(std::fs::read(&path).unwrap()).unwrap();
    let mut shown = Shown::new();
    for entry in image.walk() {
        let entry = entry.unwrap();
        if entry.path.is_empty() {
            continue;
        }
        let info = &entry.inode;
        let mode = match info.kind {
            Kind::Directory => 0o040_000,
            Kind::Regular => 0o100_000,
            Kind::Symlink => 0o120_000,
            Kind::CharacterDevice(_) => 0o020_000,
            Kind::BlockDevice(_) => 0o060_000,
            Kind::Fifo => 0o010_000,
            Kind::Socket => 0o140_000,
        } | u32::from(info.permissions);
        let mut text = format!("{mode:o} {}:{}", info.uid, info.gid);
        if info.kind == Kind::Directory {
            let xattrs = image.xattrs(info).unwrap();
            let opaque = xattrs.iter().any(|xattr| xattr.name == b"trusted.overlay.opaque");
            text.push_str(&format!(" opaque {opaque}"));
        } else {
            text.push_str(&format!(" names {} size {}", info.links, info.size));
        }
        shown.insert(entry.path.clone(), text);
    }
    Ok((shown, unpacked.summary))
}

fn entry() -> impl Strategy<Value = (u8, String, String)> {
    let name = "(/|\\./)?([abl]|\\.wh\\.[ab]|\\.wh\\.\\.wh\\.\\.opq)(/([abl]|\\.\\.|\\.wh\\.[abl]|\\.wh\\.\\.wh\\.\\.opq)){0,3}";
    let link = "(/|\\.\\./)?(a|b|l|\\.\\.)(/(a|b|\\.\\.)){0,2}";
    (proptest::sample::select(b"001256".to_vec()), name, link)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 400, ..Default::default() })]

    #[test]
    fn privileged_random_archives_give_the_same(entries in proptest::collection::vec(entry(), 1..16)) {
        let mut archive = Tarball::default();
        for (number, (kind, path, link)) in entries.into_iter().enumerate() {
            archive = match kind {
                b'0' => archive.file(&path, &"x".repeat(number)),
                b'1' => archive.hard_link(&path, &link),
                b'2' => archive.symlink(&path, &link),
                kind => archive.raw(kind, path.as_bytes(), b"", |header| {
                    header.set_mode(0o711);
                    header.set_uid(number as u64);
                }),
            };
        }
        let archive = archive.end();
        let directory = tempfile::tempdir().unwrap();
        let (files, index) = (as_files(&archive, directory.path()), as_index(&archive, directory.path()));
        match (files, index) {
            (Ok(files), Ok(index)) => proptest::prop_assert_eq!(files, index),
            (Err(SnapshotError::Archive { .. }), Err(SnapshotError::Archive { .. })) => {}
            (files, index) => proptest::prop_assert!(false, "files: {files:?}\nindex: {index:?}"),
        }
    }
}
