// SPDX-License-Identifier: MIT
//! Entries in any order, contradicting each other: whatever the builder accepts becomes an image that the reader finds sound, with
//! every name and every link.
#![no_main]

use std::collections::HashMap;
use std::io::Cursor;

use hyperbox_erofs::{
    Builder, Device, DeviceNumber, Extent, Image, Kind, Limits, Metadata, Node, Options, Timestamp, Xattr,
};
use libfuzzer_sys::fuzz_target;

/// Decisions, taken from the input one byte at a time; zeros when it has ended.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }

    fn number(&mut self) -> u64 {
        let bytes = u64::from_le_bytes(std::array::from_fn(|_| self.byte()));
        bytes >> self.below(64)
    }

    fn path(&mut self) -> Vec<u8> {
        const NAMES: [&[u8]; 10] = [b"a", b"b", b"a", b"..", b".", b"", b".-", b"...", b"!", &[b'l'; 255]];
        let components = (0..=self.below(4)).map(|_| NAMES[usize::from(self.below(10))].to_vec());
        let mut path = components.collect::<Vec<_>>().join(&b'/');
        if self.below(4) == 0 {
            path.push(self.byte());
        }
        path
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()) * usize::from(self.below(20));
        vec![self.byte(); length]
    }

    fn xattr(&mut self) -> Xattr {
        const PREFIXES: [&[u8]; 5] = [
            b"user.",
            b"trusted.",
            b"security.",
            b"system.posix_acl_access",
            b"other.",
        ];
        let mut name = PREFIXES[usize::from(self.below(5))].to_vec();
        name.extend(std::iter::repeat_n(b'x', usize::from(self.below(3))));
        Xattr {
            name,
            value: self.bytes(),
        }
    }

    fn metadata(&mut self) -> Metadata {
        Metadata {
            permissions: u16::from(self.byte()) << 4,
            uid: u32::from(self.byte()) << self.below(24),
            gid: u32::from(self.byte()),
            modified: Timestamp {
                seconds: i64::from(self.below(2)) - i64::from(self.below(2)),
                nanoseconds: u32::from(self.below(2)),
            },
            xattrs: (0..self.below(3)).map(|_| self.xattr()).collect(),
        }
    }

    fn node(&mut self) -> Node {
        let device = DeviceNumber {
            major: self.below(4).into(),
            minor: u32::from(self.byte()) << 8,
        };
        match self.below(9) {
            0 | 1 => Node::Directory,
            2 => Node::Inline(self.bytes()),
            3 => Node::Symlink(self.bytes()),
            4 => Node::CharacterDevice(device),
            5 => Node::BlockDevice(device),
            6 => Node::Fifo,
            7 => Node::contiguous(self.number(), self.number() & !511),
            _ => {
                let extents = (0..self.below(5)).map(|_| Extent {
                    file_offset: self.number() & !511,
                    length: self.number() & !511,
                    device: self.below(3).into(),
                    device_offset: self.number() & !511,
                });
                let extents = extents.collect();
                Node::Regular {
                    size: self.number(),
                    extents,
                }
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let limits = Limits {
        inodes: 1000,
        held: 1 << 20,
        chunks: 10_000,
    };
    let mut builder = Builder::new(Options { limits });
    while !input.0.is_empty() {
        let path = input.path();
        match input.below(8) {
            0 => drop(builder.hard_link(&path, &input.path())),
            1 => drop(builder.remove(&path)),
            2 => drop(builder.mark_directory(&path, input.xattr())),
            _ => drop(builder.insert(&path, &input.metadata(), input.node())),
        }
    }
    let device = Device {
        size: 1 << 40,
        tag: Vec::new(),
    };
    let mut out = Cursor::new(Vec::new());
    let Ok(summary) = builder.finish(&[device.clone(), device], &mut out) else {
        return;
    };
    let image = Image::open(out.into_inner()).expect("what was built can be opened");
    let mut names: HashMap<u64, (u32, u32)> = HashMap::new();
    let mut mapped = 0;
    let mut count = 0;
    for entry in image.walk() {
        let inode = entry.expect("what was built can be walked through").inode;
        count += 1;
        image.xattrs(&inode).expect("attributes can be read");
        let seen = names.entry(inode.nid).or_insert((0, inode.links));
        seen.0 += 1;
        if inode.kind == Kind::Directory {
            *seen = (0, 0);
        }
        if inode.kind == Kind::Symlink {
            image.link_target(&inode).expect("targets can be read");
        }
        if seen.0 == 1 {
            let extents = image.extents(&inode).map(|extent| extent.expect("maps can be read"));
            mapped += extents
                .filter(|extent| extent.device > 0)
                .map(|extent| extent.length)
                .sum::<u64>();
        }
    }
    assert_eq!((count, mapped), (summary.names + 1, summary.mapped));
    assert_eq!(names.len() as u64, summary.inodes);
    assert!(
        names.values().all(|(found, claimed)| found == claimed),
        "links are counted right"
    );
});
