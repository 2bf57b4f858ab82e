// SPDX-License-Identifier: MIT
//! What an inode looks like on disk, before it has a place.

use super::{Plan, Record};
use crate::layout::inode::{COMPACT, EXTENDED, SLOT, fits_compact};
use crate::layout::xattr::{HEADER, SHARED_MOST, UNIT};
use crate::layout::{BLOCK, chunk};
use crate::tree::Content;

/// The longest tail that is kept behind an inode: a longer one leaves less of a block empty when it has one of its own.
const TAIL_MOST: u64 = 384;

/// An inode's parts.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Whether it is an extended one.
    pub(crate) extended: bool,
    /// Numbers in the image of attributes that it shares.
    pub(crate) shared: Vec<u32>,
    /// Its own attributes: numbers among the builder's.
    pub(crate) own: Vec<u32>,
    /// The length of all that, with its header.
    pub(crate) xattrs: usize,
    pub(crate) storage: Storage,
    is_symlink: bool,
}

/// Where its data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// Nowhere.
    None,
    /// In blocks of the index only.
    Blocks(u64),
    /// In blocks of the index, and a tail behind the inode.
    Tail { blocks: u64, tail: u64 },
    /// On devices.
    Chunks { bits: u8, count: u64 },
}

impl Plan<'_> {
    /// The shape of a record.
    pub(crate) fn shape(&self, record: &Record) -> Shape {
        let inode = self.tree.inode(record.id);
        let attributes = &inode.attributes;
        let (shared, own) = self.attributes_of(record);
        let own_length: usize = own.iter().map(|entry| self.attributes.entry(*entry).len()).sum();
        let any = !shared.is_empty() || !own.is_empty();
        let xattrs = if any {
            HEADER + shared.len() * UNIT + own_length
        } else {
            0
        };
        let storage = match &inode.content {
            Content::Regular { size, data } if *size > 0 => {
                let chunks = data.chunks(*size);
                Storage::Chunks {
                    bits: chunks.bits,
                    count: chunks.count,
                }
            }
            Content::Directory(_) | Content::Inline(_) => in_index(record.size),
            Content::Symlink(_) => link(record.size, xattrs as u64),
            _ => Storage::None,
        };
        let compact = attributes.modified == self.epoch
            && fits_compact(attributes.uid, attributes.gid, record.links, record.size);
        Shape {
            extended: !compact,
            shared,
            own,
            xattrs,
            storage,
            is_symlink: matches!(inode.content, Content::Symlink(_)),
        }
    }

    fn attributes_of(&self, record: &Record) -> (Vec<u32>, Vec<u32>) {
        let set = self.attributes.set(self.tree.inode(record.id).attributes.xattrs);
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for entry in set {
            match self.shared_number(*entry) {
                Some(number) if shared.len() < SHARED_MOST => shared.push(number),
                _ => own.push(*entry),
            }
        }
        (shared, own)
    }
}

/// Data in the index: as much as possible behind the inode.
fn in_index(size: u64) -> Storage {
    let (blocks, tail) = (size / BLOCK as u64, size % BLOCK as u64);
    match (blocks, tail) {
        (0, 0) => Storage::None,
        (blocks, 0) => Storage::Blocks(blocks),
        (blocks, tail) if tail <= TAIL_MOST => Storage::Tail { blocks, tail },
        (blocks, _) => Storage::Blocks(blocks + 1),
    }
}

/// A link's target: kernels want one that is behind the inode to be in the block in which the inode ends.
fn link(size: u64, xattrs: u64) -> Storage {
    if 1 + xattrs + size + SLOT <= BLOCK as u64 {
        Storage::Tail { blocks: 0, tail: size }
    } else {
        Storage::Blocks(size.div_ceil(BLOCK as u64))
    }
}

impl Shape {
    /// The length of the inode itself.
    pub(crate) fn inode_length(&self) -> u64 {
        (if self.extended { EXTENDED } else { COMPACT }) as u64
    }

    /// Where what comes behind inode and attributes begins.
    pub(crate) fn behind(&self) -> u64 {
        let end = self.inode_length() + self.xattrs as u64;
        match self.storage {
            Storage::Chunks { .. } => end.next_multiple_of(chunk::INDEX as u64),
            _ => end,
        }
    }

    /// The length of everything that stays together.
    pub(super) fn length(&self) -> u64 {
        self.behind()
            + match self.storage {
                Storage::None | Storage::Blocks(_) => 0,
                Storage::Tail { tail, .. } => tail,
                Storage::Chunks { count, .. } => count * chunk::INDEX as u64,
            }
    }

    /// From where on all must be in one block; the length, when nothing must.
    pub(super) fn pinned(&self) -> u64 {
        match self.storage {
            Storage::Tail { .. } if self.is_symlink => self.inode_length() - 1,
            Storage::Tail { .. } => self.behind(),
            _ => self.length(),
        }
    }

    /// How many blocks it has in the data area.
    pub(crate) fn blocks(&self) -> u64 {
        match self.storage {
            Storage::None | Storage::Chunks { .. } => 0,
            Storage::Blocks(blocks) | Storage::Tail { blocks, .. } => blocks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Storage, in_index, link};

    #[test]
    fn where_data_in_the_index_go() {
        let cases = [
            (0, Storage::None),
            (1, Storage::Tail { blocks: 0, tail: 1 }),
            (384, Storage::Tail { blocks: 0, tail: 384 }),
            (385, Storage::Blocks(1)),
            (512, Storage::Blocks(1)),
            (513, Storage::Tail { blocks: 1, tail: 1 }),
            (1000, Storage::Blocks(2)),
        ];
        for (size, expected) in cases {
            assert_eq!(in_index(size), expected, "{size}");
        }
    }

    #[test]
    fn where_targets_go() {
        let cases = [
            (1, 0, Storage::Tail { blocks: 0, tail: 1 }),
            (479, 0, Storage::Tail { blocks: 0, tail: 479 }),
            (480, 0, Storage::Blocks(1)),
            (400, 80, Storage::Blocks(1)),
            (4095, 0, Storage::Blocks(8)),
        ];
        for (size, xattrs, expected) in cases {
            assert_eq!(link(size, xattrs), expected, "{size} behind {xattrs}");
        }
    }
}
