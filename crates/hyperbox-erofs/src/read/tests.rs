// SPDX-License-Identifier: MIT
//! Images that lie.

use std::io::Cursor;

use super::Image;
use crate::layout::superblock::{self, OFFSET};
use crate::layout::{BLOCK, put};
use crate::model::{Device, Extent, Kind, Metadata, Node, Options, Xattr};
use crate::{Builder, Fault, ImageError};

fn sound() -> Vec<u8> {
    let mut builder = Builder::new(Options::default());
    let attributes = |value: u8| Metadata {
        xattrs: vec![
            Xattr {
                name: b"user.shared".to_vec(),
                value: b"x".to_vec(),
            },
            Xattr {
                name: b"user.own".to_vec(),
                value: vec![value; 20],
            },
        ],
        ..Metadata::implied_directory()
    };
    for number in 0..40_u8 {
        let extent = Extent {
            file_offset: 4096,
            length: 4096,
            device: 1,
            device_offset: 512 * u64::from(number),
        };
        let node = match number % 5 {
            0 => Node::Symlink(vec![b'l'; usize::from(number) + 1]),
            1 => Node::Inline(vec![number; usize::from(number) * 30]),
            2 => Node::contiguous(1000, 512 * u64::from(number)),
            3 => Node::Regular {
                size: 10_000,
                extents: vec![extent],
            },
            _ => Node::Directory,
        };
        let path = format!("d/{}/{number}", number % 3);
        builder.insert(path.as_bytes(), &attributes(number), node).unwrap();
    }
    let mut out = Cursor::new(Vec::new());
    let device = Device {
        size: 1 << 20,
        tag: b"tag".to_vec(),
    };
    builder.finish(&[device], &mut out).unwrap();
    out.into_inner()
}

/// Reads everything that can be read; tells how many entries there were before the first error.
fn read_all(bytes: &[u8]) -> Result<usize, ImageError> {
    let image = Image::open(bytes)?;
    let mut count = 0;
    for entry in image.walk() {
        let inode = entry?.inode;
        image.xattrs(&inode)?;
        match inode.kind {
            Kind::Symlink => drop(image.link_target(&inode)?),
            Kind::Regular => image.extents(&inode).try_for_each(|extent| extent.map(drop))?,
            _ => {}
        }
        count += 1;
    }
    Ok(count)
}

fn seal(bytes: &mut [u8]) {
    superblock::seal(&mut bytes[OFFSET..OFFSET + BLOCK]);
}

#[test]
fn a_sound_one() {
    let bytes = sound();
    assert_eq!(read_all(&bytes).unwrap(), 1 + 1 + 3 + 40);
    let image = Image::open(&bytes[..]).unwrap();
    let devices: Vec<Device> = image.devices().collect();
    assert_eq!(devices.len(), 1);
    assert_eq!((devices[0].size, devices[0].tag.as_slice()), (1 << 20, &b"tag"[..]));
    assert_eq!(image.block_size(), 512);
    let inode = image.find(b"/d/./1/1").unwrap().unwrap();
    assert_eq!(image.content(&inode, 30).unwrap(), [1; 30]);
    assert!(matches!(image.content(&inode, 29), Err(ImageError::TooLarge { .. })));
    assert!(image.find(b"d/1/none").unwrap().is_none());
    assert!(image.find(b"d/1/1/none").unwrap().is_none());
    let sparse = image.find(b"d/0/3").unwrap().unwrap();
    let extents: Vec<Extent> = image.extents(&sparse).map(Result::unwrap).collect();
    let expected = Extent {
        file_offset: 4096,
        length: 4096,
        device: 1,
        device_offset: 512 * 3,
    };
    assert_eq!(extents, [expected]);
    assert!(matches!(
        image.content(&sparse, 1 << 20),
        Err(ImageError::Unsupported { .. })
    ));
}

#[test]
fn what_is_no_image_is_refused() {
    for bytes in [&[][..], &[0; 1024], &[0; 4096]] {
        assert_eq!(Image::open(bytes).unwrap_err().fault(), Fault::Input);
    }
    let mut bytes = sound();
    bytes[OFFSET + 20] ^= 1;
    assert!(matches!(Image::open(&bytes[..]), Err(ImageError::Damaged { reason, .. }) if reason.contains("checksum")));
    let mut bytes = sound();
    put(&mut bytes, OFFSET + 80, &0x1000_u32.to_le_bytes());
    seal(&mut bytes);
    assert_eq!(Image::open(&bytes[..]).unwrap_err().fault(), Fault::Unsupported);
}

#[test]
fn every_shortened_one_gives_an_error() {
    let bytes = sound();
    for length in (0..bytes.len()).step_by(64) {
        assert!(read_all(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
    }
}

#[test]
fn a_directory_that_contains_itself_is_refused() {
    let mut builder = Builder::new(Options::default());
    builder.insert(b"below", &Metadata::default(), Node::Directory).unwrap();
    let mut out = Cursor::new(Vec::new());
    builder.finish(&[], &mut out).unwrap();
    let mut bytes = out.into_inner();
    let image = Image::open(&bytes[..]).unwrap();
    let below = image.find(b"below").unwrap().unwrap();
    let (from, to) = (below.nid.to_le_bytes(), image.root().unwrap().nid.to_le_bytes());
    // The root's entries are behind its inode: the third is the directory's.
    let root = usize::try_from(image.root().unwrap().nid * 32).unwrap();
    let entry = (root..bytes.len() - 8).find(|at| bytes[*at..*at + 8] == from).unwrap();
    put(&mut bytes, entry, &to);
    assert!(matches!(read_all(&bytes), Err(ImageError::Damaged { reason, .. }) if reason.contains("several names")));
}

#[test]
fn changed_bytes_give_errors_or_other_trees_but_no_panic() {
    let sound = sound();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |limit: usize| {
        // xorshift64*: any sequence does, as long as it is always the same.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % limit
    };
    let mut errors = 0;
    for _ in 0..20_000 {
        let mut bytes = sound.clone();
        for _ in 0..=next(4) {
            let values = [0, 0xFF, 1 << next(8), u8::try_from(next(256)).unwrap()];
            // Most of an image is content: what matters is tried more often.
            let end = if next(3) == 0 { OFFSET + 256 } else { bytes.len() };
            let place = OFFSET + next(end - OFFSET);
            bytes[place] = values[next(4)];
        }
        seal(&mut bytes);
        errors += usize::from(read_all(&bytes).is_err());
    }
    assert!((1000..19_999).contains(&errors), "{errors} of 20,000 gave errors");
}
