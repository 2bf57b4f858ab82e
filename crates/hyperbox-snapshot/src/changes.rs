// SPDX-License-Identifier: MIT
//! What a container changed: its upper directory compared with the merged view of its layers (`docker diff`).
//!
//! As Docker shows it: a directory is listed when its own metadata changed or when something inside it did. A container that
//! runs may change things meanwhile; each path is then shown as it was at one moment or another.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::{FileChange, FileChangeKind};
use hyperbox_sys::tree::{Descend, Visit, open_directory, walk};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Lists the changes, sorted by path.
pub(crate) fn changes(upper: OwnedFd, lower: &OwnedFd) -> io::Result<Vec<FileChange>> {
    let mut found = Found {
        upper: open_directory(&upper, c".")?,
        lower,
        changes: BTreeMap::new(),
        opaque: Vec::new(),
    };
    walk(upper, &mut |visit| {
        if let Visit::Entry(entry) = visit {
            match rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => found.compare(entry.path, &stat)?,
                Err(Errno::NOENT) => return Ok(Descend::Past),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Descend::Into)
    })?;
    found.list_hidden()?;
    found.add_parents();
    let absolute = |(path, kind)| FileChange {
        path: Path::new("/").join(path),
        kind,
    };
    Ok(found.changes.into_iter().map(absolute).collect())
}

struct Found<'a> {
    upper: OwnedFd,
    lower: &'a OwnedFd,
    changes: BTreeMap<PathBuf, FileChangeKind>,
    /// Directories of the upper directory that hide those of the layers.
    opaque: Vec<PathBuf>,
}

impl Found<'_> {
    fn compare(&mut self, path: &Path, upper: &Stat) -> io::Result<()> {
        let lower = look(self.lower, path)?;
        let kind = match lower {
            None if is_whiteout(upper) => return Ok(()),
            None => FileChangeKind::Added,
            Some(_) if is_whiteout(upper) => FileChangeKind::Deleted,
            Some(lower) if is_directory(&lower) && is_directory(upper) => {
                let is_opaque = is_opaque(&self.upper, path)?;
                if is_opaque {
                    self.opaque.push(path.to_path_buf());
                } else if same_metadata(&lower, upper) {
                    return Ok(());
                }
                FileChangeKind::Modified
            }
            Some(_) => FileChangeKind::Modified,
        };
        self.changes.insert(path.to_path_buf(), kind);
        Ok(())
    }

    /// Lists what opaque directories hide and do not have themselves.
    fn list_hidden(&mut self) -> io::Result<()> {
        // Inside an opaque directory nothing of the layers is seen, marked or not: the outermost mark covers the others.
        self.opaque.sort();
        let mut outermost: Vec<PathBuf> = Vec::new();
        for path in std::mem::take(&mut self.opaque) {
            if outermost.last().is_none_or(|last| !path.starts_with(last)) {
                outermost.push(path);
            }
        }
        for directory in outermost {
            let root = rustix::fs::openat2(self.lower, &directory, READ, Mode::empty(), BENEATH)?;
            walk(root, &mut |visit| {
                let Visit::Entry(entry) = visit else {
                    return Ok(Descend::Past);
                };
                let path = directory.join(entry.path);
                match look(&self.upper, &path)? {
                    Some(upper) if is_directory(&upper) => return Ok(Descend::Into),
                    Some(upper) if !is_whiteout(&upper) => {}
                    _ => drop(self.changes.insert(path, FileChangeKind::Deleted)),
                }
                Ok(Descend::Past)
            })?;
        }
        Ok(())
    }

    fn add_parents(&mut self) {
        let parents: Vec<PathBuf> = self
            .changes
            .keys()
            .flat_map(|path| path.ancestors().skip(1))
            .filter(|path| !path.as_os_str().is_empty() && !self.changes.contains_key(*path))
            .map(Path::to_path_buf)
            .collect();
        for path in parents {
            self.changes.insert(path, FileChangeKind::Modified);
        }
    }
}

const READ: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// Looks at a path, following nothing; a whiteout of a single layer's own directory counts as absent there.
fn look(root: &OwnedFd, path: &Path) -> io::Result<Option<Stat>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), BENEATH) {
        Ok(file) => Ok(Some(rustix::fs::fstat(&file)?).filter(|stat| !is_whiteout(stat))),
        // A file or a link where the path has a directory.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_opaque(upper: &OwnedFd, path: &Path) -> io::Result<bool> {
    let Ok(directory) = rustix::fs::openat2(upper, path, READ, Mode::empty(), BENEATH) else {
        return Ok(false);
    };
    let mut value = [0_u8; 8];
    match rustix::fs::fgetxattr(&directory, "trusted.overlay.opaque", &mut value) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn same_metadata(one: &Stat, other: &Stat) -> bool {
    let metadata = |stat: &Stat| {
        (
            stat.st_mode,
            stat.st_uid,
            stat.st_gid,
            stat.st_mtime,
            stat.st_mtime_nsec,
        )
    };
    metadata(one) == metadata(other)
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
