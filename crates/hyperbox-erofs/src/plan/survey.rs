// SPDX-License-Identifier: MIT
//! What there is to write: all inodes that have names, in the order in which they are placed.

use std::collections::HashMap;
use std::iter;
use std::ops::Bound;

use super::Record;
use crate::error::shown;
use crate::layout::dirent::Packing;
use crate::tree::{Content, Directory, Inode, InodeId, ROOT, Tree};

/// What a walk through the tree finds.
pub(super) struct Survey {
    /// By breadth, without places.
    pub(super) records: Vec<Record>,
    /// Names, without `.` and `..`.
    pub(super) names: u64,
}

/// Walks through the tree.
pub(super) fn survey(tree: &Tree) -> Survey {
    let mut seen = vec![false; tree.len()];
    seen[ROOT as usize] = true;
    let mut survey = Survey {
        records: vec![record(ROOT, tree.inode(ROOT))],
        names: 0,
    };
    let mut next = 0;
    while let Some(id) = survey.records.get(next).map(|record| record.id) {
        if let Some(directory) = tree.directory(id) {
            let mut packing = Packing::default();
            let mut links = 2;
            for (name, child) in names(id, directory) {
                packing.add(name.len());
                let inode = tree.inode(child);
                if name == b"." || name == b".." {
                    continue;
                }
                survey.names += 1;
                links += u32::from(matches!(inode.content, Content::Directory(_)));
                if !std::mem::replace(&mut seen[child as usize], true) {
                    survey.records.push(record(child, inode));
                }
            }
            survey.records[next].links = links;
            survey.records[next].size = packing.size();
        }
        next += 1;
    }
    survey
}

fn record(id: InodeId, inode: &Inode) -> Record {
    let size = match &inode.content {
        Content::Regular { size, .. } => *size,
        Content::Inline(bytes) | Content::Symlink(bytes) => bytes.len() as u64,
        _ => 0,
    };
    Record {
        id,
        nid: 0,
        start: 0,
        links: inode.names,
        size,
    }
}

/// All names of a directory ascending by bytes, `.` and `..` at their places.
pub(crate) fn names(id: InodeId, directory: &Directory) -> impl Iterator<Item = (&[u8], InodeId)> {
    const ONE: &[u8] = b".";
    const TWO: &[u8] = b"..";
    let range = |from: Bound<&[u8]>, to: Bound<&[u8]>| {
        let entries = directory.entries.range::<[u8], _>((from, to));
        entries.map(|(name, child)| (&name[..], *child))
    };
    range(Bound::Unbounded, Bound::Excluded(ONE))
        .chain(iter::once((ONE, id)))
        .chain(range(Bound::Excluded(ONE), Bound::Excluded(TWO)))
        .chain(iter::once((TWO, directory.parent)))
        .chain(range(Bound::Excluded(TWO), Bound::Unbounded))
}

/// A path of an inode, for an error.
pub(super) fn path(tree: &Tree, records: &[Record], wanted: InodeId) -> String {
    let mut names_of: HashMap<InodeId, (InodeId, &[u8])> = HashMap::new();
    for record in records {
        for (name, child) in tree
            .directory(record.id)
            .iter()
            .flat_map(|directory| &directory.entries)
        {
            names_of.insert(*child, (record.id, name));
        }
    }
    let mut components = Vec::new();
    let mut id = wanted;
    while let Some((parent, name)) = names_of.get(&id) {
        components.push(*name);
        id = *parent;
    }
    components.reverse();
    shown(&components.join(&b'/'))
}
