// SPDX-License-Identifier: MIT
//! Creating and filling plain files.

use std::io::BufRead;
use std::os::fd::{BorrowedFd, OwnedFd};

use hyperbox_core::seam::SnapshotError;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::archive::{Archive, Entry};
use crate::failure::on_entry;

/// Creates a new file for writing. What is there already, a link included, is an error.
pub(crate) fn create(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
}

/// Writes the entry's data, leaving holes where it has some; returns how many bytes were written.
pub(crate) fn fill<R: BufRead>(file: &OwnedFd, entry: &Entry, archive: &mut Archive<R>) -> Result<u64, SnapshotError> {
    let failed = |error| on_entry("write", &entry.path, error);
    let Some(segments) = &entry.segments else {
        archive.copy(entry.size, |bytes| write_all(file, bytes).map_err(failed))?;
        return Ok(entry.size);
    };
    rustix::fs::ftruncate(file, entry.size).map_err(failed)?;
    let mut written = 0;
    for segment in segments {
        let mut offset = segment.offset;
        archive.copy(segment.length, |bytes| {
            write_all_at(file, bytes, offset).map_err(failed)?;
            offset += bytes.len() as u64;
            Ok(())
        })?;
        written += segment.length;
    }
    Ok(written)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_all_at(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
