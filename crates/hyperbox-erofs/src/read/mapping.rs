// SPDX-License-Identifier: MIT
//! Where data are: in the image, behind the inode, or on a device.

use super::{Image, InodeInfo, ReadAt, damaged, unsupported};
use crate::error::ImageError;
use crate::layout::chunk::Format;
use crate::layout::inode::DataLayout;
use crate::model::{Extent, Kind};

const WHAT: &str = "a file's map";

/// A stretch of a file that is in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    /// How many bytes from the place asked for, at most to the file's end.
    length: u64,
    /// Device and offset there; `None` for a hole.
    place: Option<(u16, u64)>,
}

impl<R: ReadAt> Image<R> {
    /// Where the data of a regular file are: its extents, ascending, those that continue each other joined; holes are left out.
    ///
    /// Device 0 is the image itself; only there may offsets be unaligned. What an extent says of a device was not compared with the
    /// device.
    ///
    /// The iterator ends with its first error.
    pub fn extents<'a>(&'a self, inode: &'a InodeInfo) -> impl Iterator<Item = Result<Extent, ImageError>> + 'a {
        let mut position = 0;
        let mut pending: Option<Extent> = None;
        let mut failed = inode.kind != Kind::Regular;
        std::iter::from_fn(move || {
            while !failed && position < inode.size {
                let stretch = match self.stretch(inode, position) {
                    Ok(stretch) => stretch,
                    Err(error) => {
                        failed = true;
                        return Some(Err(error));
                    }
                };
                let at = position;
                position += stretch.length;
                let Some((device, device_offset)) = stretch.place else {
                    continue;
                };
                let next = Extent {
                    file_offset: at,
                    length: stretch.length,
                    device,
                    device_offset,
                };
                match &mut pending {
                    Some(last) if continues(last, &next) => last.length += next.length,
                    _ => {
                        if let Some(done) = pending.replace(next) {
                            return Some(Ok(done));
                        }
                    }
                }
            }
            if failed { None } else { pending.take().map(Ok) }
        })
    }

    /// The target of a symbolic link, at most 4096 bytes.
    ///
    /// # Errors
    ///
    /// [`ImageError`], also for what is no link.
    pub fn link_target(&self, inode: &InodeInfo) -> Result<Vec<u8>, ImageError> {
        const LONGEST: u64 = 4096;
        if inode.kind != Kind::Symlink || inode.size == 0 {
            return Err(damaged("a symbolic link", inode.position, "it has no target"));
        }
        self.content(inode, LONGEST)
    }

    /// The content of a file that is kept in the image, at most `limit` bytes; holes are zeros.
    ///
    /// # Errors
    ///
    /// [`ImageError::TooLarge`] for a longer file, [`ImageError::Unsupported`] when some of it is on a device.
    pub fn content(&self, inode: &InodeInfo, limit: u64) -> Result<Vec<u8>, ImageError> {
        if inode.size > limit {
            return Err(ImageError::TooLarge {
                what: "a file's content",
                offset: inode.position,
                limit,
            });
        }
        self.read_image_data(inode, 0, inode.size)
    }

