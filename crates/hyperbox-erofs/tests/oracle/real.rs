// SPDX-License-Identifier: MIT
//! A real tree: what this machine has in `/usr/share/doc` and `/usr/lib/python3`, or whichever of these it has.

use std::fs;
use std::path::Path;
use std::process::Command;

use hyperbox_erofs::Image;

use crate::mounted::Mounted;
use crate::{index, tools, view};

#[test]
fn privileged_a_real_tree_is_mounted_as_it_is_extracted() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let sources: Vec<&str> = ["etc", "usr/share/zoneinfo", "usr/lib/python3", "usr/sbin"]
        .into_iter()
        .filter(|path| Path::new("/").join(path).is_dir())
        .collect();
    let mut pack = Command::new("tar");
    pack.args([
        "--format=posix",
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "--sort=name",
        "-C",
        "/",
        "-cf",
    ]);
    pack.arg(place("tar")).args(&sources);
    // Some of /etc may change meanwhile, which tar tells by status 1.
    let status = pack.output().unwrap().status;
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    fs::create_dir(place("extracted")).unwrap();
    tools::extract(&place("tar"), &place("extracted"));
    let mut expected = view::of_directory(&place("extracted"));
    let summary = index::of_file(&place("tar"), &place("ours"));
    assert!(summary.inodes > 1000, "{summary:?}");

    let mounted = Mounted::new(&place("ours"), &[&place("tar")]);
    let mut found = view::of_directory(&mounted.path());
    // Directories that the archive does not list are as the extractor likes.
    for path in ["", "usr", "usr/share", "usr/lib"] {
        found.remove(path.as_bytes());
        expected.remove(path.as_bytes());
    }
    view::assert_same("the kernel", &found, &expected);
    tools::check_index(&place("ours"), &place("tar"));
    let archive = fs::read(place("tar")).unwrap();
    let mut read = view::of_image(&Image::open(fs::read(place("ours")).unwrap()).unwrap(), &[&archive]);
    read.retain(|path, _| expected.contains_key(path));
    view::assert_same("our reader", &read, &expected);
    tools::make_index(&place("tar"), &place("theirs"));
    let mut theirs = view::of_image(&Image::open(fs::read(place("theirs")).unwrap()).unwrap(), &[&archive]);
    theirs.retain(|path, _| expected.contains_key(path));
    view::assert_same("an index of mkfs.erofs", &theirs, &expected);
}
