// SPDX-License-Identifier: MIT
//! The list of files that a client sends before their bytes. Pure.
//!
//! The list is foreign. It must be in the order of a walk, each directory before what is in it (`Validator` of tonistiigi/fsutil): so
//! no name comes twice, nothing is below what is no directory, and no path leads through a link or out of the tree. A file with
//! several names refers to an earlier one. What would take more memory than [`MOST_BYTES`] is refused.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use hyperbox_build::context::{Entry, EntryKind};
use hyperbox_core::time::Timestamp;

use super::mode::{self, FileType};
use crate::proto::filesync::Stat;

/// So many bytes a list may take in memory, about.
const MOST_BYTES: usize = 1 << 30;
/// What an entry takes besides its names and attributes, about.
const ENTRY: usize = 256;
/// `PATH_MAX` and `NAME_MAX` of Linux.
const LONGEST_PATH: usize = 4096;
const LONGEST_NAME: usize = 255;

/// Why a list is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListError {
    /// A path that cannot be.
    #[error("{:?}: {reason}", String::from_utf8_lossy(path))]
    Path {
        /// Which.
        path: Vec<u8>,
        /// Why.
        reason: &'static str,
    },
    /// There are too many.
    #[error("the list of files takes too much memory")]
    TooMuch,
}

/// A plain file whose bytes are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    /// What it is asked for by: its place in the client's list.
    pub(super) id: u32,
    /// Its place in ours.
    pub(super) index: usize,
}

/// A list that is being read. What it has are entries in the order of [`order`].
#[derive(Debug, Default)]
pub(super) struct Listing {
    entries: Vec<Entry>,
    /// The directories that the last entry is in, and that entry when it is one.
    open: Vec<usize>,
    next_id: u32,
    identities: u64,
    bytes: usize,
}

/// Compares paths so that what is in a directory comes behind it, before everything else.
pub(super) fn order(one: &[u8], other: &[u8]) -> Ordering {
    let key = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    one.iter().map(key).cmp(other.iter().map(key))
}

/// Finds an entry by its path.
pub(super) fn find(entries: &[Entry], path: &[u8]) -> Option<usize> {
    let found = entries.binary_search_by(|entry| order(bytes(entry), path));
    found.ok()
}

/// Returns an entry's path as bytes.
pub(super) fn bytes(entry: &Entry) -> &[u8] {
    entry.path.as_os_str().as_bytes()
}

/// Tells whether a path is below a directory, whose path may be empty.
pub(super) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

impl Listing {
    /// Takes the next of the list. Returns a plain file that has bytes of its own.
    ///
    /// # Errors
    /// A list that is none; it cannot be read on.
    pub(super) fn add(&mut self, stat: Stat) -> Result<Option<Listed>, ListError> {
        let id = self.next_id;
        self.next_id = id.checked_add(1).ok_or(ListError::TooMuch)?;
        self.count(&stat)?;
        check(&stat.path)?;
        self.descend(&stat.path)?;
        let (kind, mode) = mode::parse(stat.mode);
        let index = self.entries.len();
        let refused = |reason| ListError::Path {
            path: stat.path.clone(),
            reason,
        };
        let kind = match kind {
            FileType::Other => return Ok(None),
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink if stat.link.is_empty() || stat.link.len() > LONGEST_PATH || stat.link.contains(&0) => {
                return Err(refused("a link to what is no path"));
            }
            FileType::Symlink => EntryKind::Symlink {
                target: PathBuf::from(OsString::from_vec(stat.link)),
            },
            _ if !stat.link.is_empty() => {
                self.another_name(&stat)?;
                return Ok(None);
            }
            FileType::Plain => EntryKind::File {
                size: u64::try_from(stat.size).map_err(|_| refused("a negative size"))?,
                identity: None,
            },
            FileType::Pipe => EntryKind::Pipe,
            device => {
                let number = |number: i64| u32::try_from(number).map_err(|_| refused("a device that cannot be"));
                let (major, minor) = (number(stat.device_major)?, number(stat.device_minor)?);
                match device {
                    FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
                    _ => EntryKind::CharacterDevice { major, minor },
                }
            }
        };
        if kind == EntryKind::Directory {
            self.open.push(index);
        }
        let listed = matches!(kind, EntryKind::File { .. }).then_some(Listed { id, index });
        self.entries.push(Entry {
            path: PathBuf::from(OsString::from_vec(stat.path)),
            kind,
            mode,
            uid: stat.uid,
            gid: stat.gid,
            modified_at: Timestamp(stat.modified),
            attributes: kept(stat.attributes),
            digest: None,
        });
        Ok(listed)
    }

