// SPDX-License-Identifier: MIT
//! A log file that is rotated by renaming, and that survives a full disk.
//!
//! Entries are buffered and written in whole entries; the shim flushes before it sleeps, so nothing waits here while the container
//! is quiet. A failed write never disturbs the container: the file is cut back to its last whole entry, the buffer is tried
//! again later, and once it is full new entries are dropped. Rotation renames `PATH.n` to `PATH.n+1`, `PATH` to
//! `PATH.1`, and starts a new `PATH`; a reader that holds the old file still reads it to its end. `PATH.1` is then compressed, if that
//! is wished, while output goes on; it is complete before the next rotation.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::compression::{Compression, compressed_name};

/// Written out at the latest when so much is buffered.
const WRITE_AT: usize = 32 * 1024;

/// What is kept for a disk that is full.
const BUFFER_LIMIT: usize = 256 * 1024;

/// The open log of one container.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    max_bytes: Option<u64>,
    max_files: u32,
    compress: bool,
    compression: Option<Compression>,
    buffer: Vec<u8>,
    failing: bool,
}

impl LogFile {
    /// Opens the log for appending and makes its directory if that is missing.
    pub(crate) fn open(path: &Path, max_bytes: Option<u64>, max_files: u32, compress: bool) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let file = open_for_append(path)?;
        let size = file.metadata()?.len();
        let mut log = Self {
            path: path.to_owned(),
            file,
            size,
            max_bytes,
            max_files: max_files.max(1),
            compress,
            compression: None,
            buffer: Vec::new(),
            failing: false,
        };
        log.begin_compression();
        Ok(log)
    }

    /// Adds one encoded entry.
    pub(crate) fn append(&mut self, entry: &[u8]) {
        let after = self.size + self.buffer.len() as u64 + entry.len() as u64;
        let is_empty = self.size == 0 && self.buffer.is_empty();
        if self.max_bytes.is_some_and(|limit| after > limit) && !is_empty && self.flush() {
            // A failed rotation leaves the old file in use, longer than it should be: better than losing output.
            drop(self.rotate());
        }
        if self.buffer.len() + entry.len() > BUFFER_LIMIT {
            return;
        }
        self.buffer.extend_from_slice(entry);
        if self.buffer.len() >= WRITE_AT && !self.failing {
            self.flush();
        }
    }

    /// Writes everything out; `false` means that the disk did not take it and it is still kept.
    pub(crate) fn flush(&mut self) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        if self.file.write_all(&self.buffer).is_err() {
            // The kernel may have taken the beginning of it. Failing to cut it off leaves one broken line in the log.
            drop(self.file.set_len(self.size));
            self.failing = true;
            return false;
        }
        self.size += self.buffer.len() as u64;
        self.failing = false;
        self.buffer.clear();
        self.buffer.shrink_to(4096);
        true
    }

    /// Tells whether entries wait for a disk that refused them.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Tells whether a rotated file is being compressed.
    pub(crate) fn is_compressing(&self) -> bool {
        self.compression.is_some()
    }

    /// Compresses a little of a rotated file.
    pub(crate) fn compress_some(&mut self) {
        if let Some(compression) = self.compression.take() {
            // A file that cannot be compressed stays as it is, which readers take as well.
            self.compression = compression.step().ok().flatten();
        }
    }

    /// Compresses what is left of a rotated file.
    pub(crate) fn compress_rest(&mut self) {
        if let Some(compression) = self.compression.take() {
            // As above.
            drop(compression.finish());
        }
    }

    fn begin_compression(&mut self) {
        if self.compress && self.max_files > 1 {
            // Usually there is no such file; one that cannot be opened stays as it is.
            self.compression = Compression::begin(&numbered(&self.path, 1)).ok();
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.max_files == 1 {
            self.file.set_len(0)?;
            self.size = 0;
            return Ok(());
        }
        self.compress_rest();
        let oldest = numbered(&self.path, self.max_files - 1);
        // The oldest goes in both forms: what moves to its place may have the other one.
        ignore_missing(std::fs::remove_file(compressed_name(&oldest)))?;
        ignore_missing(std::fs::remove_file(oldest))?;
        for index in (1..self.max_files - 1).rev() {
            let (from, to) = (numbered(&self.path, index), numbered(&self.path, index + 1));
            ignore_missing(std::fs::rename(compressed_name(&from), compressed_name(&to)))?;
            ignore_missing(std::fs::rename(from, to))?;
        }
        std::fs::rename(&self.path, numbered(&self.path, 1))?;
        self.file = open_for_append(&self.path)?;
        self.size = 0;
        self.begin_compression();
        Ok(())
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn numbered(path: &Path, index: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{index}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn files_rotate_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/log");
        let mut log = LogFile::open(&path, Some(10), 3, false).unwrap();
        for entry in ["aaaaaa\n", "bbbbbb\n", "cc\n", "dddddd\n", "eeeeee\n"] {
            log.append(entry.as_bytes());
        }
        assert!(log.flush());
        assert_eq!(content(&path), "eeeeee\n");
        assert_eq!(content(&numbered(&path, 1)), "dddddd\n");
        assert_eq!(content(&numbered(&path, 2)), "bbbbbb\ncc\n");
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn rotated_files_are_compressed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let unpacked = |index| {
            let mut text = String::new();
            let file = File::open(compressed_name(&numbered(&path, index))).unwrap();
            io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
            text
        };
        // What was rotated before the option was given, or was left by a crash.
        std::fs::write(numbered(&path, 1), "before\n").unwrap();
        let mut log = LogFile::open(&path, Some(6), 4, true).unwrap();
        assert!(log.is_compressing());
        for entry in ["aaaaaa\n", "bbbbbb\n", "cccccc\n"] {
            log.append(entry.as_bytes());
        }
        assert!(log.flush());
        assert_eq!(
            (unpacked(3), unpacked(2)),
            ("before\n".to_owned(), "aaaaaa\n".to_owned())
        );
        assert_eq!(
            (content(&numbered(&path, 1)).as_str(), content(&path).as_str()),
            ("bbbbbb\n", "cccccc\n")
        );
        while log.is_compressing() {
            log.compress_some();
        }
        assert_eq!(unpacked(1), "bbbbbb\n");
        assert!(!numbered(&path, 1).exists());
        log.append(b"dddddd\n");
        log.compress_rest();
        assert!(log.flush());
        assert_eq!(
            (unpacked(3), unpacked(1)),
            ("aaaaaa\n".to_owned(), "cccccc\n".to_owned())
        );
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 4);
    }

    #[test]
    fn one_file_starts_over_and_a_huge_entry_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = LogFile::open(&path, Some(4), 1, false).unwrap();
        log.append(b"123456789\n");
        log.append(b"next\n");
        assert!(log.flush());
        assert_eq!(content(&path), "next\n");
    }

    #[test]
    fn a_reopened_log_counts_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for entry in ["first\n", "second\n"] {
            let mut log = LogFile::open(&path, Some(8), 2, false).unwrap();
            log.append(entry.as_bytes());
            assert!(log.flush());
        }
        assert_eq!(content(&numbered(&path, 1)), "first\n");
        assert_eq!(content(&path), "second\n");
    }

    #[test]
    fn a_disk_that_refuses_loses_only_what_does_not_fit() {
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut log = LogFile {
            path: "/dev/full".into(),
            file,
            size: 0,
            max_bytes: None,
            max_files: 1,
            compress: false,
            compression: None,
            buffer: Vec::new(),
            failing: false,
        };
        let entry = [b'x'; 1024];
        for _ in 0..300 {
            log.append(&entry);
        }
        assert!(log.is_failing());
        let directory = tempfile::tempdir().unwrap();
        log.file = open_for_append(&directory.path().join("log")).unwrap();
        assert!(log.flush());
        assert_eq!(log.size, 256 * 1024);
    }
}
