// SPDX-License-Identifier: MIT
//! The file `objects.list` of a packed layer: which runs of its tar are in which pack. These lists are the only references to
//! objects: what none of them names is garbage.
//!
//! All numbers are little-endian.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `HBOBJ001` |
//! | 8 | length of the tar |
//! | 8 | how many objects |
//! | 64 each | where in the tar (8), length (8), pack (4), zeros (4), where in the pack (8), SHA-256 (32); ascending in the tar |
//! | 32 | SHA-256 of all before |

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::index::{Moved, Piece};

const MAGIC: &[u8; 8] = b"HBOBJ001";
const HEAD: usize = 24;
const RECORD: usize = 64;
const SUM: usize = 32;
/// Bytes of a block of an index: objects begin at multiples of it.
pub(super) const BLOCK: u64 = 512;
/// What an index can address on a device.
const FARTHEST: u64 = 1 << 41;

/// What identifies the bytes of an object.
pub(super) type Print = [u8; 32];

/// A run of a tar's bytes that is in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) tar_at: u64,
    pub(super) length: u64,
    pub(super) print: Print,
    pub(super) place: Place,
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The number of the pack.
    pub(super) pack: u32,
    /// A multiple of a block.
    pub(super) at: u64,
}

impl Object {
    /// What it takes in its pack.
    pub(super) fn padded(&self) -> u64 {
        self.length.next_multiple_of(BLOCK)
    }
}

/// What a tar consists of besides its rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::overlay) struct List {
    pub(super) tar_length: u64,
    pub(super) objects: Vec<Object>,
}

impl List {
    /// Reads a list; its checksum and all its numbers are checked.
    pub(in crate::overlay) fn read(path: &Path) -> io::Result<Self> {
        Self::decode(&std::fs::read(path)?).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    /// The packs that it refers to, ascending.
    pub(super) fn packs(&self) -> Vec<u32> {
        self.sizes().into_keys().collect()
    }

    /// How far each pack is used.
    fn sizes(&self) -> BTreeMap<u32, u64> {
        let mut sizes = BTreeMap::new();
        for object in &self.objects {
            let end = sizes.entry(object.place.pack).or_insert(0);
            *end = (*end).max(object.place.at + object.padded());
        }
        sizes
    }

    /// What an index has to know: its devices are the packs in their order.
    pub(in crate::overlay) fn moved(&self) -> Moved {
        let sizes = self.sizes();
        let numbers: BTreeMap<u32, u16> = sizes.keys().copied().zip(1..).collect();
        let piece = |object: &Object| Piece {
            tar_at: object.tar_at,
            length: object.length,
            device: numbers[&object.place.pack],
            at: object.place.at,
        };
        Moved {
            pieces: self.objects.iter().map(piece).collect(),
            devices: sizes.into_values().collect(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + RECORD * self.objects.len() + SUM);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.tar_length.to_le_bytes());
        bytes.extend_from_slice(&(self.objects.len() as u64).to_le_bytes());
        for object in &self.objects {
            bytes.extend_from_slice(&object.tar_at.to_le_bytes());
            bytes.extend_from_slice(&object.length.to_le_bytes());
            bytes.extend_from_slice(&u64::from(object.place.pack).to_le_bytes());
            bytes.extend_from_slice(&object.place.at.to_le_bytes());
            bytes.extend_from_slice(&object.print);
        }
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let (head, rest) = bytes
            .split_first_chunk::<HEAD>()
            .ok_or("the list of objects was cut off")?;
        let (records, sum) = rest
            .split_last_chunk::<SUM>()
            .ok_or("the list of objects was cut off")?;
        if head[..8] != *MAGIC {
            return Err("this is no list of objects");
        }
        if Sha256::digest(&bytes[..bytes.len() - SUM])[..] != sum[..] {
            return Err("the checksum of the list of objects is wrong");
        }
        let (records, odd) = records.as_chunks::<RECORD>();
        if !odd.is_empty() || records.len() as u64 != number(head, 16) {
            return Err("the list of objects has another length than it says");
        }
        let list = Self {
            tar_length: number(head, 8),
            objects: records
                .iter()
                .map(object)
                .collect::<Option<_>>()
                .ok_or("a pack has an impossible number")?,
        };
        list.check().map(|()| list)
    }

    fn check(&self) -> Result<(), &'static str> {
        let mut reached = 0;
        for object in &self.objects {
            let end = object.tar_at.checked_add(object.length);
            if object.length == 0 || object.tar_at < reached || end.is_none_or(|end| end > self.tar_length) {
                return Err("an object does not lie in its tar");
            }
            if !object.place.at.is_multiple_of(BLOCK)
                || object.length > FARTHEST
                || object.place.at > FARTHEST - object.padded().min(FARTHEST)
            {
                return Err("an object does not lie in its pack");
            }
            reached = object.tar_at + object.length;
        }
        Ok(())
    }
}

fn object(record: &[u8; RECORD]) -> Option<Object> {
    let mut print = Print::default();
    print.copy_from_slice(&record[32..]);
    Some(Object {
        tar_at: number(record, 0),
        length: number(record, 8),
        place: Place {
            pack: u32::try_from(number(record, 16)).ok()?,
            at: number(record, 24),
        },
        print,
    })
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(objects: &[(u64, u64, u32, u64)]) -> List {
        let object = |(tar_at, length, pack, at): &(u64, u64, u32, u64)| Object {
            tar_at: *tar_at,
            length: *length,
            print: [7; 32],
            place: Place { pack: *pack, at: *at },
        };
        List {
            tar_length: 10_000,
            objects: objects.iter().map(object).collect(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let list = list(&[(512, 100, 3, 1024), (1024, 513, 1, 0), (2048, 7952, 3, 1 << 40)]);
        assert_eq!(List::decode(&list.encode()), Ok(list.clone()));
        assert_eq!(list.packs(), [1, 3]);
        let moved = list.moved();
        assert_eq!(moved.devices, [1024, (1 << 40) + 8192]);
        assert_eq!(
            moved.pieces.iter().map(|piece| piece.device).collect::<Vec<_>>(),
            [2, 1, 2]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let in_tar = "an object does not lie in its tar";
        let in_pack = "an object does not lie in its pack";
        for (objects, reason) in [
            (&[(512, 0, 1, 0)][..], in_tar),
            (&[(9_999, 2, 1, 0)], in_tar),
            (&[(u64::MAX, 2, 1, 0)], in_tar),
            (&[(512, 1000, 1, 0), (1024, 10, 1, 1024)], in_tar),
            (&[(512, 10, 1, 100)], in_pack),
            (&[(512, 10, 1, 1 << 41)], in_pack),
            (&[(512, 10, 1, u64::MAX - 511)], in_pack),
        ] {
            assert_eq!(List::decode(&list(objects).encode()), Err(reason), "{objects:?}");
        }
        let whole = list(&[(512, 100, 3, 1024)]).encode();
        for length in 0..whole.len() {
            assert!(List::decode(&whole[..length]).is_err(), "{length}");
        }
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1;
            assert!(List::decode(&damaged).is_err(), "{byte}");
        }
    }
}
