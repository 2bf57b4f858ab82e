// SPDX-License-Identifier: MIT
use std::fs;
use std::ops::ControlFlow;

use rustix::fs::{CWD, Mode};

use super::{Descend, Visit, open_directory, remove, usage, walk};

fn scratch(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("hyperbox-tree-{name}-{}", std::process::id()));
    fs::create_dir(&path).unwrap();
    path
}

#[test]
fn walks_and_removes_trees_deeper_than_path_max() {
    let root = scratch("deep");
    let mut current = open_directory(CWD, &root).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&current, c"level", Mode::RWXU).unwrap();
        current = open_directory(&current, c"level").unwrap();
    }
    drop(current);
    let measured = usage(open_directory(CWD, &root).unwrap()).unwrap();
    assert_eq!(measured.inodes, 3001);
    let parent = open_directory(CWD, root.parent().unwrap()).unwrap();
    let name = std::ffi::CString::new(root.file_name().unwrap().as_encoded_bytes()).unwrap();
    assert!(remove(&parent, &name, &mut || ControlFlow::Continue(())).unwrap());
    assert!(!root.exists());
    assert!(remove(&parent, &name, &mut || ControlFlow::Continue(())).unwrap());
}

#[test]
fn never_follows_links_and_counts_hard_links_once() {
    let root = scratch("links");
    let outside = scratch("links-outside");
    fs::write(outside.join("precious"), "x").unwrap();
    fs::write(root.join("file"), vec![1; 8192]).unwrap();
    fs::hard_link(root.join("file"), root.join("again")).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("away")).unwrap();
    fs::create_dir_all(root.join("a/b")).unwrap();

    assert_eq!(usage(open_directory(CWD, &root).unwrap()).unwrap().inodes, 5);
    let mut events = Vec::new();
    walk(open_directory(CWD, &root).unwrap(), &mut |visit| {
        events.push(match visit {
            Visit::Entry(entry) => format!("+{}", entry.path.display()),
            Visit::Leave(entry) => format!("-{}", entry.path.display()),
        });
        Ok(Descend::Into)
    })
    .unwrap();
    let order = |event: &str| events.iter().position(|found| found == event).unwrap();
    assert!(order("+a") < order("+a/b") && order("+a/b") < order("-a/b") && order("-a/b") < order("-a"));
    assert_eq!(events.len(), 7, "{events:?}");

    let parent = open_directory(CWD, root.parent().unwrap()).unwrap();
    let name = std::ffi::CString::new(root.file_name().unwrap().as_encoded_bytes()).unwrap();
    assert!(!remove(&parent, &name, &mut || ControlFlow::Break(())).unwrap());
    assert!(root.exists());
    assert!(remove(&parent, &name, &mut || ControlFlow::Continue(())).unwrap());
    assert!(outside.join("precious").exists());
    fs::remove_dir_all(outside).unwrap();
}
