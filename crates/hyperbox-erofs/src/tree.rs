// SPDX-License-Identifier: MIT
//! The tree in the making: inodes by number, and directories that name them.
//!
//! Several names may mean one inode (hard links), but never a directory, so the directories are a tree and nothing goes round in circles.
//! An inode without names stays in its place and is not written. Nothing here recurses: paths may be of any depth.

use std::collections::BTreeMap;

use crate::attributes::SetId;
use crate::extents::Data;
use crate::model::{DeviceNumber, Kind, Timestamp, Xattr};

/// An inode's number, in order of their making.
pub(crate) type InodeId = u32;

/// The root's number.
pub(crate) const ROOT: InodeId = 0;

/// An inode.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) attributes: InodeAttributes,
    /// How many names it has. Of a directory: 1, or 0 when it was removed.
    pub(crate) names: u32,
    pub(crate) content: Content,
}

/// What all kinds have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InodeAttributes {
    pub(crate) permissions: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Timestamp,
    pub(crate) xattrs: SetId,
}

/// What an inode is.
#[derive(Debug)]
pub(crate) enum Content {
    Directory(Box<Directory>),
    Regular { size: u64, data: Data },
    Inline(Box<[u8]>),
    Symlink(Box<[u8]>),
    CharacterDevice(DeviceNumber),
    BlockDevice(DeviceNumber),
    Fifo,
    Socket,
}

impl Content {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Directory(_) => Kind::Directory,
            Self::Regular { .. } | Self::Inline(_) => Kind::Regular,
            Self::Symlink(_) => Kind::Symlink,
            Self::CharacterDevice(number) => Kind::CharacterDevice(*number),
            Self::BlockDevice(number) => Kind::BlockDevice(*number),
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
        }
    }
}

/// A directory.
#[derive(Debug)]
pub(crate) struct Directory {
    /// The root's is itself.
    pub(crate) parent: InodeId,
    pub(crate) entries: BTreeMap<Box<[u8]>, InodeId>,
    /// Attributes that stay when new metadata come.
    pub(crate) marks: Vec<Xattr>,
}

/// All inodes.
#[derive(Debug)]
pub(crate) struct Tree {
    inodes: Vec<Inode>,
}

impl Tree {
    pub(crate) fn new(root: InodeAttributes) -> Self {
        let content = Content::Directory(Box::new(Directory {
            parent: ROOT,
            entries: BTreeMap::new(),
            marks: Vec::new(),
        }));
        Self {
            inodes: vec![Inode {
                attributes: root,
                names: 1,
                content,
            }],
        }
    }

    /// How many inodes were made.
    pub(crate) fn len(&self) -> usize {
        self.inodes.len()
    }

    pub(crate) fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id as usize]
    }

    pub(crate) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id as usize]
    }

    /// The directory of this number, if it is one.
    pub(crate) fn directory(&self, id: InodeId) -> Option<&Directory> {
        match &self.inode(id).content {
            Content::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// As [`directory`](Self::directory), to be changed.
    pub(crate) fn directory_mut(&mut self, id: InodeId) -> Option<&mut Directory> {
        match &mut self.inode_mut(id).content {
            Content::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// What a name means in a directory.
    pub(crate) fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        self.directory(directory)?.entries.get(name).copied()
    }

    /// Makes an inode without names.
    pub(crate) fn make(&mut self, attributes: InodeAttributes, content: Content) -> InodeId {
        let id = InodeId::try_from(self.inodes.len()).expect("the number of inodes is limited");
        self.inodes.push(Inode {
            attributes,
            names: 0,
            content,
        });
        id
    }

    /// An empty directory's content.
    pub(crate) fn empty_directory(parent: InodeId) -> Content {
        Content::Directory(Box::new(Directory {
            parent,
            entries: BTreeMap::new(),
            marks: Vec::new(),
        }))
    }

    /// Names an inode; what had the name loses it first.
    pub(crate) fn name(&mut self, directory: InodeId, name: &[u8], id: InodeId) {
        self.inode_mut(id).names += 1;
        let entries = self.directory_mut(directory).map(|directory| &mut directory.entries);
        let replaced = entries.and_then(|entries| entries.insert(name.into(), id));
        if let Some(replaced) = replaced {
            self.forget(replaced);
        }
    }

    /// Removes a name with everything that is beneath; tells what had it.
    pub(crate) fn remove(&mut self, directory: InodeId, name: &[u8]) -> Option<Kind> {
        let removed = self.directory_mut(directory)?.entries.remove(name)?;
        let kind = self.inode(removed).content.kind();
        self.forget(removed);
        Some(kind)
    }

    /// An inode has one name less: with its last one, a directory loses its entries.
    fn forget(&mut self, id: InodeId) {
        let mut forgotten = vec![id];
        while let Some(id) = forgotten.pop() {
            let inode = self.inode_mut(id);
            inode.names -= 1;
            if inode.names == 0
                && let Content::Directory(directory) = &mut inode.content
            {
                forgotten.extend(std::mem::take(&mut directory.entries).into_values());
            }
        }
    }
}
