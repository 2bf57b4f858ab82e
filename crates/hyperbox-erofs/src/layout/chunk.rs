// SPDX-License-Identifier: MIT
//! Chunks of files: the format in an inode (`struct erofs_inode_chunk_info`) and its array of indexes behind the inode
//! (`struct erofs_inode_chunk_index`, 8 bytes each), or of bare 4-byte blocks.

use super::{u16_at, u32_at};

/// The largest chunk, as log2 of its blocks (`EROFS_CHUNK_FORMAT_BLKBITS_MASK`).
pub(crate) const BITS_MOST: u8 = 31;
/// The length of an index, and what the array is aligned to.
pub(crate) const INDEX: usize = 8;
/// A block that says: here is a hole (`EROFS_NULL_ADDR`).
pub(crate) const HOLE: u32 = u32::MAX;

/// `EROFS_CHUNK_FORMAT_INDEXES`: indexes with devices, not bare blocks.
const INDEXES: u32 = 0x20;
/// `EROFS_CHUNK_FORMAT_48BIT`.
const WIDE: u32 = 0x40;

/// Where a chunk's data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// 0 is the image itself.
    pub(crate) device: u16,
    pub(crate) block: u64,
}

/// The format of a file with indexes, for an inode's `i_u`.
pub(crate) fn encode_format(bits: u8) -> u32 {
    u32::from(bits) | INDEXES
}

/// Encodes an index. The block must be below [`HOLE`].
pub(crate) fn encode_index(place: Option<(u16, u32)>) -> [u8; INDEX] {
    let (device, block) = place.unwrap_or((0, HOLE));
    let mut bytes = [0; INDEX];
    super::put(&mut bytes, 2, &device.to_le_bytes());
    super::put(&mut bytes, 4, &block.to_le_bytes());
    bytes
}

/// A format that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    /// Log2 of a chunk's blocks.
    pub(crate) bits: u8,
    /// Whether there are indexes and not bare blocks.
    pub(crate) indexes: bool,
    /// Whether blocks have 48 bits.
    pub(crate) wide: bool,
}

impl Format {
    /// `None` for a format with unknown bits.
    pub(crate) fn decode(union: u32) -> Option<Self> {
        let format = union & 0xFFFF;
        if format & !(u32::from(BITS_MOST) | INDEXES | WIDE) != 0 {
            return None;
        }
        Some(Self {
            bits: u8::try_from(format & u32::from(BITS_MOST)).ok()?,
            indexes: format & INDEXES != 0,
            wide: format & WIDE != 0,
        })
    }

    /// The length of an element of the array, and what the array is aligned to.
    pub(crate) fn unit(&self) -> usize {
        if self.indexes { INDEX } else { 4 }
    }

    /// Decodes an element of [`unit`](Self::unit) bytes; `None` for a hole.
    pub(crate) fn decode_place(&self, bytes: &[u8]) -> Option<Place> {
        if !self.indexes {
            let block = u32_at(bytes, 0);
            return (block != HOLE).then_some(Place {
                device: 0,
                block: block.into(),
            });
        }
        let high = if self.wide {
            u64::from(u16_at(bytes, 0)) << 32
        } else {
            0
        };
        let mask = if self.wide { (1 << 48) - 1 } else { u64::from(u32::MAX) };
        let block = u64::from(u32_at(bytes, 4)) | high;
        (block != mask).then_some(Place {
            device: u16_at(bytes, 2),
            block,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Place, encode_format, encode_index};

    #[test]
    fn indexes() {
        let format = Format::decode(encode_format(5)).unwrap();
        assert_eq!((format.bits, format.unit()), (5, 8));
        let index = encode_index(Some((1, 0x0102_0304)));
        assert_eq!(index, [0, 0, 1, 0, 4, 3, 2, 1]);
        assert_eq!(
            format.decode_place(&index),
            Some(Place {
                device: 1,
                block: 0x0102_0304
            })
        );
        assert_eq!(format.decode_place(&encode_index(None)), None);
    }

    #[test]
    fn other_formats() {
        let bare = Format::decode(3).unwrap();
        assert_eq!((bare.indexes, bare.unit()), (false, 4));
        assert_eq!(bare.decode_place(&[9, 0, 0, 0]), Some(Place { device: 0, block: 9 }));
        assert_eq!(bare.decode_place(&[0xFF; 4]), None);
        let wide = Format::decode(0x60).unwrap();
        assert_eq!(
            wide.decode_place(&[1, 0, 2, 0, 3, 0, 0, 0]),
            Some(Place {
                device: 2,
                block: (1 << 32) + 3
            })
        );
        assert_eq!(wide.decode_place(&[0xFF; 8]), None);
        assert_eq!(Format::decode(0x80), None);
        assert_eq!(
            Format::decode(0x1_0001).map(|format| format.bits),
            Some(1),
            "the other half is reserved"
        );
    }
}
