// SPDX-License-Identifier: MIT
//! EROFS images from nowhere: no panic, no endless walk, no memory that the image's length does not explain.
#![no_main]

use hyperbox_erofs::{Image, Kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    // Without this bit, the superblock's checksum is not looked at: everything behind it can be reached.
    if let Some(features) = bytes.get_mut(1032) {
        *features &= !1;
    }
    let Ok(image) = Image::open(&bytes[..]) else {
        return;
    };
    let mut entries = 0;
    for entry in image.walk() {
        let Ok(entry) = entry else {
            return;
        };
        entries += 1;
        assert!(entries <= bytes.len(), "more entries than bytes");
        let inode = &entry.inode;
        drop(image.xattrs(inode));
        match inode.kind {
            Kind::Symlink => drop(image.link_target(inode)),
            Kind::Regular => {
                let mut position = 0;
                for extent in image.extents(inode) {
                    let Ok(extent) = extent else {
                        break;
                    };
                    assert!(extent.length > 0 && extent.file_offset >= position);
                    position = extent.file_offset + extent.length;
                    assert!(position <= inode.size);
                }
                drop(image.content(inode, 1 << 16));
            }
            _ => {}
        }
    }
});
