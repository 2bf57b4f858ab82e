// SPDX-License-Identifier: MIT
//! Extended attributes of all inodes: each entry and each set of entries is held once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::layout::array_at;
use crate::layout::xattr::{self, BODY_MOST, EntryHead, HEADER};
use crate::model::Xattr;

/// A set of entries; [`SetId::EMPTY`] is that of most inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct SetId(u32);

impl SetId {
    pub(crate) const EMPTY: Self = Self(0);
}

/// The entries and sets that there are.
#[derive(Debug)]
pub(crate) struct Attributes {
    /// Encoded as on disk.
    entries: Vec<Arc<[u8]>>,
    entry_ids: HashMap<Arc<[u8]>, u32>,
    /// Entries ascend by their names.
    sets: Vec<Arc<[u32]>>,
    set_ids: HashMap<Arc<[u32]>, SetId>,
    held: u64,
}

impl Attributes {
    pub(crate) fn new() -> Self {
        let empty: Arc<[u32]> = Arc::new([]);
        Self {
            entries: Vec::new(),
            entry_ids: HashMap::new(),
            sets: vec![Arc::clone(&empty)],
            set_ids: HashMap::from([(empty, SetId::EMPTY)]),
            held: 0,
        }
    }

    /// The set of these attributes. Of several with one name, the last counts. The error says what cannot be held.
    pub(crate) fn intern<'a>(&mut self, xattrs: impl IntoIterator<Item = &'a Xattr>) -> Result<SetId, &'static str> {
        let xattrs: BTreeMap<&[u8], &[u8]> = xattrs
            .into_iter()
            .map(|xattr| (xattr.name.as_slice(), xattr.value.as_slice()))
            .collect();
        if xattrs.is_empty() {
            return Ok(SetId::EMPTY);
        }
        let mut encoded = Vec::with_capacity(xattrs.len());
        for (name, value) in xattrs {
            encoded.push(xattr::encode_entry(name, value).ok_or("EROFS cannot hold one of its extended attributes")?);
        }
        if HEADER + encoded.iter().map(Vec::len).sum::<usize>() > BODY_MOST {
            return Err("its extended attributes are too long for EROFS");
        }
        let set: Vec<u32> = encoded.into_iter().map(|entry| self.intern_entry(entry)).collect();
        Ok(self.intern_set(set))
    }

    fn intern_entry(&mut self, entry: Vec<u8>) -> u32 {
        if let Some(id) = self.entry_ids.get(entry.as_slice()) {
            return *id;
        }
        let id = u32::try_from(self.entries.len()).expect("what is held is limited");
        self.held += entry.len() as u64 + ENTRY_OVERHEAD;
        let entry: Arc<[u8]> = entry.into();
        self.entries.push(Arc::clone(&entry));
        self.entry_ids.insert(entry, id);
        id
    }

    fn intern_set(&mut self, set: Vec<u32>) -> SetId {
        if let Some(id) = self.set_ids.get(set.as_slice()) {
            return *id;
        }
        let id = SetId(u32::try_from(self.sets.len()).expect("what is held is limited"));
        self.held += size_of_val(set.as_slice()) as u64 + ENTRY_OVERHEAD;
        let set: Arc<[u32]> = set.into();
        self.sets.push(Arc::clone(&set));
        self.set_ids.insert(set, id);
        id
    }

    /// The numbers of a set's entries.
    pub(crate) fn set(&self, id: SetId) -> &[u32] {
        &self.sets[id.0 as usize]
    }

    /// An entry's bytes on disk.
    pub(crate) fn entry(&self, number: u32) -> &[u8] {
        &self.entries[number as usize]
    }

    /// An entry as it was given.
    pub(crate) fn decoded(&self, number: u32) -> Xattr {
        let bytes = self.entry(number);
        let head = EntryHead::decode(array_at(bytes, 0));
        let (name, value) = bytes[xattr::ENTRY..].split_at(head.name_length);
        Xattr {
            name: head.name(name, &[]).expect("its prefix was encoded"),
            value: value[..head.value_length].to_vec(),
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }
}

/// What an entry or a set costs beside its bytes: two references with counts, a number, room in the tables.
const ENTRY_OVERHEAD: u64 = 80;

#[cfg(test)]
mod tests {
    use super::{Attributes, SetId};
    use crate::model::Xattr;

    fn xattr(name: &str, value: &str) -> Xattr {
        Xattr {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn what_is_the_same_is_held_once() {
        let mut attributes = Attributes::new();
        assert_eq!(attributes.intern(&[]), Ok(SetId::EMPTY));
        let first = attributes
            .intern(&[xattr("user.b", "1"), xattr("user.a", "2")])
            .unwrap();
        let held = attributes.held();
        let again = attributes
            .intern(&[xattr("user.a", "0"), xattr("user.a", "2"), xattr("user.b", "1")])
            .unwrap();
        assert_eq!((first, attributes.held()), (again, held));
        assert_eq!(attributes.set(first), [0, 1]);
        assert_eq!(attributes.entry(0), b"\x01\x01\x01\x00a2\0\0", "ascending by name");
        assert_eq!(attributes.decoded(0), xattr("user.a", "2"));
        let other = attributes.intern(&[xattr("user.b", "1")]).unwrap();
        assert_eq!((attributes.set(other), attributes.len()), (&[1][..], 2));
    }

    #[test]
    fn what_cannot_be_held_is_refused() {
        let mut attributes = Attributes::new();
        assert!(attributes.intern(&[xattr("other.x", "")]).is_err());
        let long = "x".repeat(65_000);
        let many: Vec<Xattr> = (0..5).map(|number| xattr(&format!("user.{number}"), &long)).collect();
        assert!(attributes.intern(&many).is_err());
        assert!(attributes.intern(&many[..4]).is_ok());
    }
}
