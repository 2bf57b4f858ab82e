// SPDX-License-Identifier: MIT
//! What becomes of extents.

use super::{Data, Refused, understand};
use crate::model::Extent;

fn extent(file_offset: u64, length: u64, device_offset: u64) -> Extent {
    Extent {
        file_offset,
        length,
        device: 1,
        device_offset,
    }
}

fn map(size: u64, extents: &[Extent]) -> (u8, Vec<Option<u32>>) {
    let data = understand(size, extents).unwrap();
    let chunks = data.chunks(size);
    let (bits, count) = (chunks.bits, chunks.count);
    let places: Vec<_> = chunks.map(|place| place.map(|(_, block)| block)).collect();
    assert_eq!(places.len() as u64, count);
    (bits, places)
}

#[test]
fn a_file_in_one_piece_is_one_chunk() {
    assert_eq!(map(0, &[]), (0, vec![]));
    assert_eq!(map(1, &[extent(0, 1, 512)]), (0, vec![Some(1)]));
    assert_eq!(map(513, &[extent(0, 513, 512)]), (1, vec![Some(1)]));
    assert_eq!(map(5 << 30, &[extent(0, 5 << 30, 1 << 30)]), (24, vec![Some(2 << 20)]));
    let pieces = [extent(0, 512, 512), extent(512, 512, 1024), extent(1024, 100, 1536)];
    assert_eq!(map(1124, &pieces), (2, vec![Some(1)]), "neighbours are joined");
    assert!(matches!(
        understand(1124, &pieces),
        Ok(Data::Contiguous { device: 1, block: 1 })
    ));
}

#[test]
fn longer_than_the_largest_chunk() {
    let largest = 1_u64 << 40;
    let (bits, places) = map(largest + 1, &[extent(0, largest + 1, 512)]);
    assert_eq!((bits, places), (31, vec![Some(1), Some((1 << 31) + 1)]));
}

#[test]
fn holes() {
    assert_eq!(map(4096, &[]), (3, vec![None]));
    type Case<'a> = (&'a str, u64, &'a [Extent], (u8, Vec<Option<u32>>));
    let cases: [Case<'_>; 5] = [
        ("hole first", 8192, &[extent(4096, 4096, 512)], (3, vec![None, Some(1)])),
        ("hole last", 8192, &[extent(0, 4096, 512)], (3, vec![Some(1), None])),
        (
            "a ragged end",
            8192 + 7,
            &[extent(8192, 7, 512)],
            (4, vec![None, Some(1)]),
        ),
        (
            "between",
            2048,
            &[extent(0, 512, 512), extent(1536, 512, 1024)],
            (0, vec![Some(1), None, None, Some(2)]),
        ),
        (
            "two chunks of a piece",
            12_288,
            &[extent(0, 8192, 512), extent(8192, 4096, 51_200)],
            (4, vec![Some(1), Some(100)]),
        ),
    ];
    for (what, size, extents, expected) in cases {
        assert_eq!(map(size, extents), expected, "{what}");
    }
    let data = understand(8192, &[extent(4096, 4096, 512)]).unwrap();
    assert_eq!(data.mapped(8192), 4096);
}

#[test]
fn refused_ones() {
    let wrong: [(&str, u64, &[Extent]); 7] = [
        ("overlap", 2048, &[extent(0, 1024, 0), extent(512, 512, 0)]),
        ("order", 2048, &[extent(1024, 512, 0), extent(0, 512, 0)]),
        ("behind", 512, &[extent(0, 513, 0)]),
        ("overflow", 512, &[extent(u64::MAX - 511, 1024, 0)]),
        (
            "device 0",
            512,
            &[Extent {
                device: 0,
                ..extent(0, 512, 0)
            }],
        ),
        ("beyond", 512, &[extent(0, 512, 2 << 40)]),
        ("too long", 1 << 63, &[]),
    ];
    for (what, size, extents) in wrong {
        assert!(matches!(understand(size, extents), Err(Refused::Wrong(_))), "{what}");
    }
    let misaligned: [(u64, &[Extent]); 3] = [
        (2048, &[extent(0, 100, 0), extent(512, 512, 512)]),
        (2048, &[extent(0, 512, 1)]),
        (2048, &[extent(1, 511, 0)]),
    ];
    for (size, extents) in misaligned {
        assert_eq!(understand(size, extents), Err(Refused::Misaligned));
    }
}
