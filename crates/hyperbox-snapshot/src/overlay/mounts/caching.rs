// SPDX-License-Identifier: MIT
//! Whether what is read in a mounted layer goes through the cache of the file with its data, or past it (`directio`).
//!
//! Through it is right after a pull, when the tar is cached, and for small files, which lie one after the other on the disk, so that reading
//! ahead brings many at once. But each byte is copied once more and cached twice: large files that have to come from the disk anyway (after
//! the machine was started) took 1.5 to 2 times the processor time that they take in directories, and as much past the cache.
//!
//! It is decided when a layer is mounted. All of it is a hint: where the kernel does not tell, reads go through the cache.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags, statx};

use crate::overlay::layout::Facts;

/// As long as the files of a layer are on average, to be worth reading each by itself.
const LARGE: u64 = 1 << 20;
/// The length of an index's blocks: nothing is read in smaller pieces.
const BLOCK: u32 = 512;

/// How a layer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::overlay) enum Caching {
    Through,
    Past,
}

/// What is known of the file with a layer's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Data {
    bytes: u64,
    cached: u64,
    /// What offsets and memory of direct reads have to be multiples of; 0 where there are no such reads.
    alignment: u32,
}

/// Decides for a layer. What lies in packs or in several files is read through the cache, which other layers share.
pub(super) fn choose(devices: &[PathBuf], facts: &Facts) -> Caching {
    match devices {
        [tar] if facts.packed.is_none() => look(tar).map_or(Caching::Through, |data| decide(data, facts.inodes)),
        _ => Caching::Through,
    }
}

fn decide(data: Data, inodes: u64) -> Caching {
    let large = data.bytes / inodes.max(1) >= LARGE;
    let on_disk = data.cached < data.bytes / 2;
    if large && on_disk && (1..=BLOCK).contains(&data.alignment) {
        Caching::Past
    } else {
        Caching::Through
    }
}

fn look(tar: &Path) -> Option<Data> {
    let file = File::open(tar).ok()?;
    let told = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::SIZE | StatxFlags::DIOALIGN).ok()?;
    Some(Data {
        bytes: told.stx_size,
        cached: hyperbox_sys::page_cache::cached(file.as_fd()).ok()?,
        alignment: told.stx_dio_offset_align.max(told.stx_dio_mem_align),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_on_the_disk_are_read_past_the_cache() {
        let data = |bytes, cached, alignment| Data {
            bytes,
            cached,
            alignment,
        };
        const MANY: u64 = 100 << 20;
        for (data, inodes, expected) in [
            (data(MANY, 0, 512), 10, Caching::Past),
            (data(MANY, MANY / 4, 4), 100, Caching::Past),
            (data(MANY, MANY / 2, 512), 10, Caching::Through),
            (data(MANY, MANY, 512), 10, Caching::Through),
            (data(MANY, 0, 512), 101, Caching::Through),
            // A disk with larger blocks, and a file system without such reads.
            (data(MANY, 0, 4096), 10, Caching::Through),
            (data(MANY, 0, 0), 10, Caching::Through),
            (data(0, 0, 512), 0, Caching::Through),
        ] {
            assert_eq!(decide(data, inodes), expected, "{data:?}, {inodes} inodes");
        }
    }

    #[test]
    fn a_file_that_is_not_there_decides_nothing() {
        assert_eq!(look(Path::new("/nowhere")), None);
    }
}
