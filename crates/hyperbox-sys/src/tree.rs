// SPDX-License-Identifier: MIT
//! Walking, measuring and deleting directory trees that somebody hostile may have built.
//!
//! A container can nest directories deeper than `PATH_MAX`, plant symbolic links and rename while we walk. So everything is
//! relative to a descriptor, links are never followed, and one descriptor (of the current directory) is held at any depth: the
//! way up is `..`, and what it leads to must be the directory that we came from. No recursion.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

/// What the walk came to.
#[derive(Debug)]
pub enum Visit<'a> {
    /// A directory entry. Directories are entered afterwards, when the visitor says so.
    Entry(Entry<'a>),
    /// A directory whose content was visited.
    Leave(Entry<'a>),
}

/// A name in a directory.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The directory that holds it.
    pub parent: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a CStr,
    /// Its path, relative to where the walk started.
    pub path: &'a Path,
    /// What it is.
    pub kind: FileType,
}

/// Whether the walk enters a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descend {
    /// Visit its content.
    Into,
    /// Leave it alone.
    Past,
}

/// Disk usage of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TreeUsage {
    /// Allocated bytes; what has several links counts once.
    pub bytes: u64,
    /// Inodes, the root included.
    pub inodes: u64,
    /// Lengths of everything but directories, holes included; what has several links counts once. This is what Docker calls size.
    pub content: u64,
}

/// Opens a directory for reading, not following a link.
///
/// # Errors
/// `ENOTDIR` or `ELOOP` when it is something else.
pub fn open_directory(parent: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Walks the tree below `root` (which itself is not visited): all entries of a directory, then its subdirectories one by one.
///
/// What vanishes during the walk is passed over. The descriptor's position is used up.
///
/// # Errors
/// That of the failing system call, or the visitor's own.
pub fn walk(root: OwnedFd, visit: &mut dyn FnMut(Visit<'_>) -> io::Result<Descend>) -> io::Result<()> {
    walk_levels(root, read_level, visit)
}

/// [`walk`], the entries of each directory sorted by name. Holds the names of one directory at a time.
///
/// # Errors
/// As [`walk`].
pub fn walk_sorted(root: OwnedFd, visit: &mut dyn FnMut(Visit<'_>) -> io::Result<Descend>) -> io::Result<()> {
    walk_levels(root, read_level_sorted, visit)
}

type ReadLevel =
    fn(BorrowedFd<'_>, &Path, &mut dyn FnMut(Visit<'_>) -> io::Result<Descend>) -> io::Result<Vec<CString>>;

fn walk_levels(
    root: OwnedFd,
    read_level: ReadLevel,
    visit: &mut dyn FnMut(Visit<'_>) -> io::Result<Descend>,
) -> io::Result<()> {
    let mut path = PathBuf::new();
    let identity = identity(&rustix::fs::fstat(&root)?);
    let pending = read_level(root.as_fd(), &path, visit)?;
    let mut levels = vec![Level {
        name: CString::default(),
        identity,
        pending,
    }];
    let mut current = root;
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.pending.pop() {
            let Some(directory) = present(open_directory(&current, name.as_c_str()))? else {
                continue;
            };
            path.push(Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())));
            let identity = self::identity(&rustix::fs::fstat(&directory)?);
            let pending = read_level(directory.as_fd(), &path, visit)?;
            current = directory;
            levels.push(Level {
                name,
                identity,
                pending,
            });
            continue;
        }
        let Some(left) = levels.pop() else { break };
        let Some(above) = levels.last() else { break };
        let parent = open_directory(&current, c"..")?;
        if self::identity(&rustix::fs::fstat(&parent)?) != above.identity {
            return Err(io::Error::other("a directory was moved while its tree was walked"));
        }
        current = parent;
        let entry = Entry {
            parent: current.as_fd(),
            name: &left.name,
            path: &path,
            kind: FileType::Directory,
        };
        visit(Visit::Leave(entry))?;
        path.pop();
    }
    Ok(())
}

struct Level {
    name: CString,
    identity: (u64, u64),
    pending: Vec<CString>,
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Visits the entries of one directory and returns the subdirectories to enter.
fn read_level(
    directory: BorrowedFd<'_>,
    path: &Path,
    visit: &mut dyn FnMut(Visit<'_>) -> io::Result<Descend>,
) -> io::Result<Vec<CString>> {
    let mut pending = Vec::new();
    let mut full = path.to_path_buf();
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut entries = RawDir::new(directory, spare(&mut buffer));
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from);
            let Some(stat) = present(stat)? else { continue };
            kind = FileType::from_raw_mode(stat.st_mode);
        }
        full.push(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let descend = visit(Visit::Entry(Entry {
            parent: directory,
            name,
            path: &full,
            kind,
        }))?;
        full.pop();
        if kind == FileType::Directory && descend == Descend::Into {
            pending.push(name.to_owned());
        }
    }
    Ok(pending)
}

