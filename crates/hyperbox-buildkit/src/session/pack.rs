// SPDX-License-Identifier: MIT
//! Bytes of files, one file's behind the other's, in one file: without a name it goes with its last reader, and with a crash.
//!
//! Room is given once and never again, so what was written stays as it is while more is added; writers of different files do not
//! disturb each other. Who reads all of a file is told when that is not what was written: a disk may have lost it. All calls may block.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, Mode, OFlags};
use sha2::{Digest as _, Sha256};

/// How much is copied at a time.
const PIECE: usize = 64 * 1024;

/// Where the bytes of a file are, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) offset: u64,
    pub(super) length: u64,
    /// SHA-256 of the bytes.
    pub(super) digest: [u8; 32],
}

/// A file of files.
#[derive(Debug)]
pub(super) struct Pack {
    file: File,
    length: AtomicU64,
    damaged: AtomicBool,
}

impl Pack {
    /// Makes one in a directory that is on the right disk.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn new(directory: &Path) -> io::Result<Arc<Self>> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self::of(File::from(file), 0))
    }

    /// Makes one with a name of its own.
    ///
    /// # Errors
    /// I/O classes; when there is something of this name.
    pub(super) fn create(path: &Path) -> io::Result<Arc<Self>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self::of(File::from(file), 0))
    }

    /// Opens one that has a name.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn open(path: &Path) -> io::Result<Arc<Self>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
        let length = file.metadata()?.len();
        Ok(Self::of(file, length))
    }

    fn of(file: File, length: u64) -> Arc<Self> {
        Arc::new(Self {
            file,
            length: AtomicU64::new(length),
            damaged: AtomicBool::new(false),
        })
    }

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Tells whether something else was read than was written.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Returns how much room was given; what is not written yet occupies nothing.
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    /// Gives room; returns where it begins.
    ///
    /// # Errors
    /// When no file can be so long.
    pub(super) fn reserve(&self, length: u64) -> io::Result<u64> {
        let longer = |before: u64| before.checked_add(length).filter(|after| i64::try_from(*after).is_ok());
        let given = self.length.fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer);
        given.map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
    }

    /// Writes into room that was given.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Copies into room that was given, also of another pack.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn copy(&self, source: &Self, from: u64, length: u64, to: u64) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        let mut done = 0;
        while done < length {
            let most = usize::try_from(length - done).map_or(PIECE, |left| left.min(PIECE));
            source.file.read_exact_at(&mut buffer[..most], from + done)?;
            self.file.write_all_at(&buffer[..most], to + done)?;
            done += most as u64;
        }
        Ok(())
    }

    /// Reads what is at a place.
    pub(super) fn reader(self: &Arc<Self>, region: &Region) -> RegionReader {
        RegionReader {
            pack: Arc::clone(self),
            offset: region.offset,
            left: region.length,
            hasher: Sha256::new(),
            digest: region.digest,
        }
    }
}

/// The bytes of a file.
#[derive(Debug)]
pub(super) struct RegionReader {
    pack: Arc<Pack>,
    offset: u64,
    left: u64,
    hasher: Sha256,
    digest: [u8; 32],
}

impl RegionReader {
    /// Checks what was read, at its end.
    fn check(&self) -> io::Result<()> {
        let digest: [u8; 32] = self.hasher.clone().finalize().into();
        if digest == self.digest {
            return Ok(());
        }
        self.pack.damaged.store(true, Ordering::Relaxed);
        let message =
            "a file of an earlier build's context is damaged on the disk; the next build asks the client again";
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

impl Read for RegionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.pack.file.read_at(&mut buffer[..most], self.offset)?;
        self.hasher.update(&buffer[..read]);
        self.offset += read as u64;
        self.left -= read as u64;
        // The end of the pack before that of the file is the end of it, too.
        if (read == 0 && !buffer.is_empty()) || (read > 0 && self.left == 0) {
            self.check()?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_side_by_side() {
        let directory = tempfile::tempdir().expect("directory");
        let pack = Pack::new(directory.path()).expect("pack");
        let one = pack.reserve(3).expect("room");
        let other = pack.reserve(2).expect("room");
        pack.write(other, b"de").expect("written");
        pack.write(one, b"abc").expect("written");
        let copy = pack.reserve(3).expect("room");
        pack.copy(&pack, one, 3, copy).expect("copied");
        let read = |offset, length, expected: &str| {
            let mut text = String::new();
            let digest = Sha256::digest(expected).into();
            let mut reader = pack.reader(&Region { offset, length, digest });
            reader.read_to_string(&mut text).expect("read");
            text
        };
        assert_eq!(
            (read(one, 3, "abc"), read(other, 2, "de"), read(copy, 3, "abc")),
            ("abc".into(), "de".into(), "abc".into())
        );
        assert_eq!(pack.length(), 8);
        assert_eq!(std::fs::read_dir(directory.path()).expect("listing").count(), 0);
    }

    #[test]
    fn what_the_disk_has_lost_is_told() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("1.pack");
        let pack = Pack::create(&path).expect("pack");
        assert!(Pack::create(&path).is_err());
        let offset = pack.reserve(3).expect("room");
        pack.write(offset, b"abc").expect("written");
        pack.sync().expect("synchronised");
        let pack = Pack::open(&path).expect("the same pack");
        assert_eq!(pack.length(), 3);
        let read = |pack: &Arc<Pack>| {
            let digest = Sha256::digest("abc").into();
            let mut reader = pack.reader(&Region {
                offset,
                length: 3,
                digest,
            });
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(&pack).expect("read"), "abc");
        assert!(!pack.is_damaged());
        std::fs::write(&path, "ab").expect("cut off");
        assert_eq!(read(&pack).expect_err("cut off").kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, "abd").expect("changed");
        assert!(read(&pack).is_err() && pack.is_damaged());
    }

    #[test]
    fn no_length_overflows() {
        let directory = tempfile::tempdir().expect("directory");
        let pack = Pack::new(directory.path()).expect("pack");
        pack.reserve(10).expect("room");
        for length in [u64::MAX, i64::MAX as u64, u64::MAX - 9] {
            assert_eq!(
                pack.reserve(length).expect_err("too long").kind(),
                io::ErrorKind::FileTooLarge
            );
        }
        assert_eq!(pack.length(), 10);
    }
}
