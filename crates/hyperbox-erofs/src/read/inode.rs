// SPDX-License-Identifier: MIT
//! Inodes of an image.

use super::{Image, ReadAt, damaged, unsupported};
use crate::error::ImageError;
use crate::layout::inode::{self, COMPACT, EXTENDED, RawInode, Refused, SLOT, decode_device, is_extended};
use crate::layout::{u16_at, xattr};
use crate::model::{Kind, Timestamp};

const WHAT: &str = "an inode";

/// An inode of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InodeInfo {
    /// Its number: names with the same number are hard links of each other.
    pub nid: u64,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub permissions: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// The time of the last modification.
    pub modified: Timestamp,
    /// How many links it says it has.
    pub links: u32,
    /// The length of its data: of a file's content, a link's target, a directory's entries.
    pub size: u64,
    pub(super) position: u64,
    /// Of the inode itself.
    pub(super) length: u64,
    pub(super) raw: RawInode,
}

impl InodeInfo {
    /// Where its extended attributes begin.
    pub(super) fn xattr_position(&self) -> u64 {
        self.position + self.length
    }

    /// How long they are.
    pub(super) fn xattr_length(&self) -> u64 {
        xattr::body_length(self.raw.xattr_count) as u64
    }

    /// Where what comes behind them begins.
    pub(super) fn behind(&self) -> u64 {
        self.xattr_position() + self.xattr_length()
    }
}

impl<R: ReadAt> Image<R> {
    /// Reads the inode of this number.
    ///
    /// # Errors
    ///
    /// [`ImageError`], also for files that are compressed.
    pub fn inode(&self, nid: u64) -> Result<InodeInfo, ImageError> {
        let start = u64::from(self.superblock.metadata_block) << self.superblock.block_bits;
        let position = nid
            .checked_mul(SLOT)
            .and_then(|offset| offset.checked_add(start))
            .ok_or(damaged(WHAT, nid, "its number is impossible"))?;
        let short: [u8; COMPACT] = self.array(WHAT, position)?;
        let mut bytes = [0; EXTENDED];
        let length = if is_extended(u16_at(&short, 0)) {
            bytes = self.array(WHAT, position)?;
            EXTENDED
        } else {
            bytes[..COMPACT].copy_from_slice(&short);
            COMPACT
        };
        let raw = RawInode::decode(&bytes[..length], self.is_wide(), self.superblock.epoch).map_err(|refused| {
            let feature = match refused {
                Refused::Compressed => "compression",
                Refused::Unknown => "an unknown layout",
            };
            unsupported(WHAT, position, feature)
        })?;
        let kind = kind(&raw).ok_or(damaged(WHAT, position, "its mode is impossible"))?;
        if raw.size > i64::MAX.unsigned_abs() {
            return Err(damaged(WHAT, position, "it is longer than a file can be"));
        }
        let info = InodeInfo {
            nid,
            kind,
            permissions: raw.mode & !inode::TYPE_MASK,
            uid: raw.uid,
            gid: raw.gid,
            modified: raw.modified.unwrap_or(self.superblock.epoch),
            links: raw.links,
            size: raw.size,
            position,
            length: length as u64,
            raw,
        };
        self.check(WHAT, info.xattr_position(), info.xattr_length())?;
        Ok(info)
    }
}

fn kind(raw: &RawInode) -> Option<Kind> {
    Some(match raw.mode & inode::TYPE_MASK {
        inode::TYPE_DIRECTORY => Kind::Directory,
        inode::TYPE_REGULAR => Kind::Regular,
        inode::TYPE_SYMLINK => Kind::Symlink,
        inode::TYPE_CHARACTER => Kind::CharacterDevice(decode_device(raw.union)),
        inode::TYPE_BLOCK => Kind::BlockDevice(decode_device(raw.union)),
        inode::TYPE_FIFO => Kind::Fifo,
        inode::TYPE_SOCKET => Kind::Socket,
        _ => return None,
    })
}
