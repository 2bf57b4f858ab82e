// SPDX-License-Identifier: MIT
//! Making a tree entry by entry, in the order in which an archive lists them.
//!
//! What archives leave open is settled as extractors of archives do: a later entry of a path replaces an earlier one, with everything
//! beneath unless both are directories; missing parents are made; a directory's own entry may come after those of its content.
//! Links are not followed: a path whose parent is no directory is an error, and the caller, who can ask for
//! [`kind`](Builder::kind) and [`link_target`](Builder::link_target), decides what was meant.
//!
//! **Memory.** About 170 bytes for each file and its name, those of [`finish`](Builder::finish) included, and what is held of targets,
//! attributes, extents and inline data. Nothing is read from devices.

mod entries;

use std::io::{Seek, Write};

use entries::{NAME_OVERHEAD, attributes, unsupported};

use crate::attributes::{Attributes, SetId};
use crate::error::{BuildError, shown};
use crate::model::{Device, Kind, Limits, Metadata, Node, Options, Summary, Xattr};
use crate::path;
use crate::plan::Plan;
use crate::tree::{Content, InodeId, ROOT, Tree};
use crate::write;

/// What Linux says of every symbolic link: none has permissions of its own.
const LINK_PERMISSIONS: u16 = 0o777;

/// A tree in the making.
#[derive(Debug)]
pub struct Builder {
    limits: Limits,
    tree: Tree,
    attributes: Attributes,
    /// Bytes of memory for names, targets, extents and data.
    held: u64,
    chunks: u64,
    /// The directory used last, with its path as it was written.
    last: Option<(Vec<u8>, InodeId)>,
}

