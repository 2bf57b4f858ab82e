// SPDX-License-Identifier: MIT
//! A directory tree as text, so that two of them can be compared.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hyperbox_snapshot::LayerForm;

/// Whether it matters that a file has holes. EROFS counts them as blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holes {
    Shown,
    Passed,
}

/// Describes everything below `root` that a tar archive can carry, by path.
pub(crate) fn describe(root: &Path, holes: Holes) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut links = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let relative = path.strip_prefix(root).unwrap().to_path_buf();
            if metadata.is_dir() {
                waiting.push(path.clone());
            } else {
                links
                    .entry(metadata.ino())
                    .or_insert_with(Vec::new)
                    .push(relative.clone());
            }
            found.insert(relative, describe_one(&path, &metadata, holes));
        }
    }
    // Names of one file are listed with each of them: which came first is no difference.
    for mut names in links.into_values() {
        names.sort();
        for name in &names {
            write!(found.get_mut(name).unwrap(), " names {names:?}").unwrap();
        }
    }
    found
}

fn describe_one(path: &Path, metadata: &std::fs::Metadata, holes: Holes) -> String {
    let mut text = format!(
        "mode {:o} owner {}:{} mtime {}.{:09} device {:x}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.rdev()
    );
    if metadata.is_file() {
        let content = std::fs::read(path).unwrap();
        let sum = content
            .iter()
            .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        write!(text, " length {} content {sum:x}", metadata.len()).unwrap();
        if holes == Holes::Shown {
            write!(text, " sparse {}", metadata.blocks() * 512 < metadata.len()).unwrap();
        }
    } else if metadata.is_symlink() {
        write!(text, " to {:?}", std::fs::read_link(path).unwrap()).unwrap();
    }
    for (name, value) in attributes(path) {
        write!(text, " {}={value:x?}", name.display()).unwrap();
    }
    text
}

fn attributes(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap();
    names.truncate(length);
    let mut found = BTreeMap::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let name = CStr::from_bytes_with_nul(name).unwrap();
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
        value.truncate(length);
        found.insert(PathBuf::from(OsStr::from_bytes(name.to_bytes())), value);
    }
    found
}

/// Shows where two trees differ, empty when they are the same.
pub(crate) fn differences(one: &Path, other: &Path, form: LayerForm) -> Vec<String> {
    let holes = match form {
        LayerForm::Directory => Holes::Shown,
        LayerForm::Erofs => Holes::Passed,
    };
    let [one, other] = [one, other].map(|root| describe(root, holes));
    let names: std::collections::BTreeSet<&PathBuf> = one.keys().chain(other.keys()).collect();
    names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .map(|name| format!("{}:\n  {:?}\n  {:?}", name.display(), one.get(name), other.get(name)))
        .collect()
}
