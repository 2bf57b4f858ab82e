// SPDX-License-Identifier: MIT
//! Where data of a tar are when they were moved out of it: what an index over packs says instead of places in the tar.

use super::extents::{Extent, Place};

/// The device of data that are nowhere: no index has so many, so what uses it is refused when the index is written. Entries that a
/// later one of the same tar replaces have such data.
const NOWHERE: u16 = u16::MAX;

/// A run of bytes that was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it was in the tar.
    pub(crate) tar_at: u64,
    pub(crate) length: u64,
    /// From 1 on.
    pub(crate) device: u16,
    /// Where it is there: a multiple of a block.
    pub(crate) at: u64,
}

/// All that was moved out of a tar.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// Sizes of the devices, in their order.
    pub(crate) devices: Vec<u64>,
    /// Ascending in the tar, none over another.
    pub(crate) pieces: Vec<Piece>,
}

impl Moved {
    /// Tells where an extent is now.
    pub(super) fn translate(&self, extent: Extent) -> Vec<hyperbox_erofs::Extent> {
        let placed = |offset, length, device, device_offset| hyperbox_erofs::Extent {
            file_offset: offset,
            length,
            device,
            device_offset,
        };
        if extent.place == Place::Odd {
            // Data that are laid out anew come behind all packs.
            let device = u16::try_from(self.devices.len() + 1).unwrap_or(NOWHERE);
            return vec![placed(extent.offset, extent.length, device, extent.at)];
        }
        let end = extent.at + extent.length;
        let mut found = Vec::new();
        let mut at = extent.at;
        let mut next = self.pieces.partition_point(|piece| piece.tar_at + piece.length <= at);
        while at < end {
            let offset = extent.offset + (at - extent.at);
            let Some(piece) = self.pieces.get(next).filter(|piece| piece.tar_at <= at) else {
                found.push(placed(offset, end - at, NOWHERE, 0));
                break;
            };
            let within = at - piece.tar_at;
            let length = (piece.length - within).min(end - at);
            found.push(placed(offset, length, piece.device, piece.at + within));
            at += length;
            next += 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_tar_become_places_in_packs() {
        let piece = |tar_at, length, device, at| Piece {
            tar_at,
            length,
            device,
            at,
        };
        let moved = Moved {
            devices: vec![1 << 20, 1 << 20],
            pieces: vec![
                piece(512, 1024, 2, 4096),
                piece(1536, 100, 1, 0),
                piece(4096, 10, 1, 512),
            ],
        };
        type Found<'a> = &'a [(u64, u64, u16, u64)];
        let cases: &[(Place, u64, u64, Found<'_>)] = &[
            (Place::Tar, 512, 1024, &[(0, 1024, 2, 4096)]),
            (Place::Tar, 1024, 612, &[(0, 512, 2, 4608), (512, 100, 1, 0)]),
            (Place::Tar, 4096, 10, &[(0, 10, 1, 512)]),
            (Place::Odd, 512, 10, &[(0, 10, 3, 512)]),
            (Place::Tar, 0, 512, &[(0, 512, NOWHERE, 0)]),
            (Place::Tar, 1536, 200, &[(0, 100, 1, 0), (100, 100, NOWHERE, 0)]),
        ];
        for (place, at, length, expected) in cases {
            let extent = Extent {
                offset: 0,
                length: *length,
                place: *place,
                at: *at,
            };
            let found: Vec<_> = moved
                .translate(extent)
                .iter()
                .map(|found| (found.file_offset, found.length, found.device, found.device_offset))
                .collect();
            assert_eq!(found, *expected, "{place:?} {at}");
        }
    }
}
