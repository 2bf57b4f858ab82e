// SPDX-License-Identifier: MIT
//! The superblock (`struct erofs_super_block`, 128 bytes at 1024) and the table of devices (`struct erofs_deviceslot`, 128 bytes each).

use super::{array_at, checksum, put, u16_at, u32_at, u64_at};
use crate::model::Timestamp;

/// Where the superblock is.
pub(crate) const OFFSET: usize = 1024;
/// Its length without extension slots.
pub(crate) const LENGTH: usize = 128;
/// The length of a device's slot, and the unit of `devt_slotoff`.
pub(crate) const DEVICE_LENGTH: usize = 128;
/// The slot behind the superblock, where the table of devices begins in images that are written.
pub(crate) const FIRST_DEVICE_SLOT: u16 = 9;
/// The length of a device's tag.
pub(crate) const TAG_LENGTH: usize = 64;

/// `EROFS_SUPER_MAGIC_V1`.
pub(crate) const MAGIC: u32 = 0xE0F5_E1E2;

/// `EROFS_FEATURE_COMPAT_SB_CHKSUM`: the checksum is valid.
pub(crate) const COMPAT_CHECKSUM: u32 = 0x1;
/// `EROFS_FEATURE_COMPAT_MTIME`: times are those of the last modification.
pub(crate) const COMPAT_MTIME: u32 = 0x2;
/// `EROFS_FEATURE_COMPAT_SHARED_EA_IN_METABOX`.
pub(crate) const COMPAT_SHARED_IN_METABOX: u32 = 0x8;

/// `EROFS_FEATURE_INCOMPAT_CHUNKED_FILE`.
pub(crate) const INCOMPAT_CHUNKED_FILE: u32 = 0x4;
/// `EROFS_FEATURE_INCOMPAT_DEVICE_TABLE`.
pub(crate) const INCOMPAT_DEVICE_TABLE: u32 = 0x8;
/// `EROFS_FEATURE_INCOMPAT_XATTR_PREFIXES`.
pub(crate) const INCOMPAT_XATTR_PREFIXES: u32 = 0x40;
/// `EROFS_FEATURE_INCOMPAT_48BIT`.
pub(crate) const INCOMPAT_48BIT: u32 = 0x80;
/// `EROFS_FEATURE_INCOMPAT_METABOX` and everything above it.
pub(crate) const INCOMPAT_UNKNOWN: u32 = !0xFF;

/// What a superblock says, as far as uncompressed images need it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Superblock {
    pub(crate) feature_compat: u32,
    pub(crate) feature_incompat: u32,
    pub(crate) block_bits: u8,
    pub(crate) extension_slots: u8,
    pub(crate) root_nid: u64,
    pub(crate) inodes: u64,
    /// The time of all compact inodes.
    pub(crate) epoch: Timestamp,
    pub(crate) blocks: u64,
    pub(crate) metadata_block: u32,
    pub(crate) xattr_block: u32,
    pub(crate) uuid: [u8; 16],
    pub(crate) extra_devices: u16,
    pub(crate) device_slot: u16,
    pub(crate) directory_block_bits: u8,
    pub(crate) xattr_prefixes: u8,
    pub(crate) xattr_prefix_start: u32,
    pub(crate) packed_nid: u64,
}

impl Superblock {
    /// Encodes it with a checksum of zero, for images without 48-bit addresses.
    ///
    /// `root_nid` must be below 2^16 and `blocks` below 2^32: without 48-bit addresses the fields are no wider.
    pub(crate) fn encode(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        put(&mut bytes, 0, &MAGIC.to_le_bytes());
        put(&mut bytes, 8, &self.feature_compat.to_le_bytes());
        bytes[12] = self.block_bits;
        bytes[13] = self.extension_slots;
        put(&mut bytes, 14, &self.root_nid.to_le_bytes()[..2]);
        put(&mut bytes, 16, &self.inodes.to_le_bytes());
        put(&mut bytes, 24, &self.epoch.seconds.to_le_bytes());
        put(&mut bytes, 32, &self.epoch.nanoseconds.to_le_bytes());
        put(&mut bytes, 36, &self.blocks.to_le_bytes()[..4]);
        put(&mut bytes, 40, &self.metadata_block.to_le_bytes());
        put(&mut bytes, 44, &self.xattr_block.to_le_bytes());
        put(&mut bytes, 48, &self.uuid);
        put(&mut bytes, 80, &self.feature_incompat.to_le_bytes());
        put(&mut bytes, 86, &self.extra_devices.to_le_bytes());
        put(&mut bytes, 88, &self.device_slot.to_le_bytes());
        bytes[90] = self.directory_block_bits;
        bytes[91] = self.xattr_prefixes;
        put(&mut bytes, 92, &self.xattr_prefix_start.to_le_bytes());
        put(&mut bytes, 96, &self.packed_nid.to_le_bytes());
        bytes
    }

