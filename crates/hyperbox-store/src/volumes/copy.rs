// SPDX-License-Identifier: MIT
//! Copying a directory's content with everything that it has: owners, modes, times, extended attributes, links, devices, holes.
//!
//! The source is an image, so its names and links are foreign: nothing is followed, everything is relative to descriptors.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hyperbox_sys::tree::{self, Descend, Entry, Visit};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom as Hole, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

/// Copies the content of `source` into the empty directory `target`, which then also has its attributes.
pub(super) fn content(source: OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let root = tree::open_directory(&source, c".")?;
    let mut copy = Copy {
        target,
        links: HashMap::new(),
    };
    tree::walk(source, &mut |visit| {
        match visit {
            Visit::Entry(entry) => copy.entry(&entry)?,
            // Last, because making entries changes the times.
            Visit::Leave(entry) => {
                let source = tree::open_directory(entry.parent, entry.name)?;
                directory_attributes(&source, &tree::open_directory(&copy.parent(entry.path)?, entry.name)?)?;
            }
        }
        Ok(Descend::Into)
    })?;
    directory_attributes(&root, target)
}

struct Copy<'a> {
    target: &'a OwnedFd,
    /// Where the first name of a file with several names went.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copy<'_> {
    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let parent = self.parent(entry.path)?;
        let stat = rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if entry.kind == FileType::Directory {
            return Ok(rustix::fs::mkdirat(&parent, entry.name, Mode::RWXU)?);
        }
        if stat.st_nlink > 1 {
            let identity = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&identity) {
                let directory = self.parent(first)?;
                let name = first.file_name().unwrap_or_default();
                return Ok(rustix::fs::linkat(
                    &directory,
                    name,
                    &parent,
                    entry.name,
                    AtFlags::empty(),
                )?);
            }
            self.links.insert(identity, entry.path.to_path_buf());
        }
        if entry.kind == FileType::RegularFile {
            return copy_file(entry, &parent, &stat);
        }
        if entry.kind == FileType::Symlink {
            let text = rustix::fs::readlinkat(entry.parent, entry.name, Vec::new())?;
            rustix::fs::symlinkat(text.as_c_str(), &parent, entry.name)?;
        } else {
            let mode = Mode::from_raw_mode(stat.st_mode);
            rustix::fs::mknodat(&parent, entry.name, entry.kind, Mode::RUSR, stat.st_rdev)?;
            own_name(&parent, entry.name, &stat)?;
            rustix::fs::chmodat(&parent, entry.name, mode, AtFlags::empty())?;
        }
        own_name(&parent, entry.name, &stat)?;
        let [from, to] = [entry.parent, parent.as_fd()].map(|parent| in_proc(parent, entry.name));
        copy_attributes(
            |list| rustix::fs::llistxattr(from.as_slice(), list),
            |key, value| rustix::fs::lgetxattr(from.as_slice(), key, value),
            |key, value| rustix::fs::lsetxattr(to.as_slice(), key, value, XattrFlags::empty()),
        )?;
        Ok(rustix::fs::utimensat(
            &parent,
            entry.name,
            &times(&stat),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Opens the directory of the copy that holds `path`.
    fn parent(&self, path: &Path) -> io::Result<OwnedFd> {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(rustix::fs::openat2(self.target, parent, flags, Mode::empty(), resolve)?)
    }
}

/// Gives `target` the owner, mode, times and extended attributes of `source`.
pub(super) fn directory_attributes(source: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let stat = rustix::fs::fstat(source)?;
    file_attributes(source.as_fd(), target.as_fd(), &stat)
}

fn file_attributes(source: BorrowedFd<'_>, target: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    // The owner first: chown(2) clears setuid, setgid and capabilities.
    rustix::fs::fchown(
        target,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode))?;
    copy_attributes(
        |list| rustix::fs::flistxattr(source, list),
        |key, value| rustix::fs::fgetxattr(source, key, value),
        |key, value| rustix::fs::fsetxattr(target, key, value, XattrFlags::empty()),
    )?;
    Ok(rustix::fs::futimens(target, &times(stat))?)
}

fn copy_file(entry: &Entry<'_>, parent: &OwnedFd, stat: &Stat) -> io::Result<()> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut source = File::from(rustix::fs::openat(entry.parent, entry.name, read, Mode::empty())?);
    let mut target = File::from(rustix::fs::openat(parent, entry.name, create, Mode::RUSR | Mode::WUSR)?);
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    target.set_len(length)?;
    let mut position = 0;
    while position < length {
        let start = match rustix::fs::seek(&source, Hole::Data(position)) {
            // Nothing but a hole follows.
            Err(Errno::NXIO) => break,
            start => start?,
        };
        let end = rustix::fs::seek(&source, Hole::Hole(start))?;
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        let copied = io::copy(&mut (&mut source).take(end - start), &mut target)?;
        if copied == 0 {
            break;
        }
        position = end;
    }
    file_attributes(source.as_fd(), target.as_fd(), stat)
}

fn own_name(parent: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

/// A name for the calls that take no directory: the last component is not followed by the `l…xattr` family.
fn in_proc(parent: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    [
        format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(),
        name.to_bytes(),
    ]
    .concat()
}

/// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX` of Linux are both this (xattr(7)).
const LONGEST: usize = 65536;

fn copy_attributes(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
    set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
) -> io::Result<()> {
    let mut small = [0; 1024];
    let names = match list(&mut small) {
        Ok(length) => small[..length].to_vec(),
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(Errno::RANGE) => {
            let mut names = vec![0; LONGEST];
            let length = list(&mut names)?;
            names.truncate(length);
            names
        }
        Err(error) => return Err(error.into()),
    };
    let mut value = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        // Marks of overlayfs mean something for the layer only.
        if name.is_empty() || name.starts_with(b"trusted.overlay.") {
            continue;
        }
        value.resize(LONGEST, 0);
        let length = match get(name, &mut value) {
            Err(Errno::NODATA) => continue,
            length => length?,
        };
        match set(name, &value[..length]) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => {
                return Err(io::Error::new(
                    io::Error::from(error).kind(),
                    attribute_failed(name, error),
                ));
            }
        }
    }
    Ok(())
}

fn attribute_failed(name: &[u8], error: Errno) -> String {
    format!(
        "setting the attribute {} failed: {error}",
        std::ffi::OsStr::from_bytes(name).display()
    )
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.try_into().unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