impl Builder {
    /// A tree with nothing but its root, which is as [`Metadata::implied_directory`] says.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let root = attributes(&Metadata::implied_directory(), SetId::EMPTY);
        Self {
            limits: options.limits,
            tree: Tree::new(root),
            attributes: Attributes::new(),
            held: 0,
            chunks: 0,
            last: None,
        }
    }

    /// Puts an entry into the tree; tells what it has replaced, or the directory that it has changed.
    ///
    /// The empty path, `.` and `/` mean the root, which can only be a directory.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: the tree is as it was then, except for missing parents, which may have been made.
    pub fn insert(&mut self, path: &[u8], metadata: &Metadata, node: Node) -> Result<Option<Kind>, BuildError> {
        if metadata.modified.nanoseconds >= 1_000_000_000 {
            return Err(unsupported(
                path,
                "its time has a second's worth of nanoseconds or more",
            ));
        }
        let content = self.content(path, node)?;
        let Some((parent, name)) = self.locate(path)? else {
            if content.is_some() {
                return Err(BuildError::Root);
            }
            self.describe(path, ROOT, metadata)?;
            return Ok(Some(Kind::Directory));
        };
        let present = self.tree.child(parent, name);
        let kind = present.map(|id| self.tree.inode(id).content.kind());
        match (content, present) {
            (None, Some(id)) if kind == Some(Kind::Directory) => self.describe(path, id, metadata)?,
            (content, _) => {
                let xattrs = self.intern(path, &metadata.xattrs)?;
                let content = content.unwrap_or_else(|| Tree::empty_directory(parent));
                let mut attributes = attributes(metadata, xattrs);
                if matches!(content, Content::Symlink(_)) {
                    attributes.permissions = LINK_PERMISSIONS;
                }
                let id = self.make(attributes, content)?;
                self.name(parent, name, id)?;
            }
        }
        Ok(kind)
    }

    /// Gives an inode that is no directory another name; tells what that has replaced.
    ///
    /// # Errors
    ///
    /// [`BuildError::MissingTarget`], [`BuildError::DirectoryTarget`], and what [`insert`](Self::insert) gives for paths and limits.
    pub fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<Option<Kind>, BuildError> {
        let Some(id) = self.find(target)? else {
            return Err(BuildError::MissingTarget {
                path: shown(path),
                target: shown(target),
            });
        };
        if self.tree.directory(id).is_some() {
            return Err(BuildError::DirectoryTarget {
                path: shown(path),
                target: shown(target),
            });
        }
        let Some((parent, name)) = self.locate(path)? else {
            return Err(BuildError::Root);
        };
        let present = self.tree.child(parent, name);
        let kind = present.map(|id| self.tree.inode(id).content.kind());
        if present != Some(id) {
            self.name(parent, name, id)?;
        }
        Ok(kind)
    }

    /// Removes an entry with everything beneath; tells what it was. Removing the root's path removes its content and tells of it.
    ///
    /// # Errors
    ///
    /// [`BuildError::Path`] for a path that names nothing. What is not there is no error.
    pub fn remove(&mut self, path: &[u8]) -> Result<Option<Kind>, BuildError> {
        self.last = None;
        let components = path::components(path).collect::<Result<Vec<_>, _>>()?;
        let Some((name, parents)) = components.split_last() else {
            let names = self
                .tree
                .directory(ROOT)
                .map(|root| root.entries.keys().cloned().collect::<Vec<_>>());
            for name in names.unwrap_or_default() {
                self.tree.remove(ROOT, &name);
            }
            return Ok(Some(Kind::Directory));
        };
        let parent = parents.iter().try_fold(ROOT, |id, name| self.tree.child(id, name));
        Ok(parent.and_then(|parent| self.tree.remove(parent, name)))
    }

    /// Gives a directory an extended attribute that stays when a later [`insert`](Self::insert) brings new metadata, and makes the
    /// directory if there is none. This is for `trusted.overlay.opaque`, whose marker archives list before or after the directory.
    ///
    /// # Errors
    ///
    /// [`BuildError::NotADirectory`], and what [`insert`](Self::insert) gives for paths, attributes and limits.
    pub fn mark_directory(&mut self, path: &[u8], xattr: Xattr) -> Result<(), BuildError> {
        path::components(path).try_for_each(|component| component.map(drop))?;
        let mut id = ROOT;
        for name in path::components(path) {
            id = self.enter(path, id, name?)?;
        }
        let cost = xattr.name.len() + xattr.value.len();
        self.hold(cost as u64 + NAME_OVERHEAD)?;
        let mut set: Vec<Xattr> = self.xattrs_of(id);
        set.push(xattr.clone());
        self.tree.inode_mut(id).attributes.xattrs = self.intern(path, &set)?;
        if let Some(directory) = self.tree.directory_mut(id) {
            directory.marks.retain(|mark| mark.name != xattr.name);
            directory.marks.push(xattr);
        }
        Ok(())
    }

    /// What is at a path; links are not followed.
    ///
    /// # Errors
    ///
    /// [`BuildError::Path`] for a path that names nothing.
    pub fn kind(&self, path: &[u8]) -> Result<Option<Kind>, BuildError> {
        Ok(self.find(path)?.map(|id| self.tree.inode(id).content.kind()))
    }

    /// The target of the symbolic link at a path.
    ///
    /// # Errors
    ///
    /// [`BuildError::Path`] for a path that names nothing.
    pub fn link_target(&self, path: &[u8]) -> Result<Option<&[u8]>, BuildError> {
        Ok(self.find(path)?.and_then(|id| match &self.tree.inode(id).content {
            Content::Symlink(target) => Some(&target[..]),
            _ => None,
        }))
    }

    /// Names in the directory at a path, ascending by bytes; nothing for what is no directory.
    ///
    /// # Errors
    ///
    /// [`BuildError::Path`] for a path that names nothing.
    pub fn names(&self, path: &[u8]) -> Result<impl Iterator<Item = &[u8]>, BuildError> {
        let directory = self.find(path)?.and_then(|id| self.tree.directory(id));
        Ok(directory
            .into_iter()
            .flat_map(|directory| directory.entries.keys().map(|name| &name[..])))
    }

    /// Writes the index at the writer's position and tells what it is. The writer is flushed, and left at the end of the index.
    ///
    /// `devices` are, in this order, what the kernel has to be given as `device=` options. Extents refer to them by number from 1.
    ///
    /// # Errors
    ///
    /// [`BuildError::Extents`] for data that lie beyond their device, [`BuildError::Limit`] for a tree that is too large, and
    /// [`BuildError::Write`]. What was written then is no image: its superblock comes last.
    pub fn finish(self, devices: &[Device], out: impl Write + Seek) -> Result<Summary, BuildError> {
        let plan = Plan::new(&self.tree, &self.attributes, devices, self.limits)?;
        write::write(&plan, out)
    }
}

#[cfg(test)]
mod tests;
