// SPDX-License-Identifier: MIT
//! What an archive would unpack to, without unpacking: entries by path, by the rules of Docker's `archive.Untar`.
//!
//! The archive is hostile. A name that leads out is refused; a link that an earlier member made is followed inside the tree. A later
//! member replaces an earlier one; directories that no member names are implied. Pure.

use std::collections::BTreeMap;

use hyperbox_core::time::Timestamp;

use super::archive::{Member, MemberKind};
use super::path::{self, Key};
use super::{Entry, EntryKind, TreeError};

/// So many bytes all entries may take in memory, about.
const MOST_BYTES: usize = 1 << 30;
/// What an entry takes besides its names and attributes, about.
const ENTRY: usize = 256;
/// `PATH_MAX` of Linux.
const LONGEST_PATH: usize = 4096;

/// Where the bytes of a file are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Of the bytes.
    pub(crate) digest: [u8; 32],
}

/// An entry and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) entry: Entry,
    pub(crate) region: Option<Region>,
    /// Whether no member names it.
    pub(crate) implied: bool,
}

/// Entries by path.
#[derive(Debug)]
pub(crate) struct Index {
    nodes: BTreeMap<Key, Node>,
    identities: u64,
    /// What was added so far takes so many bytes, about; what was replaced counts, too.
    bytes: usize,
}

impl Index {
    /// Makes one that has nothing but its root.
    pub(crate) fn new() -> Self {
        let mut nodes = BTreeMap::new();
        nodes.insert(Key::new(b""), implied(b""));
        Self {
            nodes,
            identities: 0,
            bytes: 0,
        }
    }

