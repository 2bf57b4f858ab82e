// SPDX-License-Identifier: MIT
//! The format of an index, as far as it is used here.
//!
//! Sources: `Documentation/filesystems/erofs.rst` and `fs/erofs/erofs_fs.h` of the kernel. All numbers are little-endian. Blocks have
//! 512 bytes (`blkszbits` 9): members of a tar begin at multiples of that, so no data need be moved. Kernels know such blocks since 6.4,
//! files as the source of a mount since 6.12.
//!
//! ```text
//!     0  zeros (room for a boot sector)
//!  1024  superblock, 128 bytes; its CRC-32C covers everything to byte 1536
//!  1152  a slot of 128 bytes for each device: tag, number of blocks
//!  1536  inodes, each at a multiple of 32; inode number ("nid") = offset / 32, since `meta_blkaddr` is 0
//!     …  shared extended attributes, from block `xattr_blkaddr` on
//!     …  blocks: directories, long link targets, long inline files
//! ```
//!
//! **Superblock.** `feature_compat`: `SB_CHKSUM`, `MTIME`. `feature_incompat`: `CHUNKED_FILE`, and `DEVICE_TABLE` where there are
//! devices. `epoch` and `fixed_nsec` are the time of compact inodes: the most frequent one. `build_time` is 0, the UUID is a hash of
//! everything else: the same tree always gives the same bytes. The root's nid fits its 16 bits because it is the first inode.
//!
//! **Inodes** are compact (32 bytes: 16-bit owners and links, 32-bit size, the epoch's time) where that suffices, or else extended
//! (64 bytes: everything, with nanoseconds). Behind an inode come, without gaps:
//!
//! - its extended attributes: a header of 12 bytes, 4 bytes for each that it shares, then its own. What several inodes have is shared;
//! - for a file on devices (`CHUNK_BASED`): at the next multiple of 8, an index of 8 bytes for each chunk: device, block, or a hole.
//!   A chunk has `512 << n` bytes, `n` up to 31. A file in one piece has one chunk for each TiB, whatever its size; one with holes has
//!   chunks as long as its edges are aligned;
//! - for directories, links and inline files (`FLAT_INLINE`): the last, partial block of the data. It lies in one block of the
//!   image; that of a link in the block in which its inode ends, as kernels before 6.10 want it. A long tail gets a block of its own
//!   (`FLAT_PLAIN`).
//!
//! **Directories** have blocks of their own: entries of 12 bytes (nid, offset of the name, type), then the names, not terminated.
//! Names ascend by bytes over the whole directory, `.` and `..` among them, because the kernel finds names by bisection.
//!
//! **Devices.** Blocks on devices have 32 bits: data must lie in the first 2 TiB of a device. (`48BIT` lifts that from kernel 6.15 on.)
//! Chunks name their device, which is found by the order of `device=` options. In the common address space that the kernel assumes when
//! it is given no devices, they come behind the image (`uniaddr`).
//!
//! **Whiteouts** need nothing special: overlay takes a character device 0:0 for one, and the attribute `trusted.overlay.opaque` = `y`
//! of a directory for its wish to hide those below.
