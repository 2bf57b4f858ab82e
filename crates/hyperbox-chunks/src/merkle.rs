// SPDX-License-Identifier: MIT
//! A Merkle tree over an ordered set of entries (a key and the digest of what is there): two trees are compared in time proportional
//! to how much they differ.
//!
//! Where a node ends is decided by its entries, not by their number: after an entry whose digest ends in [`BOUNDARY_BITS`] zeros, and
//! on each level above likewise after a node. So the tree depends on the set alone, whatever the order of insertions was, and an entry
//! more or less changes the nodes on its way to the root only. (The idea of prolly trees; Auvolat and Taïani, "Merkle Search Trees",
//! 2019.) Nodes have [`2^BOUNDARY_BITS`](BOUNDARY_BITS) children on average; a chain without a boundary ends at [`MOST_CHILDREN`].
//!
//! Digests separate levels and lengths, so that no set of entries can pass for a node of another one.

use sha2::{Digest as _, Sha256};

type Digest = [u8; 32];

const BOUNDARY_BITS: u32 = 5;
const MOST_CHILDREN: usize = 1024;

/// A key and the digest of what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    key: Vec<u8>,
    value: Digest,
    digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Children {
    Entries(Vec<Entry>),
    Nodes(Vec<Node>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    digest: Digest,
    /// How many levels of nodes are below.
    level: u32,
    children: Children,
}

/// One difference between two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference<'a> {
    /// Only the left one has the key.
    Left(&'a [u8]),
    /// Only the right one has the key.
    Right(&'a [u8]),
    /// Both have the key, with other values.
    Both(&'a [u8]),
}

/// An ordered set of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleTree {
    root: Option<Node>,
    length: usize,
}

impl MerkleTree {
    /// Makes the tree of entries; of several with one key the last one counts. `value` is a digest of all that matters.
    pub fn new(entries: impl IntoIterator<Item = (Vec<u8>, [u8; 32])>) -> Self {
        let sorted: std::collections::BTreeMap<Vec<u8>, Digest> = entries.into_iter().collect();
        let length = sorted.len();
        let entries = sorted.into_iter().map(|(key, value)| Entry {
            digest: entry_digest(&key, &value),
            key,
            value,
        });
        let mut nodes: Vec<Node> = runs(entries, |entry| &entry.digest)
            .into_iter()
            .map(|entries| Node::new(0, Children::Entries(entries)))
            .collect();
        let mut level = 0;
        while nodes.len() > 1 {
            level += 1;
            nodes = runs(nodes.into_iter(), |node| &node.digest)
                .into_iter()
                .map(|nodes| Node::new(level, Children::Nodes(nodes)))
                .collect();
        }
        Self {
            root: nodes.pop(),
            length,
        }
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Tells whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the digest of the whole set; `None` for the empty one.
    pub fn root(&self) -> Option<&[u8; 32]> {
        self.root.as_ref().map(|root| &root.digest)
    }

    /// Tells all differences in the order of keys; returns how many nodes and entries were looked at.
    pub fn compare<'a>(&'a self, right: &'a Self, mut tell: impl FnMut(Difference<'a>)) -> usize {
        let mut left: Vec<Item<'a>> = self.root.iter().map(Item::Node).collect();
        let mut right: Vec<Item<'a>> = right.root.iter().map(Item::Node).collect();
        let mut looked_at = 0;
        loop {
            looked_at += 1;
            let (one, other) = match (left.last().copied(), right.last().copied()) {
                (None, None) => return looked_at,
                (Some(one), None) => {
                    take(&mut left, one, &mut |key| tell(Difference::Left(key)));
                    continue;
                }
                (None, Some(other)) => {
                    take(&mut right, other, &mut |key| tell(Difference::Right(key)));
                    continue;
                }
                (Some(one), Some(other)) => (one, other),
            };
            if one.digest() == other.digest() {
                left.pop();
                right.pop();
            } else if one.last() < other.first() {
                take(&mut left, one, &mut |key| tell(Difference::Left(key)));
            } else if other.last() < one.first() {
                take(&mut right, other, &mut |key| tell(Difference::Right(key)));
            } else if let (Item::Entry(entry), Item::Entry(_)) = (one, other) {
                // They overlap, so their keys are the same.
                left.pop();
                right.pop();
                tell(Difference::Both(&entry.key));
            } else {
                // The higher one is opened: what is equal in them is met on the same level.
                let (levels, others) = (one.level(), other.level());
                if levels >= others {
                    open(&mut left, one);
                }
                if others >= levels {
                    open(&mut right, other);
                }
            }
        }
    }
}

/// What is next on one side.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    Node(&'a Node),
    Entry(&'a Entry),
}

impl<'a> Item<'a> {
    fn digest(self) -> &'a Digest {
        match self {
            Self::Node(node) => &node.digest,
            Self::Entry(entry) => &entry.digest,
        }
    }

    /// Entries are below all nodes.
    fn level(self) -> u32 {
        match self {
            Self::Node(node) => node.level + 1,
            Self::Entry(_) => 0,
        }
    }

    fn first(self) -> &'a [u8] {
        match self {
            Self::Entry(entry) => &entry.key,
            Self::Node(node) => match &node.children {
                Children::Entries(entries) => entries.first().map_or(&[], |entry| &entry.key),
                Children::Nodes(nodes) => nodes.first().map_or(&[], |node| Item::Node(node).first()),
            },
        }
    }

    fn last(self) -> &'a [u8] {
        match self {
            Self::Entry(entry) => &entry.key,
            Self::Node(node) => match &node.children {
                Children::Entries(entries) => entries.last().map_or(&[], |entry| &entry.key),
                Children::Nodes(nodes) => nodes.last().map_or(&[], |node| Item::Node(node).last()),
            },
        }
    }
}

