// SPDX-License-Identifier: MIT
//! Directories: blocks that begin with entries (`struct erofs_dirent`, 12 bytes) and go on with their names.
//!
//! The names of a directory ascend by bytes, `.` and `..` among them, so that the kernel finds one by bisection: first the block, by each
//! block's first name, then the entry. The first entry's `nameoff` tells how many entries the block has. A name ends where the next one
//! begins, the last one with the block or with a NUL byte.

use super::{BLOCK, inode, put, u16_at, u64_at};

/// The length of an entry without its name.
pub(crate) const LENGTH: usize = 12;

/// The file type of an entry (`EROFS_FT_*`) for a mode.
pub(crate) fn file_type(mode: u16) -> u8 {
    match mode & inode::TYPE_MASK {
        inode::TYPE_REGULAR => 1,
        inode::TYPE_DIRECTORY => 2,
        inode::TYPE_CHARACTER => 3,
        inode::TYPE_BLOCK => 4,
        inode::TYPE_FIFO => 5,
        inode::TYPE_SOCKET => 6,
        inode::TYPE_SYMLINK => 7,
        _ => 0,
    }
}

/// Cuts a directory into blocks: told the names in their order, it says how many bytes each block uses.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packing {
    /// Blocks before the last one.
    pub(crate) full: u64,
    /// Bytes in the last one.
    pub(crate) last: usize,
}

impl Packing {
    /// Adds a name; true when it begins a new block (the very first one does not count).
    pub(crate) fn add(&mut self, name_length: usize) -> bool {
        let needed = LENGTH + name_length;
        let full = self.last + needed > BLOCK;
        if full {
            self.full += 1;
            self.last = 0;
        }
        self.last += needed;
        full
    }

    /// `i_size` of the directory.
    pub(crate) fn size(&self) -> u64 {
        self.full * BLOCK as u64 + self.last as u64
    }
}

/// One block in the making.
#[derive(Debug, Default)]
pub(crate) struct Block {
    entries: Vec<(u64, u8, usize)>,
    names: Vec<u8>,
}

impl Block {
    pub(crate) fn add(&mut self, nid: u64, file_type: u8, name: &[u8]) {
        self.entries.push((nid, file_type, self.names.len()));
        self.names.extend_from_slice(name);
    }

    /// Appends its bytes, not filled up, and empties it.
    pub(crate) fn encode(&mut self, out: &mut Vec<u8>) {
        let names = self.entries.len() * LENGTH;
        for (nid, file_type, offset) in self.entries.drain(..) {
            let mut entry = [0; LENGTH];
            put(&mut entry, 0, &nid.to_le_bytes());
            let offset = u16::try_from(names + offset).expect("a block is shorter than 64 KiB");
            put(&mut entry, 8, &offset.to_le_bytes());
            entry[10] = file_type;
            out.extend_from_slice(&entry);
        }
        out.append(&mut self.names);
    }
}

/// An entry of a block that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) nid: u64,
    pub(crate) file_type: u8,
    pub(crate) name: &'a [u8],
}

/// Decodes a block, of which `bytes` are those that belong to the directory; the error says what is wrong.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Entry<'_>>, &'static str> {
    if bytes.len() < LENGTH {
        return Err("a block is shorter than an entry");
    }
    let names = usize::from(u16_at(bytes, 8));
    if names == 0 || !names.is_multiple_of(LENGTH) || names > bytes.len() {
        return Err("the first name is nowhere");
    }
    let mut entries = Vec::with_capacity(names / LENGTH);
    for at in (0..names).step_by(LENGTH) {
        let start = usize::from(u16_at(bytes, at + 8));
        let is_last = at + LENGTH == names;
        let end = if is_last {
            bytes.len()
        } else {
            usize::from(u16_at(bytes, at + LENGTH + 8))
        };
        if start < names || start >= end || end > bytes.len() {
            return Err("a name is nowhere");
        }
        let mut name = &bytes[start..end];
        if is_last && let Some(length) = name.iter().position(|byte| *byte == 0) {
            name = &name[..length];
        }
        if name.is_empty() || name.len() > crate::path::NAME_MOST || name.contains(&0) || name.contains(&b'/') {
            return Err("a name is none");
        }
        entries.push(Entry {
            nid: u64_at(bytes, at),
            file_type: bytes[at + 10],
            name,
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{Block, Entry, Packing, decode};

    #[test]
    fn a_block_is_read_as_it_was_written() {
        let mut block = Block::default();
        let entries: [(u64, u8, &[u8]); 3] = [(1, 2, b"."), (u64::from(u32::MAX) + 1, 2, b".."), (3, 1, b"a name")];
        for (nid, file_type, name) in entries {
            block.add(nid, file_type, name);
        }
        let mut bytes = Vec::new();
        block.encode(&mut bytes);
        assert_eq!(bytes.len(), 3 * 12 + 1 + 2 + 6);
        assert_eq!((bytes[8], bytes[10], bytes[36]), (36, 2, b'.'));
        let expected = entries.map(|(nid, file_type, name)| Entry { nid, file_type, name });
        assert_eq!(decode(&bytes).unwrap(), expected);
        bytes.resize(512, 0);
        assert_eq!(decode(&bytes).unwrap(), expected, "filled up");
    }

    #[test]
    fn names_fill_blocks() {
        let mut packing = Packing::default();
        assert!(!packing.add(1));
        assert!(!packing.add(2));
        assert_eq!((packing.full, packing.last, packing.size()), (0, 27, 27));
        assert!(!packing.add(255));
        assert!(packing.add(255), "294 and 267 bytes");
        assert_eq!((packing.full, packing.last, packing.size()), (1, 267, 779));
        assert!(!packing.add(233), "exactly full");
        assert_eq!(packing.size(), 1024);
        assert!(packing.add(1));
    }

    #[test]
    fn damaged_blocks_are_refused() {
        let mut good = Vec::new();
        let mut block = Block::default();
        block.add(1, 1, b"one");
        block.add(2, 1, b"two");
        block.encode(&mut good);
        let damaged: [(&str, usize, u8); 6] = [
            ("no names", 8, 0),
            ("odd", 8, 23),
            ("beyond", 8, 252),
            ("second before the names", 20, 3),
            ("second beyond", 20, 31),
            ("slash", 24, b'/'),
        ];
        for (what, place, value) in damaged {
            let mut bytes = good.clone();
            bytes[place] = value;
            assert!(decode(&bytes).is_err(), "{what}");
        }
        assert!(decode(&good[..11]).is_err());
        assert!(decode(&[]).is_err());
    }
}
