// SPDX-License-Identifier: MIT
//! Unpacking an archive into a container's tree, by Docker's rules (`archive.Untar` of github.com/moby/go-archive).
//!
//! Names are relative to the destination and must not leave it as text; symbolic links of the tree are followed inside the
//! container's root. Whiteouts mean nothing here. The container may run and rename things meanwhile: every step works on descriptors
//! and follows no link in the last name, so the worst that it can get is a file at another place of its own tree.

use std::io::{BufRead, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hyperbox_core::seam::{FilesError, Replace, WriteFiles};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::path::{self, Asked};
use super::view::View;
use super::{from_unpacking, owner};
use crate::archive::{Archive, Device, Entry, Kind};
use crate::failure::{on_entry, refused};
use crate::inflate::Inflated;
use crate::unpack::attributes::Attributes;
use crate::unpack::tree::Tree;
use crate::unpack::{Limits, file, names, normalise};

/// Unpacks `archive` into the directory that was asked for.
pub(super) fn into(
    view: &View,
    asked: &Asked,
    how: &WriteFiles,
    archive: Box<dyn Read + Send>,
    limits: &Limits,
) -> Result<(), FilesError> {
    let refuse = |reason: &str| FilesError::Refused {
        reason: reason.to_owned(),
    };
    let destination = match path::evaluate(view.root(), asked.path()) {
        Err(Errno::LOOP) => return Err(refuse("EvalSymlinks: too many links")),
        Err(Errno::NOTDIR) => return Err(refuse("extraction point is not a directory")),
        result => result.map_err(|error| asked.failure(error))?,
    };
    let directory = path::open(view.root(), &destination).map_err(|error| asked.failure(error))?;
    let stat = rustix::fs::fstat(&directory).map_err(|error| asked.failure(error))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(refuse("extraction point is not a directory"));
    }
    let absolute = Path::new("/").join(std::ffi::OsStr::from_bytes(&destination));
    match view.mount_at(&absolute) {
        Some(true) => return Err(refuse("mounted volume is marked read-only")),
        None if how.read_only_root => return Err(refuse("container rootfs is marked read-only")),
        Some(false) | None => {}
    }
    let owner = match &how.owner {
        Some(text) => Some(owner::find(view.root(), text)?),
        None => None,
    };
    let root = view.root().try_clone_to_owned();
    let root = root.map_err(|error| super::failed("open", "the container's root", error))?;
    let stream = Inflated::start(archive, limits.stream)
        .map_err(|error| super::failed("unpack into", absolute.display(), error))?;
    let mut extraction = Extraction {
        tree: Tree::with_mounts(root),
        destination,
        replace: how.replace,
        owner,
        directories: Vec::new(),
        names: 0,
        limits: *limits,
    };
    extraction.run(stream)
}

struct Extraction {
    tree: Tree,
    /// Relative to the root, without links.
    destination: Vec<u8>,
    replace: Replace,
    owner: Option<(u32, u32)>,
    /// Directories of the archive, whose times are set at the end.
    directories: Vec<(Vec<u8>, Attributes)>,
    names: usize,
    limits: Limits,
}

impl Extraction {
    fn run(&mut self, stream: impl BufRead) -> Result<(), FilesError> {
        let mut archive = Archive::new(stream);
        let mut entries = 0;
        while let Some(mut entry) = archive.next().map_err(from_unpacking)? {
            entries += 1;
            if entries > self.limits.entries {
                return Err(from_unpacking(refused("too many entries")));
            }
            if let Some((uid, gid)) = self.owner {
                (entry.uid, entry.gid) = (uid, gid);
            }
            self.apply(&entry, &mut archive)?;
        }
        for (path, attributes) in std::mem::take(&mut self.directories) {
            let Ok(directory) = self.tree.open_directory(&path) else {
                // Something else took its place, in the archive or in the container.
                continue;
            };
            attributes
                .apply_late(&directory)
                .map_err(|error| from_unpacking(on_entry("set the times of", &path, error)))?;
        }
        Ok(())
    }

    fn apply<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<(), FilesError> {
        let name = normalise(&entry.path).map_err(|_| FilesError::Refused {
            reason: format!("invalid entry name {:?}", String::from_utf8_lossy(&entry.path)),
        })?;
        let path = self.place(&name);
        let is_directory = entry.kind == Kind::Directory;
        match self.look(&path).map_err(from_unpacking)? {
            Some(FileType::Directory) if is_directory && name.is_empty() => return Ok(()),
            Some(FileType::Directory) if is_directory => {}
            Some(FileType::Directory) if self.replace == Replace::SameKind => {
                return Err(self.refuse("directory", &name, "non-directory"));
            }
            Some(_) if is_directory && self.replace == Replace::SameKind => {
                return Err(self.refuse("non-directory", &name, "directory"));
            }
            Some(_) if name.is_empty() => {
                return Err(from_unpacking(refused("an entry would replace the destination itself")));
            }
            Some(_) => drop(self.tree.clear(&path).map_err(from_unpacking)?),
            None => {}
        }
        self.make(&path, entry, archive).map_err(from_unpacking)
    }

