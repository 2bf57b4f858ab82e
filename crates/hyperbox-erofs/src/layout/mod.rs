// SPDX-License-Identifier: MIT
//! Structures on disk, each as a pure encoder and decoder. Little-endian throughout.
//!
//! Source: `fs/erofs/erofs_fs.h` of the kernel. Names of fields are those of that file.

pub(crate) mod checksum;
pub(crate) mod chunk;
pub(crate) mod dirent;
pub(crate) mod inode;
pub(crate) mod superblock;
pub(crate) mod xattr;

/// Log2 of the size of blocks of the images that are written.
pub(crate) const BLOCK_BITS: u8 = 9;

/// The size of blocks of the images that are written.
pub(crate) const BLOCK: usize = 1 << BLOCK_BITS;

/// A `u16` at a place that must exist in the slice: callers have checked the length.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, offset))
}

/// A `u32`, as [`u16_at`].
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, offset))
}

/// A `u64`, as [`u16_at`].
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, offset))
}

/// The bytes at an offset.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}

/// Puts bytes at an offset.
pub(crate) fn put(target: &mut [u8], offset: usize, bytes: &[u8]) {
    target[offset..offset + bytes.len()].copy_from_slice(bytes);
}