    /// Reads a part of the data of an inode whose data are in the image.
    pub(super) fn read_image_data(&self, inode: &InodeInfo, from: u64, length: u64) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let end = inode.size.min(from.saturating_add(length));
        let mut position = from;
        while position < end {
            let stretch = self.stretch(inode, position)?;
            let length = stretch.length.min(end - position);
            match stretch.place {
                Some((0, offset)) => bytes.extend(self.bytes(WHAT, offset, length)?),
                Some(_) => return Err(unsupported(WHAT, inode.position, "data on a device")),
                None => {
                    // A hole is nowhere in the image, so nothing but this bounds it.
                    if length > self.size {
                        return Err(damaged(WHAT, inode.position, "a hole is longer than the image"));
                    }
                    bytes.resize(bytes.len() + usize::try_from(length).unwrap_or(usize::MAX), 0);
                }
            }
            position += length;
        }
        Ok(bytes)
    }

    /// The stretch of a file that begins at a place before its end.
    fn stretch(&self, inode: &InodeInfo, at: u64) -> Result<Stretch, ImageError> {
        match inode.raw.data_layout {
            DataLayout::Chunks => self.chunk(inode, at),
            DataLayout::Plain | DataLayout::Inline => self.flat(inode, at),
        }
    }

    fn flat(&self, inode: &InodeInfo, at: u64) -> Result<Stretch, ImageError> {
        let block = self.block_size();
        let blocks = inode.size.div_ceil(block);
        let inline = inode.raw.data_layout == DataLayout::Inline;
        let tail_start = (blocks - u64::from(inline)) * block;
        if at >= tail_start {
            let offset = inode.behind() + (at - tail_start);
            let length = inode.size - at;
            self.check("a file's tail", offset, length)?;
            if offset / block != (offset + length - 1) / block {
                return Err(damaged("a file's tail", offset, "it crosses the edge of a block"));
            }
            return Ok(Stretch {
                length,
                place: Some((0, offset)),
            });
        }
        let start = u64::from(inode.raw.union) | u64::from(inode.raw.union_high) << 32;
        let length = tail_start.min(inode.size) - at;
        if start == self.null_block() && !inline {
            return Ok(Stretch { length, place: None });
        }
        let address = self.address(start, inode)? + at;
        Ok(self.resolve(address, length))
    }

    fn chunk(&self, inode: &InodeInfo, at: u64) -> Result<Stretch, ImageError> {
        let format = Format::decode(inode.raw.union).ok_or(unsupported(WHAT, inode.position, "an unknown format"))?;
        let bits = self.superblock.block_bits + format.bits;
        let unit = format.unit() as u64;
        let index = at >> bits;
        let place = inode.behind().next_multiple_of(unit) + index * unit;
        let end = ((index + 1) << bits).min(inode.size);
        let mut stretch = Stretch {
            length: end - at,
            place: None,
        };
        let mut bytes = [0; 8];
        self.check(WHAT, place, unit)?;
        self.fill(&mut bytes[..format.unit()], place)?;
        if let Some(found) = format.decode_place(&bytes) {
            let inside = at - (index << bits);
            let address = self.address(found.block, inode)? + inside;
            if found.device == 0 {
                return Ok(self.resolve(address, stretch.length));
            }
            if usize::from(found.device) > self.devices.len() {
                return Err(damaged(WHAT, place, "a chunk is on a device that there is not"));
            }
            stretch.place = Some((found.device, address));
        }
        Ok(stretch)
    }

    /// From an address of the whole to a device: those that have a place there are behind the image.
    fn resolve(&self, address: u64, length: u64) -> Stretch {
        let bits = self.superblock.block_bits;
        let place = (1..).zip(&self.devices).find_map(|(number, device)| {
            let start = device
                .unified_start
                .checked_shl(bits.into())
                .filter(|start| *start > 0)?;
            let inside = address.checked_sub(start)?;
            (inside >> bits < device.blocks).then_some((number, inside))
        });
        Stretch {
            length,
            place: Some(place.unwrap_or((0, address))),
        }
    }

    /// A block's address; blocks have 48 bits and are at most 64 KiB, so only adding to it may overflow.
    fn address(&self, block: u64, inode: &InodeInfo) -> Result<u64, ImageError> {
        let address = block << self.superblock.block_bits;
        match address.checked_add(inode.size) {
            Some(_) => Ok(address),
            None => Err(damaged(WHAT, inode.position, "its data have an impossible place")),
        }
    }

    /// What says that a flat file is one hole, where blocks have 48 bits.
    fn null_block(&self) -> u64 {
        if self.is_wide() {
            (1 << 48) - 1
        } else {
            u64::from(u32::MAX)
        }
    }
}

fn continues(last: &Extent, next: &Extent) -> bool {
    last.device == next.device
        && last.file_offset + last.length == next.file_offset
        && last.device_offset.checked_add(last.length) == Some(next.device_offset)
}