    /// Decodes one; `None` without the magic number.
    pub(crate) fn decode(bytes: &[u8; LENGTH]) -> Option<Self> {
        if u32_at(bytes, 0) != MAGIC {
            return None;
        }
        let feature_incompat = u32_at(bytes, 80);
        let wide = feature_incompat & INCOMPAT_48BIT != 0;
        let (short_root, low_blocks) = (u16_at(bytes, 14), u32_at(bytes, 36));
        Some(Self {
            feature_compat: u32_at(bytes, 8),
            feature_incompat,
            block_bits: bytes[12],
            extension_slots: bytes[13],
            root_nid: if wide { u64_at(bytes, 112) } else { short_root.into() },
            inodes: u64_at(bytes, 16),
            epoch: Timestamp {
                seconds: u64_at(bytes, 24).cast_signed(),
                nanoseconds: u32_at(bytes, 32),
            },
            blocks: u64::from(low_blocks) | if wide { u64::from(short_root) << 32 } else { 0 },
            metadata_block: u32_at(bytes, 40),
            xattr_block: u32_at(bytes, 44),
            uuid: array_at(bytes, 48),
            extra_devices: u16_at(bytes, 86),
            device_slot: u16_at(bytes, 88),
            directory_block_bits: bytes[90],
            xattr_prefixes: bytes[91],
            xattr_prefix_start: u32_at(bytes, 92),
            packed_nid: u64_at(bytes, 96),
        })
    }
}

/// Puts the checksum into the bytes from a superblock to the end of the block that it is in.
pub(crate) fn seal(block: &mut [u8]) {
    put(block, 4, &[0; 4]);
    let checksum = checksum::crc32c(block);
    put(block, 4, &checksum.to_le_bytes());
}

/// Whether that checksum is right.
pub(crate) fn is_sealed(block: &[u8]) -> bool {
    let mut copy = block.to_vec();
    seal(&mut copy);
    copy == block
}

/// A device's slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceSlot {
    pub(crate) tag: [u8; TAG_LENGTH],
    pub(crate) blocks: u64,
    /// Where it begins in an address space of all devices; 0 when it has no place there.
    pub(crate) unified_start: u64,
}

impl DeviceSlot {
    /// Encodes it. Both numbers of blocks must be below 2^32.
    pub(crate) fn encode(&self) -> [u8; DEVICE_LENGTH] {
        let mut bytes = [0; DEVICE_LENGTH];
        put(&mut bytes, 0, &self.tag);
        put(&mut bytes, 64, &self.blocks.to_le_bytes()[..4]);
        put(&mut bytes, 68, &self.unified_start.to_le_bytes()[..4]);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; DEVICE_LENGTH], wide: bool) -> Self {
        let high = |offset| {
            if wide {
                u64::from(u16_at(bytes, offset)) << 32
            } else {
                0
            }
        };
        Self {
            tag: array_at(bytes, 0),
            blocks: u64::from(u32_at(bytes, 64)) | high(72),
            unified_start: u64::from(u32_at(bytes, 68)) | high(74),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceSlot, LENGTH, Superblock, is_sealed, seal};
    use crate::model::Timestamp;

    fn example() -> Superblock {
        Superblock {
            feature_compat: 3,
            feature_incompat: 12,
            block_bits: 9,
            root_nid: 48,
            inodes: 7,
            epoch: Timestamp {
                seconds: -5,
                nanoseconds: 9,
            },
            blocks: 77,
            metadata_block: 1,
            xattr_block: 2,
            uuid: [3; 16],
            extra_devices: 1,
            device_slot: 9,
            packed_nid: 11,
            ..Superblock::default()
        }
    }

    #[test]
    fn fields_are_where_the_kernel_looks_for_them() {
        let bytes = example().encode();
        assert_eq!(bytes[..4], [0xE2, 0xE1, 0xF5, 0xE0]);
        let places = [
            (8, 3),
            (12, 9),
            (14, 48),
            (16, 7),
            (32, 9),
            (36, 77),
            (40, 1),
            (44, 2),
            (80, 12),
            (86, 1),
            (88, 9),
            (96, 11),
        ];
        for (place, value) in places {
            assert_eq!(bytes[place], value, "at {place}");
        }
        assert_eq!(bytes[24..32], (-5_i64).to_le_bytes());
        assert_eq!(Superblock::decode(&bytes), Some(example()));
        assert_eq!(Superblock::decode(&[0; LENGTH]), None);
    }

    #[test]
    fn a_changed_bit_breaks_the_seal() {
        let mut block = example().encode().to_vec();
        block.resize(512, 0);
        seal(&mut block);
        assert!(is_sealed(&block));
        block[300] ^= 1;
        assert!(!is_sealed(&block));
    }

    #[test]
    fn slots_of_devices() {
        let slot = DeviceSlot {
            tag: [b'x'; 64],
            blocks: 5,
            unified_start: 0,
        };
        let bytes = slot.encode();
        assert_eq!((bytes[63], bytes[64], bytes[68]), (b'x', 5, 0));
        assert_eq!(DeviceSlot::decode(&bytes, false), slot);
    }
}
