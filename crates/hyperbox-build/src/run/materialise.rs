// SPDX-License-Identifier: MIT
//! Files of a tree, copied into a directory of this machine: what a step may write to, or what a cache mount begins with.
//!
//! The directory is new and nobody else's, and a tree has no entry below anything but directories, so no path leads out of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::bind::missing;
use super::{disk, private_directory};
use crate::StepError;
use crate::context::{Entry, EntryKind, Tree, TreeError};
use crate::step::BindMount;

/// As many symbolic links on the way are followed at most.
const MOST_LINKS: usize = 40;

/// Copies what a mount shows to `scratch`, which is made; returns where it is there. Blocks.
pub(super) fn copy(mount: &BindMount, scratch: &Path) -> Result<PathBuf, StepError> {
    let tree = mount.tree.as_ref();
    let from = resolve(tree, &mount.path)?;
    private_directory(scratch).map_err(|error| disk("make", scratch, error))?;
    let to = scratch.join("content");
    self::tree(tree, &from, &to)?;
    Ok(to)
}

/// Copies what is at a path of a tree, and below, to `to`, which is made. Blocks.
pub(crate) fn tree(tree: &dyn Tree, from: &Path, to: &Path) -> Result<(), StepError> {
    let failed = |source: TreeError| StepError::Tree {
        doing: format!("cannot copy {}: {source}", from.display()),
        source,
    };
    let mut names = HashMap::new();
    let mut directories = Vec::new();
    for entry in tree.walk(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let below = entry.path.strip_prefix(from).unwrap_or(&entry.path);
        let target = if below.as_os_str().is_empty() {
            to.to_path_buf()
        } else {
            to.join(below)
        };
        make(tree, &entry, &target, &mut names).map_err(|error| disk("copy", &entry.path, error))?;
        match entry.kind {
            // Their times change with what is put into them.
            EntryKind::Directory => directories.push((target, entry)),
            _ => settle(&entry, &target).map_err(|error| disk("copy", &entry.path, error))?,
        }
    }
    for (target, entry) in directories.into_iter().rev() {
        settle(&entry, &target).map_err(|error| disk("copy", &entry.path, error))?;
    }
    Ok(())
}

/// Follows links of a path, inside the tree.
fn resolve(tree: &dyn Tree, path: &str) -> Result<PathBuf, StepError> {
    let mut left: Vec<Vec<u8>> = parts(path.as_bytes());
    left.reverse();
    let mut here = PathBuf::new();
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == b".." {
            here.pop();
            continue;
        }
        let next = here.join(OsStr::from_bytes(&name));
        let entry = tree.entry(&next).map_err(|source| StepError::Tree {
            doing: format!("cannot look at {path}: {source}"),
            source,
        })?;
        match entry.ok_or_else(|| missing(path))?.kind {
            EntryKind::Symlink { target } => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(StepError::invalid(format!("{path}: too many links")));
                }
                if target.is_absolute() {
                    here = PathBuf::new();
                }
                left.extend(parts(target.as_os_str().as_bytes()).into_iter().rev());
            }
            _ => here = next,
        }
    }
    Ok(here)
}

fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/');
    names
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

fn make(tree: &dyn Tree, entry: &Entry, target: &Path, names: &mut HashMap<u64, PathBuf>) -> io::Result<()> {
    let device = |major, minor| rustix::fs::makedev(major, minor);
    let node = |kind, number| -> io::Result<()> { Ok(rustix::fs::mknodat(CWD, target, kind, Mode::empty(), number)?) };
    match &entry.kind {
        EntryKind::Directory => fs::create_dir(target),
        EntryKind::Symlink { target: text } => std::os::unix::fs::symlink(text, target),
        EntryKind::CharacterDevice { major, minor } => node(FileType::CharacterDevice, device(*major, *minor)),
        EntryKind::BlockDevice { major, minor } => node(FileType::BlockDevice, device(*major, *minor)),
        EntryKind::Pipe => node(FileType::Fifo, 0),
        EntryKind::File { identity, .. } => {
            if let Some(identity) = identity {
                if let Some(first) = names.get(identity) {
                    return fs::hard_link(first, target);
                }
                names.insert(*identity, target.to_path_buf());
            }
            let mut content = tree.open(&entry.path).map_err(io::Error::other)?;
            let mut file = fs::File::create_new(target)?;
            io::copy(&mut content, &mut file).map(drop)
        }
    }
}

/// Gives owner, mode, attributes and time, in the order in which one does not undo the other.
fn settle(entry: &Entry, target: &Path) -> io::Result<()> {
    let (owner, group) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::chownat(CWD, target, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    if !matches!(entry.kind, EntryKind::Symlink { .. }) {
        rustix::fs::chmodat(CWD, target, Mode::from_raw_mode(entry.mode & 0o7777), AtFlags::empty())?;
        for (name, value) in &entry.attributes {
            rustix::fs::lsetxattr(target, name.as_os_str(), value, XattrFlags::empty())?;
        }
    }
    let time = Timespec {
        tv_sec: entry.modified_at.seconds(),
        tv_nsec: entry.modified_at.0.rem_euclid(1_000_000_000),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
