// SPDX-License-Identifier: MIT
//! A tree of real files.
//!
//! Paths are resolved by openat2(2) beneath the root's descriptor, first without following links, which is the usual case.
//! Where an earlier entry made a parent a symbolic link, it is followed with `RESOLVE_IN_ROOT`: absolute targets and `..` then
//! mean the layer's root.

use std::ffi::CString;
use std::io::BufRead;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};

use hyperbox_core::seam::SnapshotError;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::attributes::{self, Attributes};
use super::file;
use super::filesystem::{Filesystem, Present, Special};
use crate::archive::{Archive, Entry, Kind};
use crate::failure::on_entry;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// The directory that becomes the tree's root.
#[derive(Debug)]
pub(crate) struct Disk {
    root: OwnedFd,
    /// What every resolution is bound to beside the root.
    bounds: ResolveFlags,
}

impl Disk {
    /// A tree on one filesystem.
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self {
            root,
            bounds: ResolveFlags::NO_XDEV,
        }
    }

    /// A tree in which other filesystems are mounted, and which others may change meanwhile.
    pub(crate) fn with_mounts(root: OwnedFd) -> Self {
        Self {
            root,
            bounds: ResolveFlags::empty(),
        }
    }

    /// `EAGAIN` means that something was renamed meanwhile anywhere on the machine, so that `..` was not provably safe.
    fn resolve_links(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        for _ in 0..64 {
            match rustix::fs::openat2(&self.root, path, DIRECTORY, Mode::empty(), IN_ROOT | self.bounds) {
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }
}

impl Filesystem for Disk {
    type Directory = OwnedFd;
    type File = OwnedFd;

    fn root(&self) -> &OwnedFd {
        &self.root
    }

    fn resolve(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b".".as_slice() } else { path };
        match rustix::fs::openat2(&self.root, path, DIRECTORY, Mode::empty(), BENEATH | self.bounds) {
            Err(Errno::LOOP | Errno::NOTDIR) => self.resolve_links(path),
            result => result,
        }
    }

    fn open_root(&self) -> Result<OwnedFd, Errno> {
        self.open_directory(&self.root, b".")
    }

    fn open_directory(&self, parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(parent, name, flags, Mode::empty())
    }

    fn kind(&self, parent: &OwnedFd, name: &[u8]) -> Result<Present, Errno> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Present::Directory,
            FileType::Symlink => Present::Symlink,
            _ if is_whiteout(&stat) => Present::Whiteout,
            _ => Present::Other,
        })
    }

    fn read_link(&self, parent: &OwnedFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
        Ok(rustix::fs::readlinkat(parent, name, Vec::new())?.into_bytes())
    }

    fn remove(&self, parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        hyperbox_sys::tree::remove(parent.as_fd(), &name, &mut || ControlFlow::Continue(()))
            .map(drop)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    fn make_directory(&self, parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))
    }

    fn open_to_all(&self, directory: &OwnedFd) -> Result<(), Errno> {
        // The process's umask may have taken bits away.
        rustix::fs::fchmod(directory, Mode::from_raw_mode(0o755))
    }

    fn set_opaque(&self, directory: &OwnedFd) -> Result<(), Errno> {
        attributes::set_opaque(directory)
    }

    fn make_whiteout(&self, parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)
    }

    fn make_symlink(&self, parent: &OwnedFd, name: &[u8], text: &[u8]) -> Result<(), Errno> {
        rustix::fs::symlinkat(text, parent, name)
    }

    fn make_special(&self, parent: &OwnedFd, name: &[u8], special: Special) -> Result<(), Errno> {
        let (kind, number) = match special {
            Special::Fifo => (FileType::Fifo, 0),
            Special::Character(device) => (
                FileType::CharacterDevice,
                rustix::fs::makedev(device.major, device.minor),
            ),
            Special::Block(device) => (FileType::BlockDevice, rustix::fs::makedev(device.major, device.minor)),
        };
        rustix::fs::mknodat(parent, name, kind, Mode::RUSR, number)
    }

    fn link(&self, from: &OwnedFd, from_name: &[u8], parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::linkat(from, from_name, parent, name, AtFlags::empty())
    }

    fn make_file(&self, parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        file::create(parent.as_fd(), name)
    }

    fn fill<R: BufRead>(&self, file: &OwnedFd, entry: &Entry, archive: &mut Archive<R>) -> Result<u64, SnapshotError> {
        file::fill(file, entry, archive)
    }

    fn describe_file(&self, file: &OwnedFd, entry: &Entry) -> Result<(), SnapshotError> {
        Attributes::of(entry).apply_to_file(file, entry)
    }

    fn describe_name(&self, parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), SnapshotError> {
        Attributes::of(entry).apply_to_name(parent.as_fd(), name, entry)?;
        if entry.kind == Kind::Symlink {
            return Ok(());
        }
        // After the owner: chown(2) clears setuid and setgid. Nothing is followed: the node was made just before, and nobody else
        // is here.
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            .map_err(|error| on_entry("set the mode of", &entry.path, error))
    }

    fn describe_directory(&self, directory: &OwnedFd, entry: &Entry) -> Result<(), SnapshotError> {
        Attributes::of(entry).apply_early(directory, entry)
    }

    fn complete_directory(&self, directory: &OwnedFd, attributes: Attributes) -> Result<(), Errno> {
        attributes.apply_late(directory)
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
