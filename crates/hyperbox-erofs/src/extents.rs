// SPDX-License-Identifier: MIT
//! From extents in bytes to a map of chunks in blocks. Pure.
//!
//! All chunks of a file have one length, a power of two of blocks. A chunk lies on one device in one piece, or is a hole; so chunks are
//! as long as the edges between data and holes allow, and a file in one piece has one chunk (one for each TiB).

use std::borrow::Cow;

use crate::layout::BLOCK_BITS;
use crate::layout::chunk::{BITS_MOST, HOLE};
use crate::model::{BLOCK_SIZE, Extent};

/// The data of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    /// The whole file in one piece on one device, or no data at all when it is empty.
    Contiguous { device: u16, block: u32 },
    /// Pieces and holes.
    Scattered(Box<[Piece]>),
}

/// An extent in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// In the file.
    pub(crate) start: u64,
    pub(crate) blocks: u64,
    pub(crate) device: u16,
    /// On the device.
    pub(crate) block: u32,
}

/// Why extents are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Wrong(&'static str),
    Misaligned,
}

/// Blocks of a file of this length.
pub(crate) fn blocks(size: u64) -> u64 {
    size.div_ceil(BLOCK_SIZE)
}

/// Checks extents and turns them to blocks; neighbours that continue each other become one.
pub(crate) fn understand(size: u64, extents: &[Extent]) -> Result<Data, Refused> {
    if size > i64::MAX.unsigned_abs() {
        return Err(Refused::Wrong("longer than a file can be"));
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut position = 0;
    for extent in extents.iter().filter(|extent| extent.length > 0) {
        if extent.file_offset < position {
            return Err(Refused::Wrong("its extents overlap or are out of order"));
        }
        position = extent
            .file_offset
            .checked_add(extent.length)
            .filter(|end| *end <= size)
            .ok_or(Refused::Wrong("an extent lies behind its end"))?;
        let piece = understand_one(extent, position == size)?;
        match pieces.last_mut() {
            Some(last) if continues(last, &piece) => last.blocks += piece.blocks,
            _ => pieces.push(piece),
        }
    }
    Ok(match pieces[..] {
        [only] if only.start == 0 && only.blocks == blocks(size) => Data::Contiguous {
            device: only.device,
            block: only.block,
        },
        [] if size == 0 => Data::Contiguous { device: 0, block: 0 },
        _ => Data::Scattered(pieces.into()),
    })
}

fn understand_one(extent: &Extent, is_last: bool) -> Result<Piece, Refused> {
    let aligned = |value: u64| value.is_multiple_of(BLOCK_SIZE);
    if !aligned(extent.file_offset) || !aligned(extent.device_offset) || !(is_last || aligned(extent.length)) {
        return Err(Refused::Misaligned);
    }
    if extent.device == 0 {
        return Err(Refused::Wrong("an extent is on device 0, which is the index itself"));
    }
    let (first, blocks) = (extent.device_offset / BLOCK_SIZE, blocks(extent.length));
    let block = u32::try_from(first)
        .ok()
        .filter(|_| first + blocks < u64::from(HOLE))
        .ok_or(Refused::Wrong("an extent lies beyond 2 TiB of its device"))?;
    Ok(Piece {
        start: extent.file_offset / BLOCK_SIZE,
        blocks,
        device: extent.device,
        block,
    })
}

fn continues(last: &Piece, next: &Piece) -> bool {
    last.device == next.device
        && last.start + last.blocks == next.start
        && u64::from(last.block) + last.blocks == u64::from(next.block)
}

impl Data {
    /// The pieces of a file of this length.
    pub(crate) fn pieces(&self, size: u64) -> Cow<'_, [Piece]> {
        match self {
            Self::Contiguous { device: 0, .. } => Cow::Borrowed(&[]),
            Self::Contiguous { device, block } => Cow::Owned(vec![Piece {
                start: 0,
                blocks: blocks(size),
                device: *device,
                block: *block,
            }]),
            Self::Scattered(pieces) => Cow::Borrowed(pieces),
        }
    }

    /// Bytes that are on devices.
    pub(crate) fn mapped(&self, size: u64) -> u64 {
        let bytes = |piece: &Piece| (size - piece.start * BLOCK_SIZE).min(piece.blocks * BLOCK_SIZE);
        self.pieces(size).iter().map(bytes).sum()
    }

    /// The chunks of a file of this length.
    pub(crate) fn chunks(&self, size: u64) -> Chunks<'_> {
        let blocks = blocks(size);
        let pieces = self.pieces(size);
        let log2 = |blocks: u64| u8::try_from(blocks.trailing_zeros()).unwrap_or(u8::MAX);
        let edge = |block: u64| if block == blocks { u8::MAX } else { log2(block) };
        let bits = match self {
            _ if blocks == 0 => 0,
            Self::Contiguous { .. } => log2(blocks.next_power_of_two()),
            Self::Scattered(_) => pieces
                .iter()
                .flat_map(|piece| [edge(piece.start), edge(piece.start + piece.blocks)])
                .fold(log2(blocks.next_power_of_two()), u8::min),
        };
        let bits = bits.min(BITS_MOST);
        Chunks {
            pieces,
            piece: 0,
            bits,
            count: blocks.div_ceil(1 << bits),
            index: 0,
        }
    }

    /// Bytes of memory beside the value itself.
    pub(crate) fn held(&self) -> u64 {
        match self {
            Self::Contiguous { .. } => 0,
            Self::Scattered(pieces) => size_of_val::<[Piece]>(pieces) as u64,
        }
    }
}

/// The places of a file's chunks, one after the other; `None` is a hole.
#[derive(Debug)]
pub(crate) struct Chunks<'a> {
    pieces: Cow<'a, [Piece]>,
    piece: usize,
    /// How long a chunk is, as log2 of blocks.
    pub(crate) bits: u8,
    /// How many there are.
    pub(crate) count: u64,
    index: u64,
}

impl Iterator for Chunks<'_> {
    type Item = Option<(u16, u32)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.count {
            return None;
        }
        let start = self.index << self.bits;
        self.index += 1;
        let passed = |piece: &Piece| piece.start + piece.blocks <= start;
        while self.pieces.get(self.piece).is_some_and(passed) {
            self.piece += 1;
        }
        let piece = self.pieces.get(self.piece).filter(|piece| piece.start <= start);
        Some(piece.map(|piece| {
            let block = u64::from(piece.block) + (start - piece.start);
            (
                piece.device,
                u32::try_from(block).expect("the end of each piece was checked"),
            )
        }))
    }
}

const _: () = assert!(1 << BLOCK_BITS == BLOCK_SIZE, "extents count in blocks of the image");

#[cfg(test)]
mod tests;
