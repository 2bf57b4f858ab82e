// SPDX-License-Identifier: MIT
//! What every operation of a builder is made of: finding places, making inodes, counting what is held.

use super::Builder;
use crate::attributes::SetId;
use crate::error::{BuildError, shown};
use crate::extents::{self, Refused};
use crate::layout::inode::encode_device;
use crate::model::{DeviceNumber, Metadata, Node, Xattr};
use crate::path;
use crate::tree::{Content, InodeAttributes, InodeId, ROOT, Tree};

/// What a name costs in its directory beside its bytes.
pub(super) const NAME_OVERHEAD: u64 = 32;

/// The longest target of a symbolic link: `PATH_MAX` less its NUL.
const TARGET_MOST: usize = 4095;

impl Builder {
    pub(super) fn content(&mut self, path: &[u8], node: Node) -> Result<Option<Content>, BuildError> {
        let device = |number: DeviceNumber| match encode_device(number) {
            Some(_) => Ok(number),
            None => Err(unsupported(path, "Linux has no such device number")),
        };
        Ok(Some(match node {
            Node::Directory => return Ok(None),
            Node::Regular { size, extents } => {
                let data = extents::understand(size, &extents).map_err(|refused| match refused {
                    Refused::Misaligned => BuildError::Misaligned { path: shown(path) },
                    Refused::Wrong(reason) => BuildError::Extents {
                        path: shown(path),
                        reason,
                    },
                })?;
                self.hold(data.held())?;
                self.count_chunks(data.chunks(size).count)?;
                Content::Regular { size, data }
            }
            Node::Inline(bytes) => {
                self.hold(bytes.len() as u64)?;
                Content::Inline(bytes.into())
            }
            Node::Symlink(target) => {
                if target.is_empty() || target.len() > TARGET_MOST || target.contains(&0) {
                    return Err(unsupported(
                        path,
                        "its target is empty, longer than 4095 bytes, or contains a NUL byte",
                    ));
                }
                self.hold(target.len() as u64)?;
                Content::Symlink(target.into())
            }
            Node::CharacterDevice(number) => Content::CharacterDevice(device(number)?),
            Node::BlockDevice(number) => Content::BlockDevice(device(number)?),
            Node::Fifo => Content::Fifo,
            Node::Socket => Content::Socket,
        }))
    }

    /// Replaces a directory's metadata; its marks stay.
    pub(super) fn describe(&mut self, path: &[u8], id: InodeId, metadata: &Metadata) -> Result<(), BuildError> {
        let marks = self
            .tree
            .directory(id)
            .map(|directory| directory.marks.clone())
            .unwrap_or_default();
        let set: Vec<Xattr> = metadata.xattrs.iter().cloned().chain(marks).collect();
        let xattrs = self.intern(path, &set)?;
        self.tree.inode_mut(id).attributes = attributes(metadata, xattrs);
        Ok(())
    }

    /// The parent's number, which is made if need be, and the name in it; `None` for the root.
    pub(super) fn locate<'a>(&mut self, path: &'a [u8]) -> Result<Option<(InodeId, &'a [u8])>, BuildError> {
        if let (Some((parent, name)), Some((known, id))) = (path::split(path), &self.last)
            && parent == known
            && path::refusal(name).is_none()
        {
            return Ok(Some((*id, name)));
        }
        // All of it is checked first, so that nothing is made for a path that is refused.
        path::components(path).try_for_each(|component| component.map(drop))?;
        let mut components = path::components(path).peekable();
        let mut parent = ROOT;
        let mut found = None;
        while let Some(component) = components.next() {
            let component = component?;
            if components.peek().is_none() {
                found = Some((parent, component));
            } else {
                parent = self.enter(path, parent, component)?;
            }
        }
        self.last = path::split(path)
            .filter(|(_, name)| found.is_some_and(|(_, found)| found == *name))
            .map(|(known, _)| (known.to_vec(), parent));
        Ok(found)
    }

    /// Goes into a directory, which is made if there is none.
    pub(super) fn enter(&mut self, path: &[u8], parent: InodeId, name: &[u8]) -> Result<InodeId, BuildError> {
        match self.tree.child(parent, name) {
            Some(id) if self.tree.directory(id).is_some() => Ok(id),
            Some(_) => Err(BuildError::NotADirectory {
                path: shown(path),
                component: shown(name),
            }),
            None => {
                let implied = attributes(&Metadata::implied_directory(), SetId::EMPTY);
                let id = self.make(implied, Tree::empty_directory(parent))?;
                self.name(parent, name, id)?;
                Ok(id)
            }
        }
    }

    pub(super) fn find(&self, path: &[u8]) -> Result<Option<InodeId>, BuildError> {
        if let (Some((parent, name)), Some((known, id))) = (path::split(path), &self.last)
            && parent == known
            && path::refusal(name).is_none()
        {
            return Ok(self.tree.child(*id, name));
        }
        let mut id = Some(ROOT);
        for name in path::components(path) {
            let name = name?;
            id = id.and_then(|id| self.tree.child(id, name));
        }
        Ok(id)
    }

    pub(super) fn make(&mut self, attributes: InodeAttributes, content: Content) -> Result<InodeId, BuildError> {
        let limit = self.limits.inodes.min(InodeId::MAX.into());
        if self.tree.len() as u64 >= limit {
            return Err(BuildError::Limit { what: "inodes", limit });
        }
        Ok(self.tree.make(attributes, content))
    }

    pub(super) fn name(&mut self, parent: InodeId, name: &[u8], id: InodeId) -> Result<(), BuildError> {
        self.hold(name.len() as u64 + NAME_OVERHEAD)?;
        if let Some(replaced) = self.tree.child(parent, name)
            && self.tree.directory(replaced).is_some()
        {
            // The directory that was used last may go with it.
            self.last = None;
        }
        self.tree.name(parent, name, id);
        Ok(())
    }

    pub(super) fn intern(&mut self, path: &[u8], xattrs: &[Xattr]) -> Result<SetId, BuildError> {
        let before = self.attributes.held();
        let set = self
            .attributes
            .intern(xattrs)
            .map_err(|reason| unsupported(path, reason))?;
        self.hold(self.attributes.held() - before)?;
        Ok(set)
    }

    pub(super) fn xattrs_of(&self, id: InodeId) -> Vec<Xattr> {
        let set = self.attributes.set(self.tree.inode(id).attributes.xattrs);
        set.iter().map(|number| self.attributes.decoded(*number)).collect()
    }

    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), BuildError> {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.limits.held {
            return Err(BuildError::Limit {
                what: "bytes of names, attributes and data",
                limit: self.limits.held,
            });
        }
        Ok(())
    }

    pub(super) fn count_chunks(&mut self, chunks: u64) -> Result<(), BuildError> {
        self.chunks = self.chunks.saturating_add(chunks);
        if self.chunks > self.limits.chunks {
            return Err(BuildError::Limit {
                what: "chunks of files",
                limit: self.limits.chunks,
            });
        }
        Ok(())
    }
}

pub(super) fn attributes(metadata: &Metadata, xattrs: SetId) -> InodeAttributes {
    InodeAttributes {
        permissions: metadata.permissions & 0o7777,
        uid: metadata.uid,
        gid: metadata.gid,
        modified: metadata.modified,
        xattrs,
    }
}

pub(super) fn unsupported(path: &[u8], reason: &'static str) -> BuildError {
    BuildError::Unsupported {
        path: shown(path),
        reason,
    }
}
