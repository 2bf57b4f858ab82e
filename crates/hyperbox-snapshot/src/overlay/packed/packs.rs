// SPDX-License-Identifier: MIT
//! The packs: files with the objects one after the other, each at a multiple of a block.
//!
//! A pack only grows, and what was written once is never written again, so that mounts may read from it meanwhile. What nobody refers
//! to any more is punched out (`fallocate(2)`); the place in the file is not used again.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use hyperbox_core::seam::Pace;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::list::{BLOCK, Place};
use super::ranges::Ranges;

/// A pack that is as long gets a successor. An index can address twice as much.
const LONGEST: u64 = 1 << 40;
/// Bytes that are copied at once.
pub(super) const PIECE: usize = 256 << 10;

/// The directory of all packs.
#[derive(Debug)]
pub(in crate::overlay) struct Packs {
    directory: PathBuf,
}

impl Packs {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(in crate::overlay) fn path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{number:08}.pack"))
    }

    /// The file that is there while objects may have been written that no layer refers to yet.
    pub(super) fn marker(&self) -> PathBuf {
        self.directory.join("unsettled")
    }

    /// Opens those packs.
    pub(in crate::overlay) fn open(&self, numbers: &[u32]) -> io::Result<HashMap<u32, File>> {
        let open = |number: &u32| Ok((*number, File::open(self.path(*number))?));
        numbers.iter().map(open).collect()
    }

    /// Lists the packs, ascending.
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".pack"));
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What all packs occupy on the disk.
    pub(super) fn occupied(&self) -> io::Result<u64> {
        let mut sum = 0;
        for number in self.numbers()? {
            sum += std::fs::metadata(self.path(number))?.blocks() * BLOCK;
        }
        Ok(sum)
    }

    /// Opens the last pack, or a new one, to append to it.
    pub(super) fn writer(&self) -> io::Result<Writer> {
        let last = self.numbers()?.last().copied();
        let mut number = last.unwrap_or(1);
        let longest = last.map_or(Ok(0), |last| {
            Ok::<_, io::Error>(std::fs::metadata(self.path(last))?.len())
        })?;
        if longest >= LONGEST {
            number += 1;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(self.path(number))?;
        let length = file.metadata()?.len().next_multiple_of(BLOCK);
        Ok(Writer { number, file, length })
    }

    /// Gives back what `live` does not name. Packs that it does not name at all are removed.
    pub(super) fn reclaim(&self, mut live: BTreeMap<u32, Ranges>) -> io::Result<()> {
        for number in self.numbers()? {
            let mut ranges = live.remove(&number).unwrap_or_default();
            ranges.settle();
            if ranges.is_empty() {
                std::fs::remove_file(self.path(number))?;
                continue;
            }
            let file = File::options().write(true).open(self.path(number))?;
            let length = file.metadata()?.len();
            for gap in ranges.gaps(length) {
                punch(&file, gap.start, gap.end - gap.start)?;
            }
        }
        File::open(&self.directory)?.sync_all()
    }
}

fn punch(file: &File, start: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, flags, start, length) {
        // A filesystem that cannot: the space comes back with the pack.
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Appends objects.
#[derive(Debug)]
pub(super) struct Writer {
    number: u32,
    file: File,
    length: u64,
}

impl Writer {
    /// Copies an object from `source`, and returns where it is now. The rest of its last block is zeros.
    pub(super) fn append(&mut self, source: &File, from: u64, length: u64, pace: &Pace) -> io::Result<Place> {
        let start = self.length;
        copy(source, from, length, pace, &mut |bytes, offset| {
            self.file.write_all_at(bytes, start + offset)
        })?;
        self.length = start + length.next_multiple_of(BLOCK);
        const ZEROS: [u8; 512] = [0; 512];
        let rest = usize::try_from(self.length - start - length).unwrap_or_default();
        self.file.write_all_at(&ZEROS[..rest], start + length)?;
        Ok(Place {
            pack: self.number,
            at: start,
        })
    }

    /// Waits until all is on the disk.
    pub(super) fn sync(&self, directory: &Path) -> io::Result<()> {
        self.file.sync_data()?;
        File::open(directory)?.sync_all()
    }
}

/// Reads a part of a file in pieces, pausing in between; the pieces come with their offsets.
pub(super) fn copy(
    source: &File,
    from: u64,
    length: u64,
    pace: &Pace,
    to: &mut dyn FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE.min(usize::try_from(length).unwrap_or(PIECE))];
    let mut done = 0;
    while done < length {
        if pace.breathe().is_break() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "it was told to end"));
        }
        let amount = buffer.len().min(usize::try_from(length - done).unwrap_or(PIECE));
        source.read_exact_at(&mut buffer[..amount], from + done)?;
        to(&buffer[..amount], done)?;
        done += amount as u64;
    }
    Ok(())
}
