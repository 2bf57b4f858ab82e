// SPDX-License-Identifier: MIT
//! Comparing a committed layer with what it was made of.
//!
//! An indexed layer keeps its whole tar, which proves itself (`verify/indexed.rs`). A directory keeps no checksum. So with the layer's archive at hand the archive is unpacked once more, aside, and both trees are
//! compared entry by entry: kind, mode, owner, device number, size, time, link target, extended attributes, bytes. Without it, only
//! what `layer.json` tells can be: how many inodes there are.
//!
//! Times of directories are not compared: those of directories that the archive implies are of the moment of unpacking. Memory:
//! one digest and one path per entry. What is staged goes with the [`Staging`], whatever happens.

mod indexed;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use hyperbox_core::seam::{LayerCheck, SnapshotError};
use hyperbox_sys::tree::{Descend, Entry, Visit, open_directory, walk};
use hyperbox_types::DiffId;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::State;
use super::form::LayerForm;
use super::stage::Staging;
use crate::failure::{on_path, on_stream, refused};
use crate::inflate::Inflated;
use crate::unpack::{self, disk::Disk};

/// What one entry is, as a digest.
type Print = [u8; 32];

/// Compares; blocks until the whole layer was read.
pub(super) fn verify(
    state: Arc<State>,
    layer: &DiffId,
    archive: Option<Box<dyn Read + Send>>,
) -> Result<LayerCheck, SnapshotError> {
    let facts = state.facts(layer)?;
    if facts.form == LayerForm::Erofs {
        return indexed::verify(state, layer);
    }
    let path = state.layout.diff(layer);
    let damaged = |reason: String| Ok(LayerCheck::Damaged { reason });
    let root = match open_directory(CWD, &path) {
        Ok(root) => root,
        Err(error) => return damaged(format!("its directory cannot be opened: {error}")),
    };
    let Some(archive) = archive else {
        return match hyperbox_sys::tree::usage(root) {
            Ok(usage) if usage.inodes == facts.inodes => Ok(LayerCheck::Plausible {
                compared: "the number of inodes",
            }),
            Ok(usage) => damaged(format!("it has {} inodes instead of {}", usage.inodes, facts.inodes)),
            Err(error) => damaged(format!("it cannot be read: {error}")),
        };
    };
    let (_staging, expected) = unpack_aside(state, layer, archive)?;
    let expected = prints(expected).map_err(|error| on_path("read again", &path, error.source))?;
    match prints(root) {
        Ok(found) => Ok(compare(&expected, &found).map_or(LayerCheck::Intact, |reason| LayerCheck::Damaged { reason })),
        Err(unreadable) => damaged(format!(
            "{} cannot be read: {}",
            unreadable.path.display(),
            unreadable.source
        )),
    }
}

fn unpack_aside(
    state: Arc<State>,
    layer: &DiffId,
    archive: Box<dyn Read + Send>,
) -> Result<(Staging, OwnedFd), SnapshotError> {
    let limits = state.limits;
    let place = state.layout.staging();
    let staging = Staging::create(state)?;
    let root = staging.create_diff()?;
    let target = root.try_clone().map_err(|error| on_path("open", &place, error))?;
    let inflated = Inflated::start(archive, limits.stream).map_err(|error| on_path("unpack into", &place, error))?;
    let unpacked = unpack::unpack(Disk::new(target), inflated, &limits)?;
    let (diff_id, _) = unpacked.stream.finish().map_err(on_stream)?;
    if diff_id != *layer {
        return Err(refused(format!("it is the archive of layer {diff_id}, not of {layer}")));
    }
    // Unpacking used up the position of the description that both descriptors share.
    let root = open_directory(&root, c".").map_err(|error| on_path("open", &place, error))?;
    Ok((staging, root))
}

/// Returns the first difference in the order of paths.
fn compare(expected: &BTreeMap<PathBuf, Print>, found: &BTreeMap<PathBuf, Print>) -> Option<String> {
    let differs = expected.iter().find_map(|(path, print)| match found.get(path) {
        None => Some(format!("/{} is missing", path.display())),
        Some(other) if other != print => Some(format!("/{} differs", path.display())),
        Some(_) => None,
    });
    differs.or_else(|| {
        let extra = found.keys().find(|path| !expected.contains_key(*path))?;
        Some(format!("/{} does not belong there", extra.display()))
    })
}

/// An entry that could not be read.
struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

fn prints(root: OwnedFd) -> Result<BTreeMap<PathBuf, Print>, Unreadable> {
    let mut all = BTreeMap::new();
    let mut at = PathBuf::from("/");
    let walked = walk(root, &mut |visit| {
        if let Visit::Entry(entry) = visit {
            entry.path.clone_into(&mut at);
            all.insert(entry.path.to_owned(), print(&entry)?);
        }
        Ok(Descend::Into)
    });
    walked.map(|()| all).map_err(|source| Unreadable { path: at, source })
}

fn print(entry: &Entry<'_>) -> io::Result<Print> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(entry.parent, entry.name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut hasher = Sha256::new();
    hasher.update(stat.st_mode.to_le_bytes());
    hasher.update(stat.st_uid.to_le_bytes());
    hasher.update(stat.st_gid.to_le_bytes());
    hasher.update(stat.st_rdev.to_le_bytes());
    if entry.kind != FileType::Directory {
        hasher.update(stat.st_size.to_le_bytes());
        hasher.update(stat.st_mtime.to_le_bytes());
        hasher.update(stat.st_nlink.to_le_bytes());
    }
    match entry.kind {
        FileType::Symlink => hasher.update(rustix::fs::readlinkat(&file, c"", Vec::new())?.to_bytes()),
        FileType::RegularFile => {
            attributes(&itself, &mut hasher)?;
            // The descriptor is of the plain file that was looked at, whatever has its name by now.
            bytes(File::open(&itself)?, &mut hasher)?;
        }
        FileType::Directory => attributes(&itself, &mut hasher)?,
        _ => {}
    }
    Ok(hasher.finalize().into())
}

fn bytes(mut file: File, hasher: &mut Sha256) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// Hashes the extended attributes that containers and overlayfs see.
fn attributes(path: &str, hasher: &mut Sha256) -> io::Result<()> {
    let mut list = vec![0; 64 * 1024];
    let length = match rustix::fs::listxattr(path, &mut list) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut keys: Vec<&[u8]> = list[..length]
        .split(|byte| *byte == 0)
        .filter(|key| *key == b"security.capability" || key.starts_with(b"user.") || key.starts_with(b"trusted."))
        .collect();
    keys.sort_unstable();
    for key in keys {
        let mut value = vec![0; 64 * 1024];
        let length = rustix::fs::getxattr(path, key, &mut value)?;
        hasher.update(key);
        hasher.update((length as u64).to_le_bytes());
        hasher.update(&value[..length]);
    }
    Ok(())
}