/// [`read_level`] in the order of names; the subdirectories come out in reverse, as the walk takes the last one first.
fn read_level_sorted(
    directory: BorrowedFd<'_>,
    path: &Path,
    visit: &mut dyn FnMut(Visit<'_>) -> io::Result<Descend>,
) -> io::Result<Vec<CString>> {
    let mut entries: Vec<(CString, FileType)> = Vec::new();
    read_level(directory, path, &mut |found| {
        if let Visit::Entry(entry) = found {
            entries.push((entry.name.to_owned(), entry.kind));
        }
        Ok(Descend::Past)
    })?;
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let mut pending = Vec::new();
    let mut full = path.to_path_buf();
    for (name, kind) in entries {
        full.push(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let descend = visit(Visit::Entry(Entry {
            parent: directory,
            name: &name,
            path: &full,
            kind,
        }))?;
        full.pop();
        if kind == FileType::Directory && descend == Descend::Into {
            pending.push(name);
        }
    }
    pending.reverse();
    Ok(pending)
}

fn spare(buffer: &mut Vec<u8>) -> &mut [MaybeUninit<u8>] {
    buffer.spare_capacity_mut()
}

/// Turns "it is gone, or is no directory any more" into `None`.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Deletes whatever `name` is in `parent`, with everything below it. What is not there is deleted already.
///
/// `go_on` is asked before each entry; [`ControlFlow::Break`] stops the deletion, which then returns `Ok(false)`.
///
/// # Errors
/// That of the failing system call; what was not reached is still there.
pub fn remove(parent: impl AsFd, name: &CStr, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> io::Result<bool> {
    let parent = parent.as_fd();
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    // A directory that still grows (a process of the container lives) is tried a few times.
    for _ in 0..8 {
        let Some(root) = present(open_directory(parent, name))? else {
            return Ok(true);
        };
        if !empty(root, go_on)? {
            return Ok(false);
        }
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            Err(Errno::NOTEMPTY) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::NOTEMPTY.into())
}

fn empty(root: OwnedFd, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> io::Result<bool> {
    const STOPPED: &str = "stopped on request";
    let result = walk(root, &mut |visit| {
        if go_on().is_break() {
            return Err(io::Error::other(STOPPED));
        }
        let (entry, flags) = match visit {
            Visit::Entry(entry) if entry.kind == FileType::Directory => return Ok(Descend::Into),
            Visit::Entry(entry) => (entry, AtFlags::empty()),
            Visit::Leave(entry) => (entry, AtFlags::REMOVEDIR),
        };
        match rustix::fs::unlinkat(entry.parent, entry.name, flags) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(Descend::Past),
            Err(error) => Err(error.into()),
        }
    });
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error().is_none() && error.to_string() == STOPPED => Ok(false),
        Err(error) => Err(error),
    }
}

/// Measures a tree.
///
/// # Errors
/// That of the failing system call.
pub fn usage(root: OwnedFd) -> io::Result<TreeUsage> {
    let stat = rustix::fs::fstat(&root)?;
    let mut usage = TreeUsage {
        bytes: allocated(&stat),
        inodes: 1,
        content: 0,
    };
    let mut linked = HashSet::new();
    walk(root, &mut |visit| {
        let Visit::Entry(entry) = visit else {
            return Ok(Descend::Past);
        };
        let stat = rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from);
        let Some(stat) = present(stat)? else {
            return Ok(Descend::Past);
        };
        let several = entry.kind != FileType::Directory && stat.st_nlink > 1;
        if !several || linked.insert(identity(&stat)) {
            usage.bytes += allocated(&stat);
            usage.inodes += 1;
            if entry.kind != FileType::Directory {
                usage.content += u64::try_from(stat.st_size).unwrap_or(0);
            }
        }
        Ok(Descend::Into)
    })?;
    Ok(usage)
}

/// `st_blocks` counts units of 512 bytes on every filesystem (stat(2)).
fn allocated(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * 512
}

#[cfg(test)]
mod tests;
