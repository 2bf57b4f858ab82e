// SPDX-License-Identifier: MIT
//! Extended attributes of an image.

use super::{Image, InodeInfo, ReadAt, damaged, unsupported};
use crate::error::ImageError;
use crate::layout::superblock::INCOMPAT_XATTR_PREFIXES;
use crate::layout::u16_at;
use crate::layout::xattr::{ENTRY, EntryHead, UNIT, decode_header};
use crate::model::Xattr;

const WHAT: &str = "an extended attribute";

/// How long the attributes of one inode may be together, since many inodes may share long ones.
const BYTES_MOST: u64 = 1 << 20;

impl<R: ReadAt> Image<R> {
    /// The extended attributes of an inode, ascending by names.
    ///
    /// # Errors
    ///
    /// [`ImageError`]; [`ImageError::TooLarge`] when they have more than 1 MiB.
    pub fn xattrs(&self, inode: &InodeInfo) -> Result<Vec<Xattr>, ImageError> {
        let (position, length) = (inode.xattr_position(), inode.xattr_length());
        if length == 0 {
            return Ok(Vec::new());
        }
        let body = self.bytes(WHAT, position, length)?;
        let (shared, mut own) = decode_header(&body).map_err(|reason| damaged(WHAT, position, reason))?;
        let mut xattrs = Vec::new();
        let mut total = 0;
        for number in shared {
            let xattr = self.shared_xattr(number)?;
            total += xattr.value.len() as u64;
            if total > BYTES_MOST {
                return Err(ImageError::TooLarge {
                    what: WHAT,
                    offset: position,
                    limit: BYTES_MOST,
                });
            }
            xattrs.push(xattr);
        }
        while let Some((head, rest)) = own.split_first_chunk() {
            let head = EntryHead::decode(*head);
            let cut = rest.split_at_checked(head.payload());
            let (payload, next) = cut.ok_or(damaged(WHAT, position, "it lies beyond its inode"))?;
            xattrs.push(self.xattr(&head, payload, position)?);
            own = next;
        }
        xattrs.sort_unstable();
        Ok(xattrs)
    }

    fn shared_xattr(&self, number: u32) -> Result<Xattr, ImageError> {
        let area = u64::from(self.superblock.xattr_block) << self.superblock.block_bits;
        let position = area + u64::from(number) * UNIT as u64;
        let head = EntryHead::decode(self.array(WHAT, position)?);
        let payload = self.bytes(WHAT, position + ENTRY as u64, head.payload() as u64)?;
        self.xattr(&head, &payload, position)
    }

    fn xattr(&self, head: &EntryHead, payload: &[u8], position: u64) -> Result<Xattr, ImageError> {
        let (rest, value) = payload.split_at(head.name_length);
        let name = head.name(rest, &self.prefixes);
        Ok(Xattr {
            name: name.ok_or(damaged(WHAT, position, "its prefix is not known"))?,
            value: value[..head.value_length].to_vec(),
        })
    }

    /// Reads the image's own prefixes: each a length, the number of a known prefix, and what comes behind that.
    pub(super) fn read_prefixes(&self) -> Result<Vec<(u8, Vec<u8>)>, ImageError> {
        const WHAT: &str = "a prefix of extended attributes";
        let superblock = &self.superblock;
        let mut position = u64::from(superblock.xattr_prefix_start) * UNIT as u64;
        if superblock.feature_incompat & INCOMPAT_XATTR_PREFIXES == 0 {
            return Ok(Vec::new());
        }
        if superblock.packed_nid != 0 {
            return Err(unsupported(WHAT, position, "a packed inode"));
        }
        let mut prefixes = Vec::new();
        for _ in 0..superblock.xattr_prefixes {
            let length = u64::from(u16_at(&self.array::<2>(WHAT, position)?, 0));
            let bytes = self.bytes(WHAT, position + 2, length)?;
            let (index, infix) = bytes.split_first().ok_or(damaged(WHAT, position, "it is empty"))?;
            prefixes.push((*index, infix.to_vec()));
            position = (position + 2 + length).next_multiple_of(UNIT as u64);
        }
        Ok(prefixes)
    }
}
