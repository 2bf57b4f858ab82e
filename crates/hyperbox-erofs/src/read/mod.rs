// SPDX-License-Identifier: MIT
//! Looking into an image: its own kind, or any other EROFS image without compression.
//!
//! Nothing in the image is believed: each place is checked against the image's length before it is read, each count against what
//! can be there. Reading a directory or an inode costs what it is long; a [`Walk`] costs what the image is long.

mod attributes;
mod directory;
mod inode;
mod mapping;
mod source;
mod walk;

pub use directory::DirectoryEntry;
pub use inode::InodeInfo;
pub use source::ReadAt;
pub use walk::{Walk, WalkEntry};

use crate::error::ImageError;
use crate::layout::superblock::{self, DeviceSlot, Superblock};
use crate::model::Device;

/// The smallest and the largest block that EROFS has (log2).
const BLOCK_BITS: std::ops::RangeInclusive<u8> = 9..=16;

/// An EROFS image.
#[derive(Debug)]
pub struct Image<R> {
    source: R,
    size: u64,
    superblock: Superblock,
    devices: Vec<DeviceSlot>,
    /// The image's own prefixes of names of attributes.
    prefixes: Vec<(u8, Vec<u8>)>,
}

impl<R: ReadAt> Image<R> {
    /// Opens an image: reads its superblock and its table of devices, and verifies the checksum if it has one.
    ///
    /// # Errors
    ///
    /// [`ImageError`], also for what this reader does not know: a newer kind, or metadata that are compressed.
    pub fn open(source: R) -> Result<Self, ImageError> {
        let size = source.size().map_err(|source| ImageError::Read {
            offset: 0,
            length: 0,
            source,
        })?;
        let mut image = Self {
            source,
            size,
            superblock: Superblock::default(),
            devices: Vec::new(),
            prefixes: Vec::new(),
        };
        image.superblock = image.read_superblock()?;
        image.devices = image.read_devices()?;
        image.prefixes = image.read_prefixes()?;
        Ok(image)
    }

    /// What the image is read from.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// What identifies the image.
    pub fn uuid(&self) -> [u8; 16] {
        self.superblock.uuid
    }

    /// How many inodes it says it has.
    pub fn inodes(&self) -> u64 {
        self.superblock.inodes
    }

    /// The length of its blocks.
    pub fn block_size(&self) -> u64 {
        1 << self.superblock.block_bits
    }

    /// The devices that hold its data, in their order: device 1 is the first.
    pub fn devices(&self) -> impl Iterator<Item = Device> + '_ {
        self.devices.iter().map(|slot| {
            let length = slot.tag.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            Device {
                size: slot.blocks << self.superblock.block_bits,
                tag: slot.tag[..length].to_vec(),
            }
        })
    }

    /// The root's inode.
    ///
    /// # Errors
    ///
    /// [`ImageError`], also when it is no directory.
    pub fn root(&self) -> Result<InodeInfo, ImageError> {
        let root = self.inode(self.superblock.root_nid)?;
        if root.kind != crate::model::Kind::Directory {
            return Err(damaged("the root", root.position, "it is no directory"));
        }
        Ok(root)
    }

    /// Walks through the whole tree from the root, which comes first, each directory before its content.
    pub fn walk(&self) -> Walk<'_, R> {
        Walk::new(self)
    }

    fn read_superblock(&self) -> Result<Superblock, ImageError> {
        const WHAT: &str = "the superblock";
        let offset = superblock::OFFSET as u64;
        let bytes: [u8; superblock::LENGTH] = self.array(WHAT, offset)?;
        let superblock = Superblock::decode(&bytes).ok_or(damaged(WHAT, offset, "this is no EROFS image"))?;
        if !BLOCK_BITS.contains(&superblock.block_bits) {
            return Err(damaged(WHAT, offset, "its blocks have an impossible length"));
        }
        if superblock.feature_incompat & superblock::INCOMPAT_UNKNOWN != 0
            || superblock.feature_compat & superblock::COMPAT_SHARED_IN_METABOX != 0
        {
            return Err(unsupported(WHAT, offset, "a feature of newer images"));
        }
        if superblock.blocks > self.size >> superblock.block_bits {
            return Err(damaged(WHAT, offset, "the image was cut off"));
        }
        if superblock.directory_block_bits != 0 {
            return Err(unsupported(WHAT, offset, "a length of directory blocks of its own"));
        }
        if superblock.feature_compat & superblock::COMPAT_CHECKSUM != 0 {
            let block = 1_u64 << superblock.block_bits;
            let end = (offset + 1).next_multiple_of(block);
            if !superblock::is_sealed(&self.bytes(WHAT, offset, end - offset)?) {
                return Err(damaged(WHAT, offset, "its checksum is wrong"));
            }
        }
        Ok(superblock)
    }

    fn read_devices(&self) -> Result<Vec<DeviceSlot>, ImageError> {
        const WHAT: &str = "the table of devices";
        let superblock = &self.superblock;
        if superblock.feature_incompat & superblock::INCOMPAT_DEVICE_TABLE == 0 {
            return Ok(Vec::new());
        }
        let length = superblock::DEVICE_LENGTH as u64;
        let start = u64::from(superblock.device_slot) * length;
        let bytes = self.bytes(WHAT, start, u64::from(superblock.extra_devices) * length)?;
        let wide = self.is_wide();
        let slots = bytes.as_chunks().0.iter();
        Ok(slots.map(|slot| DeviceSlot::decode(slot, wide)).collect())
    }

    fn is_wide(&self) -> bool {
        self.superblock.feature_incompat & superblock::INCOMPAT_48BIT != 0
    }

    /// The bytes of a structure. Its length is checked before any memory is taken.
    fn bytes(&self, what: &'static str, offset: u64, length: u64) -> Result<Vec<u8>, ImageError> {
        self.check(what, offset, length)?;
        let length = usize::try_from(length).map_err(|_| damaged(what, offset, "it is too long"))?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&self, what: &'static str, offset: u64) -> Result<[u8; N], ImageError> {
        self.check(what, offset, N as u64)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn check(&self, what: &'static str, offset: u64, length: u64) -> Result<(), ImageError> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(damaged(what, offset, "it lies beyond the end of the image")),
        }
    }

    fn fill(&self, bytes: &mut [u8], offset: u64) -> Result<(), ImageError> {
        let length = bytes.len();
        self.source
            .read_exact_at(bytes, offset)
            .map_err(|source| ImageError::Read { offset, length, source })
    }
}

fn damaged(what: &'static str, offset: u64, reason: &'static str) -> ImageError {
    ImageError::Damaged { what, offset, reason }
}

fn unsupported(what: &'static str, offset: u64, feature: &'static str) -> ImageError {
    ImageError::Unsupported { what, offset, feature }
}

#[cfg(test)]
mod tests;
