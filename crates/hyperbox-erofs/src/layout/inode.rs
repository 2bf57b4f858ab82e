// SPDX-License-Identifier: MIT
//! Inodes: compact ones (`struct erofs_inode_compact`, 32 bytes) and extended ones (`struct erofs_inode_extended`, 64 bytes).

use super::{put, u16_at, u32_at, u64_at};
use crate::model::{DeviceNumber, Timestamp};

/// What inodes are aligned to, and the unit of inode numbers ("nids").
pub(crate) const SLOT: u64 = 32;
/// The length of a compact inode.
pub(crate) const COMPACT: usize = 32;
/// The length of an extended inode.
pub(crate) const EXTENDED: usize = 64;

/// `S_IFMT` and its values.
pub(crate) const TYPE_MASK: u16 = 0o170_000;
pub(crate) const TYPE_FIFO: u16 = 0o010_000;
pub(crate) const TYPE_CHARACTER: u16 = 0o020_000;
pub(crate) const TYPE_DIRECTORY: u16 = 0o040_000;
pub(crate) const TYPE_BLOCK: u16 = 0o060_000;
pub(crate) const TYPE_REGULAR: u16 = 0o100_000;
pub(crate) const TYPE_SYMLINK: u16 = 0o120_000;
pub(crate) const TYPE_SOCKET: u16 = 0o140_000;

/// `EROFS_I_NLINK_1_BIT`, `EROFS_I_DOT_OMITTED_BIT`.
const BIT_4: u16 = 0x10;

/// How an inode's data are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataLayout {
    /// Consecutive blocks (`EROFS_INODE_FLAT_PLAIN`).
    Plain = 0,
    /// Consecutive blocks and a tail behind the inode (`EROFS_INODE_FLAT_INLINE`).
    Inline = 2,
    /// Chunks anywhere (`EROFS_INODE_CHUNK_BASED`).
    Chunks = 4,
}

/// An inode on disk, without its type-dependent `i_u` interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawInode {
    /// `None`: compact, the time is the superblock's.
    pub(crate) modified: Option<Timestamp>,
    pub(crate) data_layout: DataLayout,
    /// How long the extended attributes are, in the unit of `i_xattr_icount`.
    pub(crate) xattr_count: u16,
    /// With the bits of the type.
    pub(crate) mode: u16,
    pub(crate) links: u32,
    pub(crate) size: u64,
    /// `i_u`: a block, a device number, or a chunk format.
    pub(crate) union: u32,
    /// The block's upper bits, where the image has 48-bit addresses.
    pub(crate) union_high: u16,
    /// `i_ino`: only a hint for 32-bit programs.
    pub(crate) number: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Why bytes are no inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Compressed data.
    Compressed,
    /// Bits or a layout that are not known.
    Unknown,
}

/// Whether the inode beginning with these bytes is an extended one.
pub(crate) fn is_extended(format: u16) -> bool {
    format & 1 == 1
}

impl RawInode {
    /// Appends its bytes: 32 when it has no time of its own, or else 64. A compact one must fit into the fields, see
    /// [`fits_compact`].
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let format = u16::from(self.modified.is_some()) | ((self.data_layout as u16) << 1);
        let length = if self.modified.is_some() { EXTENDED } else { COMPACT };
        out.resize(start + length, 0);
        let bytes = &mut out[start..];
        put(bytes, 0, &format.to_le_bytes());
        put(bytes, 2, &self.xattr_count.to_le_bytes());
        put(bytes, 4, &self.mode.to_le_bytes());
        put(bytes, 16, &self.union.to_le_bytes());
        put(bytes, 20, &self.number.to_le_bytes());
        match self.modified {
            None => {
                put(bytes, 6, &self.links.to_le_bytes()[..2]);
                put(bytes, 8, &self.size.to_le_bytes()[..4]);
                put(bytes, 24, &self.uid.to_le_bytes()[..2]);
                put(bytes, 26, &self.gid.to_le_bytes()[..2]);
            }
            Some(modified) => {
                put(bytes, 8, &self.size.to_le_bytes());
                put(bytes, 24, &self.uid.to_le_bytes());
                put(bytes, 28, &self.gid.to_le_bytes());
                put(bytes, 32, &modified.seconds.to_le_bytes());
                put(bytes, 40, &modified.nanoseconds.to_le_bytes());
                put(bytes, 44, &self.links.to_le_bytes());
            }
        }
    }

    /// Decodes one from at least [`COMPACT`] bytes, or [`EXTENDED`] where [`is_extended`] says so.
    ///
    /// `epoch` is the time of compact inodes; an image with 48-bit addresses (`wide`) gives them seconds after it.
    pub(crate) fn decode(bytes: &[u8], wide: bool, epoch: Timestamp) -> Result<Self, Refused> {
        let format = u16_at(bytes, 0);
        let data_layout = match (format >> 1) & 7 {
            0 => DataLayout::Plain,
            2 => DataLayout::Inline,
            4 => DataLayout::Chunks,
            1 | 3 => return Err(Refused::Compressed),
            _ => return Err(Refused::Unknown),
        };
        let mode = u16_at(bytes, 4);
        let flag = format & BIT_4 != 0;
        if format & !0x1F != 0 || (flag && !wide) {
            return Err(Refused::Unknown);
        }
        let short = u16_at(bytes, 6);
        let common = Self {
            modified: None,
            data_layout,
            xattr_count: u16_at(bytes, 2),
            mode,
            links: 1,
            size: 0,
            union: u32_at(bytes, 16),
            union_high: 0,
            number: u32_at(bytes, 20),
            uid: 0,
            gid: 0,
        };
        if is_extended(format) {
            return Ok(Self {
                modified: Some(Timestamp {
                    seconds: u64_at(bytes, 32).cast_signed(),
                    nanoseconds: u32_at(bytes, 40),
                }),
                links: u32_at(bytes, 44),
                size: u64_at(bytes, 8),
                union_high: if wide { short } else { 0 },
                uid: u32_at(bytes, 24),
                gid: u32_at(bytes, 28),
                ..common
            });
        }
        let one_link = flag && mode & TYPE_MASK != TYPE_DIRECTORY;
        let later = if wide { u32_at(bytes, 12) } else { 0 };
        Ok(Self {
            modified: Some(Timestamp {
                seconds: epoch.seconds.wrapping_add(later.into()),
                nanoseconds: epoch.nanoseconds,
            }),
            links: if one_link { 1 } else { short.into() },
            size: u32_at(bytes, 8).into(),
            union_high: if one_link { short } else { 0 },
            uid: u16_at(bytes, 24).into(),
            gid: u16_at(bytes, 26).into(),
            ..common
        })
    }
}