/// Puts the children of the last item in its place.
fn open<'a>(side: &mut Vec<Item<'a>>, item: Item<'a>) {
    let Item::Node(node) = item else { return };
    side.pop();
    match &node.children {
        Children::Entries(entries) => side.extend(entries.iter().rev().map(Item::Entry)),
        Children::Nodes(nodes) => side.extend(nodes.iter().rev().map(Item::Node)),
    }
}

/// Tells the last item, or opens it when it is a node.
fn take<'a>(side: &mut Vec<Item<'a>>, item: Item<'a>, tell: &mut dyn FnMut(&'a [u8])) {
    match item {
        Item::Node(_) => open(side, item),
        Item::Entry(entry) => {
            side.pop();
            tell(&entry.key);
        }
    }
}

impl Node {
    fn new(level: u32, children: Children) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"node");
        hasher.update(level.to_le_bytes());
        match &children {
            Children::Entries(entries) => entries.iter().for_each(|entry| hasher.update(entry.digest)),
            Children::Nodes(nodes) => nodes.iter().for_each(|node| hasher.update(node.digest)),
        }
        Self {
            digest: hasher.finalize().into(),
            level,
            children,
        }
    }
}

fn entry_digest(key: &[u8], value: &Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"entry");
    hasher.update((key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize().into()
}

/// Cuts a sequence after each item whose digest says so.
fn runs<T>(items: impl Iterator<Item = T>, digest: impl Fn(&T) -> &Digest) -> Vec<Vec<T>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    for item in items {
        let ends = u32::from(digest(&item)[31]).trailing_zeros() >= BOUNDARY_BITS;
        run.push(item);
        // A level of single nodes would never end: two make the least run.
        if (ends && run.len() > 1) || run.len() == MOST_CHILDREN {
            runs.push(std::mem::take(&mut run));
        }
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{any, proptest};

    use super::*;

    type Set = BTreeMap<Vec<u8>, u8>;

    fn tree(set: &Set) -> MerkleTree {
        MerkleTree::new(set.iter().map(|(key, value)| (key.clone(), [*value; 32])))
    }

    fn expected(left: &Set, right: &Set) -> Vec<(u8, Vec<u8>)> {
        let mut all: Vec<(u8, Vec<u8>)> = Vec::new();
        for (key, value) in left {
            match right.get(key) {
                None => all.push((b'l', key.clone())),
                Some(other) if other != value => all.push((b'b', key.clone())),
                Some(_) => {}
            }
        }
        all.extend(
            right
                .keys()
                .filter(|key| !left.contains_key(*key))
                .map(|key| (b'r', key.clone())),
        );
        all.sort_by(|one, other| one.1.cmp(&other.1));
        all
    }

    fn found(left: &Set, right: &Set) -> (Vec<(u8, Vec<u8>)>, usize) {
        let mut all = Vec::new();
        let (left, right) = (tree(left), tree(right));
        let looked_at = left.compare(&right, |difference| {
            all.push(match difference {
                Difference::Left(key) => (b'l', key.to_vec()),
                Difference::Right(key) => (b'r', key.to_vec()),
                Difference::Both(key) => (b'b', key.to_vec()),
            });
        });
        assert_eq!(left.root() == right.root(), all.is_empty());
        (all, looked_at)
    }

    proptest! {
        #[test]
        fn finds_what_a_map_finds(
            left in proptest::collection::btree_map(proptest::collection::vec(0..4_u8, 0..5), any::<u8>(), 0..300),
            changes in proptest::collection::btree_map(proptest::collection::vec(0..4_u8, 0..5), any::<Option<u8>>(), 0..20),
        ) {
            let mut right = left.clone();
            for (key, change) in changes {
                match change {
                    Some(value) => drop(right.insert(key, value)),
                    None => drop(right.remove(&key)),
                }
            }
            assert_eq!(found(&left, &right).0, expected(&left, &right));
        }
    }

    #[test]
    fn strangers_and_empty_sets() {
        let numbers =
            |range: std::ops::Range<u32>| -> Set { range.map(|number| (number.to_be_bytes().to_vec(), 1)).collect() };
        for (left, right) in [
            (0..0, 0..0),
            (0..0, 0..500),
            (0..500, 0..0),
            (0..500, 500..1000),
            (0..1, 0..1),
        ] {
            let (left, right) = (numbers(left), numbers(right));
            assert_eq!(found(&left, &right).0, expected(&left, &right));
        }
        assert!(tree(&Set::new()).is_empty() && tree(&Set::new()).root().is_none());
    }

    #[test]
    fn the_work_is_that_of_the_difference() {
        let left: Set = (0..100_000_u32)
            .map(|number| (number.to_be_bytes().to_vec(), 1))
            .collect();
        for changes in [0_u32, 1, 10] {
            let mut right = left.clone();
            for change in 0..changes {
                right.insert((change * 9_000 + 17).to_be_bytes().to_vec(), 2);
                right.insert([&(change * 9_000).to_be_bytes()[..], b"new"].concat(), 1);
            }
            let (found, looked_at) = found(&left, &right);
            assert_eq!(found.len(), changes as usize * 2);
            let allowed = 2 + changes as usize * 1_500;
            assert!(
                looked_at <= allowed,
                "{looked_at} steps for {changes} changes in 100,000 entries"
            );
        }
    }
}
