// SPDX-License-Identifier: MIT
//! Compresses a rotated log file, a slice at a time: the shim has one thread, and output must not wait for a large file.
//!
//! `PATH.1` is read into `PATH.1.gz.part`, which becomes `PATH.1.gz` by renaming when it is complete; then `PATH.1` is removed. Both may be
//! there after a crash in between, with the same content; a crash before leaves `PATH.1`, and whoever opens the log next begins
//! again. The gzip header (RFC 1952, section 2.3.1.1) has a field `HB` with device and inode of the file that was compressed: a
//! reader that still holds that file knows by it where it stands.
//!
//! The shim of the next run may come while this one still compresses: a lock on the partial file keeps it from doing the same, and
//! files are only exchanged when `PATH.1` is still the one that was read.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression as Level, GzBuilder};
use rustix::fs::FlockOperation;

/// Compressed in one step: a few milliseconds, and more than one read of output adds to a log.
const SLICE: usize = 256 * 1024;

/// Read at a time.
const BLOCK: usize = 64 * 1024;

/// A rotated file on its way to its compressed form.
#[derive(Debug)]
pub(crate) struct Compression {
    source: PathBuf,
    partial: PathBuf,
    compressed: PathBuf,
    input: File,
    output: GzEncoder<File>,
}

impl Compression {
    /// Begins; what an earlier attempt left is overwritten.
    ///
    /// # Errors
    /// When there is no such file, somebody else compresses it, or the disk refuses.
    pub(crate) fn begin(source: &Path) -> io::Result<Self> {
        let input = File::open(source)?;
        let metadata = input.metadata()?;
        let partial = with_suffix(source, ".gz.part");
        let mut options = OpenOptions::new();
        // Emptied when it is known to be ours.
        options.write(true).create(true).truncate(false).mode(0o640);
        let output = options.open(&partial)?;
        rustix::fs::flock(&output, FlockOperation::NonBlockingLockExclusive)?;
        output.set_len(0)?;
        Ok(Self {
            source: source.to_owned(),
            compressed: compressed_name(source),
            partial,
            input,
            output: GzBuilder::new()
                .extra(identity_field(metadata.dev(), metadata.ino()))
                .write(output, Level::default()),
        })
    }

    /// Compresses the next slice; nothing is returned when that was the last, and the files are exchanged.
    ///
    /// # Errors
    /// When the disk refuses. Then the partial file goes: it would keep space that the log itself may need.
    pub(crate) fn step(mut self) -> io::Result<Option<Self>> {
        let stepped = self.advance();
        if stepped.is_err() {
            // While it is locked it is nobody else's.
            drop(std::fs::remove_file(&self.partial));
        }
        Ok(stepped?.then_some(self))
    }

    /// Tells whether there is more to do.
    fn advance(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; BLOCK];
        for _ in 0..SLICE / BLOCK {
            let count = self.input.read(&mut buffer)?;
            if count == 0 {
                return self.complete().map(|()| false);
            }
            io::Write::write_all(&mut self.output, &buffer[..count])?;
        }
        Ok(true)
    }

    /// Compresses all that is left.
    pub(crate) fn finish(self) -> io::Result<()> {
        let mut rest = Some(self);
        while let Some(compression) = rest {
            rest = compression.step()?;
        }
        Ok(())
    }

    /// Exchanges the files; the new one is unlocked when this value is dropped.
    fn complete(&mut self) -> io::Result<()> {
        self.output.try_finish()?;
        let (read, there) = (self.input.metadata()?, std::fs::metadata(&self.source)?);
        if (read.dev(), read.ino()) != (there.dev(), there.ino()) {
            return std::fs::remove_file(&self.partial);
        }
        std::fs::rename(&self.partial, &self.compressed)?;
        std::fs::remove_file(&self.source)
    }
}

/// Returns the name that a rotated file has when it is compressed.
pub(crate) fn compressed_name(rotated: &Path) -> PathBuf {
    with_suffix(rotated, ".gz")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn identity_field(device: u64, inode: u64) -> Vec<u8> {
    let mut field = b"HB\x10\x00".to_vec();
    field.extend_from_slice(&device.to_le_bytes());
    field.extend_from_slice(&inode.to_le_bytes());
    field
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_file_is_compressed_in_slices() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("log.1");
        let text: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(&source, &text).unwrap();
        let inode = std::fs::metadata(&source).unwrap().ino();
        std::fs::write(directory.path().join("log.1.gz.part"), "left by a crash").unwrap();
        let mut steps = 0;
        let mut rest = Some(Compression::begin(&source).unwrap());
        while let Some(compression) = rest {
            assert!(source.exists() && !compressed_name(&source).exists());
            rest = compression.step().unwrap();
            steps += 1;
        }
        assert_eq!(steps, text.len().div_ceil(SLICE));
        let names: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["log.1.gz"]);
        let mut decoder = GzDecoder::new(File::open(compressed_name(&source)).unwrap());
        let mut unpacked = String::new();
        decoder.read_to_string(&mut unpacked).unwrap();
        assert!(unpacked == text);
        let field = decoder.header().unwrap().extra().unwrap();
        assert_eq!(
            (&field[..4], &field[12..]),
            (&b"HB\x10\x00"[..], &inode.to_le_bytes()[..])
        );
    }

    #[test]
    fn a_failure_leaves_no_partial_file() {
        let directory = tempfile::tempdir().unwrap();
        let names = || {
            let entries = std::fs::read_dir(directory.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
        };
        // It can be opened, and not be read.
        let source = directory.path().join("log.1");
        std::fs::create_dir(&source).unwrap();
        let compression = Compression::begin(&source).unwrap();
        assert_eq!(names().len(), 2);
        compression.step().unwrap_err();
        assert_eq!(names(), ["log.1"]);
    }
}