/// Whether a compact inode has room for these.
pub(crate) fn fits_compact(uid: u32, gid: u32, links: u32, size: u64) -> bool {
    let short = u32::from(u16::MAX);
    uid <= short && gid <= short && links <= short && size <= u64::from(u32::MAX)
}

/// A device number as the kernel's `new_encode_dev`; `None` when Linux has no such device.
pub(crate) fn encode_device(number: DeviceNumber) -> Option<u32> {
    let DeviceNumber { major, minor } = number;
    (major < 1 << 12 && minor < 1 << 20).then_some((minor & 0xFF) | (major << 8) | ((minor & !0xFF) << 12))
}

/// The reverse (`new_decode_dev`).
pub(crate) fn decode_device(encoded: u32) -> DeviceNumber {
    DeviceNumber {
        major: (encoded & 0x000F_FF00) >> 8,
        minor: (encoded & 0xFF) | ((encoded >> 12) & 0x000F_FF00),
    }
}

#[cfg(test)]
mod tests {
    use super::{DataLayout, RawInode, Refused, decode_device, encode_device, fits_compact};
    use crate::model::{DeviceNumber, Timestamp};

    const EPOCH: Timestamp = Timestamp {
        seconds: 77,
        nanoseconds: 5,
    };

    fn example() -> RawInode {
        RawInode {
            modified: None,
            data_layout: DataLayout::Chunks,
            xattr_count: 2,
            mode: 0o100_644,
            links: 3,
            size: 4,
            union: 0x20,
            union_high: 0,
            number: 9,
            uid: 10,
            gid: 11,
        }
    }

    #[test]
    fn compact_ones() {
        let mut bytes = Vec::new();
        example().encode(&mut bytes);
        assert_eq!(bytes.len(), 32);
        for (place, value) in [
            (0, 8),
            (2, 2),
            (4, 0o244),
            (5, 0o201),
            (6, 3),
            (8, 4),
            (16, 0x20),
            (20, 9),
            (24, 10),
            (26, 11),
        ] {
            assert_eq!(bytes[place], value, "at {place}");
        }
        let decoded = RawInode::decode(&bytes, false, EPOCH).unwrap();
        let expected = RawInode {
            modified: Some(EPOCH),
            ..example()
        };
        assert_eq!(decoded, expected);
    }

    #[test]
    fn extended_ones() {
        let inode = RawInode {
            modified: Some(Timestamp {
                seconds: -1,
                nanoseconds: 999_999_999,
            }),
            links: 70_000,
            size: 1 << 40,
            uid: u32::MAX,
            gid: 1 << 31,
            data_layout: DataLayout::Inline,
            ..example()
        };
        let mut bytes = vec![1];
        inode.encode(&mut bytes);
        let bytes = &bytes[1..];
        assert_eq!(bytes.len(), 64);
        assert_eq!((bytes[0], bytes[13], bytes[32], bytes[24]), (5, 1, 0xFF, 0xFF));
        assert_eq!(RawInode::decode(bytes, false, EPOCH), Ok(inode));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (format, expected) in [
            (2, Refused::Compressed),
            (6, Refused::Compressed),
            (10, Refused::Unknown),
            (0x20, Refused::Unknown),
            (0x10, Refused::Unknown),
        ] {
            let mut bytes = [0; 64];
            bytes[0] = format;
            assert_eq!(RawInode::decode(&bytes, false, EPOCH), Err(expected), "{format}");
        }
    }

    #[test]
    fn room_in_compact_ones() {
        assert!(fits_compact(65_535, 65_535, 65_535, u64::from(u32::MAX)));
        assert!(!fits_compact(65_536, 0, 1, 0));
        assert!(!fits_compact(0, 65_536, 1, 0));
        assert!(!fits_compact(0, 0, 65_536, 0));
        assert!(!fits_compact(0, 0, 1, 1 << 32));
    }

    #[test]
    fn device_numbers() {
        for (major, minor, encoded) in [
            (0, 0, Some(0)),
            (8, 1, Some(0x801)),
            (4095, 0xF_FFFF, Some(0xFFFF_FFFF)),
            (1, 256, Some(0x10_0100)),
            (4096, 0, None),
            (0, 1 << 20, None),
        ] {
            let number = DeviceNumber { major, minor };
            assert_eq!(encode_device(number), encoded, "{major}:{minor}");
            if let Some(encoded) = encoded {
                assert_eq!(decode_device(encoded), number);
            }
        }
    }
}
