// SPDX-License-Identifier: MIT
//! The directory that a layer is unpacked into: from names of the archive to descriptors, never leaving it.
//!
//! Paths are resolved by openat2(2) beneath the root's descriptor, first without following links, which is the usual case.
//! Where an earlier entry made a parent a symbolic link, it is followed with `RESOLVE_IN_ROOT`: absolute targets and `..` then
//! mean the layer's root. The last directory is remembered, since archives list a directory's entries one after the other.
//!
//! Nobody else changes a layer's tree meanwhile: it is in a directory that only its owner may enter. That of a running container
//! does change; nothing here relies on the contrary but for the files that are made, which are then others than was meant.

use std::ffi::CString;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_core::seam::SnapshotError;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::{attributes, names};
use crate::failure::on_entry;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// What was removed to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cleared {
    /// A whiteout: what comes in its place must hide the layers below.
    Whiteout,
    /// A directory with its content.
    Directory,
    /// Something else.
    File,
}

/// What became of a directory that is needed.
enum Ensured {
    Made,
    Present,
    /// It is a symbolic link to this path, where nothing is yet.
    Dangling(Vec<u8>),
}

/// How many links may lead on: what Linux allows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// The directory used last, with its path.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Directories that were made because an entry needed them.
    made: u64,
    /// What every resolution is bound to beside the root.
    bounds: ResolveFlags,
}

impl Tree {
    /// A tree on one filesystem.
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self {
            root,
            last: None,
            made: 0,
            bounds: ResolveFlags::NO_XDEV,
        }
    }

    /// A tree in which other filesystems are mounted, and which others may change meanwhile.
    pub(crate) fn with_mounts(root: OwnedFd) -> Self {
        Self {
            bounds: ResolveFlags::empty(),
            ..Self::new(root)
        }
    }

    /// Returns how many directories were made implicitly since the last call.
    pub(crate) fn take_made(&mut self) -> u64 {
        std::mem::take(&mut self.made)
    }

    /// Returns the directory that holds `path`, made if it is missing, and the last name.
    pub(crate) fn locate<'a>(&mut self, path: &'a [u8]) -> Result<(BorrowedFd<'_>, &'a [u8]), SnapshotError> {
        let (directory, name) = names::split(path);
        if directory.is_empty() {
            return Ok((self.root.as_fd(), name));
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != directory) {
            let opened = match self.resolve(directory, DIRECTORY) {
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    self.made += self.ensure_directory(directory)?;
                    self.resolve(directory, DIRECTORY)
                }
                result => result,
            };
            let opened = opened.map_err(|error| on_entry("open the directory of", path, error))?;
            self.last = Some((directory.to_vec(), opened));
        }
        let directory = self
            .last
            .as_ref()
            .map_or(self.root.as_fd(), |(_, directory)| directory.as_fd());
        Ok((directory, name))
    }

    /// Makes the directory `path` and those above it, as far as they are missing; returns how many were made. A whiteout in
    /// the way becomes an opaque directory; what a symbolic link in the way leads to is made as well, as Docker does.
    pub(crate) fn ensure_directory(&mut self, path: &[u8]) -> Result<u64, SnapshotError> {
        let mut made = 0;
        let mut waiting = vec![path.to_vec()];
        let mut links = 0;
        while let Some(path) = waiting.pop() {
            let ends = path
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'/')
                .map(|(at, _)| at)
                .chain([path.len()]);
            for end in ends {
                match self
                    .ensure_one(&path[..end])
                    .map_err(|error| on_entry("create", &path, error))?
                {
                    Ensured::Made => made += 1,
                    Ensured::Present => {}
                    Ensured::Dangling(target) => {
                        links += 1;
                        if links > MOST_LINKS {
                            return Err(on_entry("create", &path, Errno::LOOP));
                        }
                        waiting.extend([path, target]);
                        break;
                    }
                }
            }
        }
        Ok(made)
    }

    /// Makes one directory in an existing one.
    fn ensure_one(&mut self, path: &[u8]) -> Result<Ensured, Errno> {
        let (directory, name) = names::split(path);
        if path.is_empty() {
            return Ok(Ensured::Present);
        }
        let parent = self.resolve(directory, DIRECTORY)?;
        let make = || rustix::fs::mkdirat(&parent, name, Mode::RWXU);
        let mut hides = false;
        match make() {
            Err(Errno::EXIST) => {
                let stat = stat(&parent, name)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                    return match self.resolve(path, DIRECTORY) {
                        Err(Errno::NOENT) => {
                            let text = rustix::fs::readlinkat(&parent, name, Vec::new())?;
                            Ok(Ensured::Dangling(names::follow(directory, text.to_bytes())))
                        }
                        result => result.map(|_| Ensured::Present),
                    };
                }
                if !is_whiteout(&stat) {
                    return Ok(Ensured::Present);
                }
                rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
                make()?;
                hides = true;
            }
            result => result?,
        }
        let directory = open_directory(&parent, name)?;
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
        if hides {
            attributes::set_opaque(&directory)?;
            // It took the place of an inode that was counted.
            return Ok(Ensured::Present);
        }
        Ok(Ensured::Made)
    }

    /// Opens the directory `path` itself for changing its attributes, not following a link in its last name.
    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return open_directory(&self.root, b".");
        }
        let (parent, name) = self.find(path)?;
        open_directory(&parent, name)
    }

    /// Opens the directory that holds `path`, which must exist.
    pub(crate) fn find<'a>(&self, path: &'a [u8]) -> Result<(OwnedFd, &'a [u8]), Errno> {
        let (directory, name) = names::split(path);
        Ok((self.resolve(directory, DIRECTORY)?, name))
    }

    /// Tells whether `path` is a directory, not following a link.
    pub(crate) fn is_directory(&mut self, path: &[u8]) -> Result<bool, SnapshotError> {
        let (parent, name) = self.locate(path)?;
        let stat = stat(parent, name).map_err(|error| on_entry("look at", path, error))?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Removes what is at `path`.
    pub(crate) fn clear(&mut self, path: &[u8]) -> Result<Cleared, SnapshotError> {
        let failed = |error| on_entry("replace", path, error);
        let (parent, name) = self.locate(path)?;
        let stat = stat(parent, name).map_err(failed)?;
        let cleared = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Cleared::Directory,
            _ if is_whiteout(&stat) => Cleared::Whiteout,
            _ => Cleared::File,
        };
        let name = CString::new(name).map_err(|_| failed(Errno::INVAL))?;
        hyperbox_sys::tree::remove(parent, &name, &mut || ControlFlow::Continue(()))
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        // It may have been, or have led to, the directory used last.
        self.last = None;
        Ok(cleared)
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b".".as_slice() } else { path };
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), BENEATH | self.bounds) {
            Err(Errno::LOOP | Errno::NOTDIR) => self.resolve_links(path, flags),
            result => result,
        }
    }

    /// `EAGAIN` means that something was renamed meanwhile anywhere on the machine, so that `..` was not provably safe.
    fn resolve_links(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        for _ in 0..64 {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), IN_ROOT | self.bounds) {
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }
}

fn open_directory(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn stat(parent: impl AsFd, name: &[u8]) -> Result<Stat, Errno> {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