    /// Returns what is at a path, following nothing.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(&Key::new(path))
    }

    /// Returns what is at a path and below, in order.
    pub(crate) fn below<'s>(&'s self, path: &[u8]) -> impl Iterator<Item = &'s Node> + use<'s> {
        let first = Key::new(path);
        let end = first.clone();
        self.nodes
            .range(first..)
            .take_while(move |(key, _)| key.is_at_or_below(&end))
            .map(|(_, node)| node)
    }

    /// Adds a member; `region` is where the bytes of a file are.
    ///
    /// # Errors
    /// `InvalidArgument` when it leads out, or through what is no directory.
    pub(crate) fn add(&mut self, member: Member, region: Option<Region>) -> Result<(), TreeError> {
        let name = normalise(&member.path)?;
        self.count(&member)?;
        let place = self.place(&name)?;
        let mut node = Node {
            entry: Entry {
                path: path::as_path(&place),
                kind: EntryKind::Directory,
                mode: member.mode,
                uid: member.uid,
                gid: member.gid,
                modified_at: member.modified_at,
                attributes: member.attributes,
                digest: None,
            },
            region,
            implied: false,
        };
        node.entry.kind = match member.kind {
            MemberKind::Directory => return self.insert_directory(&place, node),
            _ if place.is_empty() => return Err(refused(&name, "the root would be no directory")),
            MemberKind::HardLink(target) => return self.link(&place, &target),
            MemberKind::File { size } => EntryKind::File { size, identity: None },
            MemberKind::Symlink(target) if target.is_empty() => return Err(refused(&name, "a link to nothing")),
            MemberKind::Symlink(target) => EntryKind::Symlink {
                target: path::as_path(&target),
            },
            MemberKind::CharacterDevice { major, minor } => EntryKind::CharacterDevice { major, minor },
            MemberKind::BlockDevice { major, minor } => EntryKind::BlockDevice { major, minor },
            MemberKind::Pipe => EntryKind::Pipe,
        };
        self.replace(&place, node)
    }

    fn insert_directory(&mut self, place: &[u8], node: Node) -> Result<(), TreeError> {
        match self.nodes.get_mut(&Key::new(place)) {
            Some(known) if known.entry.kind == EntryKind::Directory => {
                *known = node;
                Ok(())
            }
            _ => self.replace(place, node),
        }
    }

    fn replace(&mut self, place: &[u8], node: Node) -> Result<(), TreeError> {
        let key = Key::new(place);
        if self
            .nodes
            .get(&key)
            .is_some_and(|known| known.entry.kind == EntryKind::Directory)
        {
            let gone: Vec<Key> = self
                .nodes
                .range(key.clone()..)
                .map(|(known, _)| known)
                .take_while(|known| known.is_at_or_below(&key))
                .cloned()
                .collect();
            for known in gone {
                self.nodes.remove(&known);
            }
        }
        self.nodes.insert(key, node);
        Ok(())
    }

    fn count(&mut self, member: &Member) -> Result<(), TreeError> {
        let link = match &member.kind {
            MemberKind::Symlink(target) | MemberKind::HardLink(target) => target.len(),
            _ => 0,
        };
        let attributes: usize = member
            .attributes
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        // The path is in the key and in the entry.
        let names = 2 * member.path.len();
        self.bytes = self.bytes.saturating_add(ENTRY + names + link + attributes);
        if self.bytes > MOST_BYTES {
            return Err(refused(&member.path, "names and attributes take too much memory"));
        }
        Ok(())
    }

    fn link(&mut self, place: &[u8], target: &[u8]) -> Result<(), TreeError> {
        let target = self.place(&normalise(target)?)?;
        if target == place {
            return Ok(());
        }
        let lost = || refused(place, "a hard link to what is no file of the archive");
        let first = self.nodes.get_mut(&Key::new(&target)).ok_or_else(lost)?;
        match &mut first.entry.kind {
            EntryKind::Directory => return Err(lost()),
            EntryKind::File {
                identity: identity @ None,
                ..
            } => {
                self.identities += 1;
                *identity = Some(self.identities);
            }
            _ => {}
        }
        let mut node = first.clone();
        node.entry.path = path::as_path(place);
        self.replace(place, node)
    }

    /// Follows links in all names but the last, and makes directories that are not there.
    fn place(&mut self, name: &[u8]) -> Result<Vec<u8>, TreeError> {
        let (parent, last) = path::split(name);
        if last.is_empty() {
            return Ok(Vec::new());
        }
        let look = |path: &[u8]| Ok::<_, TreeError>(self.get(path).map(|node| node.entry.clone()));
        let parent = path::resolve(parent, look)?;
        let place = path::join(&parent, last);
        if place.len() > LONGEST_PATH {
            return Err(refused(name, "file name too long"));
        }
        let mut above: &[u8] = &parent;
        loop {
            match self.nodes.get(&Key::new(above)) {
                Some(node) if node.entry.kind == EntryKind::Directory => break,
                Some(_) => return Err(refused(name, "not a directory")),
                None => {
                    self.bytes = self.bytes.saturating_add(ENTRY + 2 * above.len());
                    self.nodes.insert(Key::new(above), implied(above));
                }
            }
            above = path::split(above).0;
        }
        Ok(place)
    }
}

fn implied(path: &[u8]) -> Node {
    Node {
        entry: Entry {
            path: path::as_path(path),
            kind: EntryKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            modified_at: Timestamp(0),
            attributes: BTreeMap::new(),
            digest: None,
        },
        region: None,
        implied: true,
    }
}

/// Returns a member's path without `.` and empty names.
fn normalise(name: &[u8]) -> Result<Vec<u8>, TreeError> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path::names(name) {
        if part != b".." {
            kept.push(part);
        } else if kept.pop().is_none() {
            return Err(TreeError::Refused {
                path: path::as_path(name),
                reason: format!("invalid entry name {:?}", String::from_utf8_lossy(name)),
            });
        }
    }
    let whole = kept.join(&b'/');
    if whole.len() > LONGEST_PATH {
        return Err(refused(&whole, "file name too long"));
    }
    Ok(whole)
}

fn refused(path: &[u8], reason: &str) -> TreeError {
    TreeError::Refused {
        path: path::as_path(path),
        reason: reason.to_owned(),
    }
}