    fn place(&self, name: &[u8]) -> Vec<u8> {
        match (self.destination.as_slice(), name) {
            (b"", name) => name.to_vec(),
            (destination, b"") => destination.to_vec(),
            (destination, name) => names::join(destination, name),
        }
    }

    fn refuse(&self, there: &str, name: &[u8], new: &str) -> FilesError {
        let name = String::from_utf8_lossy(name);
        let destination = path::shown(&self.destination);
        FilesError::Refused {
            reason: format!("cannot overwrite {there} {name:?} with {new} {destination:?}"),
        }
    }

    /// Tells what is at a path, following no link in the last place.
    fn look(&mut self, path: &[u8]) -> Result<Option<FileType>, hyperbox_core::seam::SnapshotError> {
        if path.is_empty() {
            return Ok(Some(FileType::Directory));
        }
        let (parent, name) = self.tree.locate(path)?;
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(on_entry("look at", path, error)),
        }
    }

    fn make<R: BufRead>(
        &mut self,
        path: &[u8],
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), hyperbox_core::seam::SnapshotError> {
        match entry.kind {
            Kind::Directory => self.directory(path, entry),
            Kind::HardLink => self.hard_link(path, entry),
            Kind::File => {
                let (parent, name) = self.tree.locate(path)?;
                let file = file::create(parent.as_fd(), name).map_err(|error| on_entry("create", path, error))?;
                file::fill(&file, entry, archive)?;
                Attributes::of(entry).apply_to_file(&file, entry)
            }
            Kind::Symlink => {
                let (parent, name) = self.tree.locate(path)?;
                rustix::fs::symlinkat(entry.link.as_slice(), parent, name)
                    .map_err(|error| on_entry("link", path, error))?;
                Attributes::of(entry).apply_to_name(parent.as_fd(), name, entry)
            }
            Kind::Fifo => self.special(path, entry, FileType::Fifo, None),
            Kind::Character(device) => self.special(path, entry, FileType::CharacterDevice, Some(device)),
            Kind::Block(device) => self.special(path, entry, FileType::BlockDevice, Some(device)),
        }
    }

    fn directory(&mut self, path: &[u8], entry: &Entry) -> Result<(), hyperbox_core::seam::SnapshotError> {
        let (parent, name) = self.tree.locate(path)?;
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(on_entry("create", path, error)),
        }
        let directory = self
            .tree
            .open_directory(path)
            .map_err(|error| on_entry("open", path, error))?;
        let attributes = Attributes::of(entry);
        attributes.apply_early(&directory, entry)?;
        attributes
            .apply_late(&directory)
            .map_err(|error| on_entry("set the mode of", path, error))?;
        self.names += path.len() + 64;
        if self.names > self.limits.names {
            return Err(refused("directory names take too much memory"));
        }
        self.directories.push((path.to_vec(), attributes));
        Ok(())
    }

    fn hard_link(&mut self, path: &[u8], entry: &Entry) -> Result<(), hyperbox_core::seam::SnapshotError> {
        let target = self.place(&normalise(&entry.link)?);
        let (directory, file) = self
            .tree
            .find(&target)
            .map_err(|error| on_entry("find the target of", path, error))?;
        let (parent, name) = self.tree.locate(path)?;
        rustix::fs::linkat(&directory, file, parent, name, AtFlags::empty())
            .map_err(|error| on_entry("link", path, error))
    }

    fn special(
        &mut self,
        path: &[u8],
        entry: &Entry,
        kind: FileType,
        device: Option<Device>,
    ) -> Result<(), hyperbox_core::seam::SnapshotError> {
        let number = device.map_or(0, |device| rustix::fs::makedev(device.major, device.minor));
        let (parent, name) = self.tree.locate(path)?;
        rustix::fs::mknodat(parent, name, kind, Mode::RUSR, number)
            .map_err(|error| on_entry("make device", path, error))?;
        Attributes::of(entry).apply_to_name(parent.as_fd(), name, entry)?;
        // After the owner: chown(2) clears setuid and setgid.
        change_mode(parent.as_fd(), name, entry.mode, kind).map_err(|error| on_entry("set the mode of", path, error))
    }
}

/// Changes the mode of what has just been made, and of nothing that took its name meanwhile: chmod(2) follows links, so it goes by a
/// descriptor that is known to be no link.
fn change_mode(parent: BorrowedFd<'_>, name: &[u8], mode: u32, kind: FileType) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node: OwnedFd = rustix::fs::openat(parent.as_fd(), name, flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&node)?.st_mode) != kind {
        return Ok(());
    }
    let itself = format!("/proc/self/fd/{}", node.as_raw_fd());
    rustix::fs::chmod(itself, Mode::from_raw_mode(mode))
}
