// SPDX-License-Identifier: MIT
//! The tree that a layer is unpacked into: from names of the archive to directories, never leaving it.
//!
//! What the archive says of a path meets what is there already: parents that are missing, whiteouts and dangling links in the way.
//! The last directory is remembered, since archives list a directory's entries one after the other.
//!
//! Nobody else changes a layer's tree meanwhile: it is in a directory that only its owner may enter. That of a running container
//! does change; nothing here relies on the contrary but for the files that are made, which are then others than was meant.

use std::os::fd::OwnedFd;

use hyperbox_core::seam::SnapshotError;
use rustix::io::Errno;

use super::disk::Disk;
use super::filesystem::{Filesystem, Present};
use super::names;
use crate::failure::on_entry;

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
pub(crate) const MOST_LINKS: usize = 40;

/// A place in the tree: the filesystem, the directory, and the name in it.
pub(crate) type Place<'t, 'p, F> = (&'t F, &'t <F as Filesystem>::Directory, &'p [u8]);

#[derive(Debug)]
pub(crate) struct Tree<F: Filesystem = Disk> {
    filesystem: F,
    /// The directory used last, with its path.
    last: Option<(Vec<u8>, F::Directory)>,
    /// Directories that were made because an entry needed them.
    made: u64,
}

impl Tree<Disk> {
    /// A tree of real files in which other filesystems are mounted, and which others may change meanwhile.
    pub(crate) fn with_mounts(root: OwnedFd) -> Self {
        Self::new(Disk::with_mounts(root))
    }
}

impl<F: Filesystem> Tree<F> {
    pub(crate) fn new(filesystem: F) -> Self {
        Self {
            filesystem,
            last: None,
            made: 0,
        }
    }

    pub(crate) fn filesystem(&self) -> &F {
        &self.filesystem
    }

    pub(crate) fn into_filesystem(self) -> F {
        self.filesystem
    }

    /// Returns how many directories were made implicitly since the last call.
    pub(crate) fn take_made(&mut self) -> u64 {
        std::mem::take(&mut self.made)
    }

    /// Returns the directory that holds `path`, made if it is missing, and the last name.
    pub(crate) fn locate<'a>(&mut self, path: &'a [u8]) -> Result<(&F::Directory, &'a [u8]), SnapshotError> {
        self.place(path).map(|(_, directory, name)| (directory, name))
    }

    /// [`Tree::locate`], with the filesystem.
    pub(crate) fn place<'a>(&mut self, path: &'a [u8]) -> Result<Place<'_, 'a, F>, SnapshotError> {
        let (directory, name) = names::split(path);
        if directory.is_empty() {
            return Ok((&self.filesystem, self.filesystem.root(), name));
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != directory) {
            let opened = match self.filesystem.resolve(directory) {
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    self.made += self.ensure_directory(directory)?;
                    self.filesystem.resolve(directory)
                }
                result => result,
            };
            let opened = opened.map_err(|error| on_entry("open the directory of", path, error))?;
            self.last = Some((directory.to_vec(), opened));
        }
        let root = self.filesystem.root();
        let directory = self.last.as_ref().map_or(root, |(_, directory)| directory);
        Ok((&self.filesystem, directory, name))
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
        let filesystem = &self.filesystem;
        let parent = filesystem.resolve(directory)?;
        let mut hides = false;
        match filesystem.make_directory(&parent, name) {
            Err(Errno::EXIST) => match filesystem.kind(&parent, name)? {
                Present::Symlink => {
                    return match filesystem.resolve(path) {
                        Err(Errno::NOENT) => {
                            let text = filesystem.read_link(&parent, name)?;
                            Ok(Ensured::Dangling(names::follow(directory, &text)))
                        }
                        result => result.map(|_| Ensured::Present),
                    };
                }
                Present::Whiteout => {
                    filesystem.remove(&parent, name)?;
                    filesystem.make_directory(&parent, name)?;
                    hides = true;
                }
                Present::Directory | Present::Other => return Ok(Ensured::Present),
            },
            result => result?,
        }
        let directory = filesystem.open_directory(&parent, name)?;
        filesystem.open_to_all(&directory)?;
        if hides {
            filesystem.set_opaque(&directory)?;
            // It took the place of an inode that was counted.
            return Ok(Ensured::Present);
        }
        Ok(Ensured::Made)
    }

    /// Opens the directory `path` itself for changing its attributes, not following a link in its last name.
    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<F::Directory, Errno> {
        if path.is_empty() {
            return self.filesystem.open_root();
        }
        let (parent, name) = self.find(path)?;
        self.filesystem.open_directory(&parent, name)
    }

    /// Opens the directory that holds `path`, which must exist.
    pub(crate) fn find<'a>(&self, path: &'a [u8]) -> Result<(F::Directory, &'a [u8]), Errno> {
        let (directory, name) = names::split(path);
        Ok((self.filesystem.resolve(directory)?, name))
    }

    /// Tells whether `path` is a directory, not following a link.
    pub(crate) fn is_directory(&mut self, path: &[u8]) -> Result<bool, SnapshotError> {
        let (filesystem, parent, name) = self.place(path)?;
        let kind = filesystem.kind(parent, name);
        Ok(kind.map_err(|error| on_entry("look at", path, error))? == Present::Directory)
    }

    /// Removes what is at `path`.
    pub(crate) fn clear(&mut self, path: &[u8]) -> Result<Cleared, SnapshotError> {
        let failed = |error| on_entry("replace", path, error);
        let (filesystem, parent, name) = self.place(path)?;
        let cleared = match filesystem.kind(parent, name).map_err(failed)? {
            Present::Directory => Cleared::Directory,
            Present::Whiteout => Cleared::Whiteout,
            Present::Symlink | Present::Other => Cleared::File,
        };
        filesystem.remove(parent, name).map_err(failed)?;
        // It may have been, or have led to, the directory used last.
        self.last = None;
        Ok(cleared)
    }
}