    /// Returns what was listed so far.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns everything that was listed.
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Says how long a file really is.
    pub(super) fn set_size(&mut self, index: usize, length: u64) {
        let entry = self.entries.get_mut(index);
        if let Some(EntryKind::File { size, .. }) = entry.map(|entry| &mut entry.kind) {
            *size = length;
        }
    }

    fn count(&mut self, stat: &Stat) -> Result<(), ListError> {
        let attributes = stat.attributes.iter();
        let attributes: usize = attributes.map(|(name, value)| name.len() + value.len()).sum();
        let bytes = ENTRY + stat.path.len() + stat.link.len() + attributes;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MOST_BYTES {
            return Err(ListError::TooMuch);
        }
        Ok(())
    }

    /// Leaves the directories that a path is not in, and sees to it that it is in the last one, behind everything else there.
    fn descend(&mut self, path: &[u8]) -> Result<(), ListError> {
        let refused = |reason| ListError::Path {
            path: path.to_vec(),
            reason,
        };
        if let Some(last) = self.entries.last()
            && order(bytes(last), path) != Ordering::Less
        {
            return Err(refused("out of order"));
        }
        while let Some(directory) = self.open.last()
            && !is_below(path, bytes(&self.entries[*directory]))
        {
            self.open.pop();
        }
        let inner: &[u8] = match self.open.last() {
            Some(directory) => bytes(&self.entries[*directory]),
            None => b"",
        };
        let parent = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(&b""[..], |slash| &path[..slash]);
        if parent != inner {
            return Err(refused("in what is no directory of the list"));
        }
        Ok(())
    }

    /// Adds another name of a file that was listed.
    fn another_name(&mut self, stat: &Stat) -> Result<(), ListError> {
        let lost = || ListError::Path {
            path: stat.path.clone(),
            reason: "another name of a file that is not in the list",
        };
        let first = find(&self.entries, &stat.link).ok_or_else(lost)?;
        match &mut self.entries[first].kind {
            EntryKind::Directory | EntryKind::Symlink { .. } => return Err(lost()),
            EntryKind::File {
                identity: identity @ None,
                ..
            } => {
                self.identities += 1;
                *identity = Some(self.identities);
            }
            _ => {}
        }
        let mut entry = self.entries[first].clone();
        entry.path = PathBuf::from(OsStr::from_bytes(&stat.path));
        self.entries.push(entry);
        Ok(())
    }
}

/// Checks a path by itself.
fn check(path: &[u8]) -> Result<(), ListError> {
    let refused = |reason| ListError::Path {
        path: path.iter().take(LONGEST_PATH).copied().collect(),
        reason,
    };
    if path.len() > LONGEST_PATH {
        return Err(refused("the path is too long"));
    }
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" => return Err(refused("a path without a name")),
            b"." | b".." => return Err(refused("a path that is not clean")),
            _ if name.len() > LONGEST_NAME => return Err(refused("the name is too long")),
            _ if name.contains(&0) => return Err(refused("a name with a zero byte")),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the attributes that layers keep.
fn kept(attributes: BTreeMap<String, Vec<u8>>) -> BTreeMap<OsString, Vec<u8>> {
    let kept = attributes
        .into_iter()
        .filter(|(name, _)| hyperbox_build::context::keeps_attribute(name.as_bytes()));
    kept.map(|(name, value)| (OsString::from(name), value)).collect()
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
