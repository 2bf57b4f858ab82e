// SPDX-License-Identifier: MIT
//! Places of inodes: one behind the other, in slots of 32 bytes.
//!
//! A tail behind an inode must not cross the edge of a block (the kernel reads it from one), so an inode with a tail may have to move on.
//! The gap that this leaves is filled with inodes that come later.

use std::ops::Range;

use crate::layout::{BLOCK, inode};

#[derive(Debug)]
pub(super) struct Placer {
    next: u64,
    gap: Range<u64>,
}

impl Placer {
    pub(super) fn new(start: u64) -> Self {
        Self { next: start, gap: 0..0 }
    }

    /// A place for `length` bytes, of which those from `pinned` on lie in one block.
    pub(super) fn place(&mut self, length: u64, pinned: u64) -> u64 {
        let filled = fit(self.gap.start, length, pinned);
        if filled + length <= self.gap.end {
            self.gap.start = filled + length;
            return filled;
        }
        let position = fit(self.next, length, pinned);
        let gap = self.next.next_multiple_of(inode::SLOT)..position;
        if gap.end - gap.start > self.gap.end - self.gap.start.min(self.gap.end) {
            self.gap = gap;
        }
        self.next = position + length;
        position
    }

    /// Where the last one ends.
    pub(super) fn end(&self) -> u64 {
        self.next
    }
}

/// The first slot from `from` on where the pinned part crosses no edge. It must be short enough to be moved by whole slots.
fn fit(from: u64, length: u64, pinned: u64) -> u64 {
    let block = BLOCK as u64;
    let position = from.next_multiple_of(inode::SLOT);
    let (first, end) = (position + pinned, position + length);
    if pinned >= length || first / block == (end - 1) / block {
        return position;
    }
    (first.next_multiple_of(block) - pinned).next_multiple_of(inode::SLOT)
}

#[cfg(test)]
mod tests {
    use super::{Placer, fit};

    #[test]
    fn pinned_parts_cross_no_edge() {
        let cases = [
            ("nothing pinned", 500, 64, 64, 512),
            ("in the block", 448, 64, 63, 448),
            ("ends with the block", 416, 96, 64, 416),
            ("moved so that the tail begins the next block", 416, 128, 64, 448),
            ("moved so that the inode's last byte is there too", 416, 128, 63, 480),
            ("a compact inode's last byte", 448, 72, 31, 512),
        ];
        for (what, from, length, pinned, expected) in cases {
            assert_eq!(fit(from, length, pinned), expected, "{what}");
        }
    }

    #[test]
    fn gaps_are_filled() {
        let mut placer = Placer::new(0);
        assert_eq!(placer.place(64, 64), 0);
        assert_eq!(placer.place(32 + 490, 32), 480, "its tail is the next block's");
        assert_eq!(placer.place(64, 64), 64);
        assert_eq!(placer.place(300, 300), 128);
        assert_eq!(placer.place(64, 64), 1024, "what is left is too short");
        assert_eq!(placer.place(32, 32), 448);
        assert_eq!(placer.end(), 1088);
    }
}
