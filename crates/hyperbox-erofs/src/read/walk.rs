// SPDX-License-Identifier: MIT
//! The whole tree of an image.
//!
//! In a sound image each directory has one name, and all directories together are no longer than the image. That is checked, so a
//! hostile image can neither lead in circles nor be made of one block that all directories share.

use std::collections::HashSet;

use super::{DirectoryEntry, Image, InodeInfo, ReadAt, damaged};
use crate::error::ImageError;
use crate::layout::dirent;
use crate::model::Kind;

const WHAT: &str = "a directory";

/// The longest path that is followed.
const PATH_MOST: usize = 32 << 10;

/// An entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkEntry {
    /// Its path from the root without a leading `/`; the root's is empty.
    pub path: Vec<u8>,
    /// Its inode.
    pub inode: InodeInfo,
}

/// A walk through an image; it ends with its first error.
///
/// Memory: the entries of the directories on the way, and 8 bytes or so for each directory that was seen.
#[derive(Debug)]
pub struct Walk<'a, R> {
    image: &'a Image<R>,
    started: bool,
    path: Vec<u8>,
    open: Vec<Open>,
    seen: HashSet<u64>,
    /// How much longer directories may be.
    budget: u64,
}

/// A directory on the way.
#[derive(Debug)]
struct Open {
    /// What is still to come, descending.
    entries: Vec<DirectoryEntry>,
    /// The length of its path.
    path: usize,
}

impl<'a, R: ReadAt> Walk<'a, R> {
    pub(super) fn new(image: &'a Image<R>) -> Self {
        Self {
            image,
            started: false,
            path: Vec::new(),
            open: Vec::new(),
            seen: HashSet::new(),
            budget: image.size,
        }
    }

    fn step(&mut self) -> Result<Option<WalkEntry>, ImageError> {
        if !std::mem::replace(&mut self.started, true) {
            return self.visit(self.image.root()?).map(Some);
        }
        while let Some(open) = self.open.last_mut() {
            self.path.truncate(open.path);
            let Some(entry) = open.entries.pop() else {
                self.open.pop();
                continue;
            };
            let inode = self.image.inode(entry.nid)?;
            if entry.file_type != dirent::file_type(inode.raw.mode) {
                return Err(damaged(WHAT, inode.position, "an entry is not what it says"));
            }
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&entry.name);
            return self.visit(inode).map(Some);
        }
        Ok(None)
    }

    fn visit(&mut self, inode: InodeInfo) -> Result<WalkEntry, ImageError> {
        if inode.kind == Kind::Directory {
            if self.path.len() > PATH_MOST {
                return Err(ImageError::TooLarge {
                    what: "a path",
                    offset: inode.position,
                    limit: PATH_MOST as u64,
                });
            }
            if !self.seen.insert(inode.nid) {
                return Err(damaged(WHAT, inode.position, "it has several names"));
            }
            let budget = self.budget.checked_sub(inode.size);
            self.budget = budget.ok_or(damaged(WHAT, inode.position, "directories are longer than the image"))?;
            let mut entries = Vec::new();
            self.image.read_directory(&inode, |entry| {
                entries.push(entry);
                Ok(())
            })?;
            entries.reverse();
            self.open.push(Open {
                entries,
                path: self.path.len(),
            });
        }
        Ok(WalkEntry {
            path: self.path.clone(),
            inode,
        })
    }
}

impl<R: ReadAt> Iterator for Walk<'_, R> {
    type Item = Result<WalkEntry, ImageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.open.clear();
            self.started = true;
        }
        step.transpose()
    }
}
