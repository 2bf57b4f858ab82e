// SPDX-License-Identifier: MIT
//! A tree in memory that becomes an index: names and links as Linux resolves them, over a builder that follows none.
//!
//! A directory is its path without links. Entries of an archive are applied one after the other, so there is at most one inode that
//! was made and not described yet: it reaches the builder when it is described.

use std::cell::RefCell;
use std::io::{BufRead, Seek, Write};
use std::path::Path;

use hyperbox_core::seam::SnapshotError;
use hyperbox_erofs::{
    BuildError, Builder, Device, DeviceNumber, Fault, Kind, Metadata, Node, Options, Timestamp, Xattr,
};
use rustix::io::Errno;

use super::extents::{self, Extent, Place};
use super::{Moved, Odd, xattrs};
use crate::archive::{Archive, Entry};
use crate::failure::{on_path, refused, shown};
use crate::unpack::attributes::{self, Attributes};
use crate::unpack::filesystem::{Filesystem, Present, Special};
use crate::unpack::names;
use crate::unpack::tree::MOST_LINKS;

/// `NAME_MAX` of Linux.
const LONGEST_NAME: usize = 255;
/// `PATH_MAX` of Linux, with the final NUL.
const LONGEST_TEXT: usize = 4096;
/// Memory of an inode, of which the builder counts only names and data.
const INODE: u64 = 256;

/// The tree.
#[derive(Debug)]
pub(crate) struct IndexTree {
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    builder: Builder,
    odd: Odd,
    /// Where the tar's data are, when they are not in the tar.
    moved: Option<Moved>,
    /// What was made last and is not described yet.
    pending: Option<(Vec<u8>, Node)>,
}

/// What an index became.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) inodes: u64,
    /// Bytes of data beside the tar.
    pub(crate) odd: u64,
}

impl IndexTree {
    /// An empty tree that takes about `memory` bytes at most.
    pub(crate) fn new(memory: usize, odd: Odd, moved: Option<Moved>) -> Self {
        let held = memory as u64;
        let limits = hyperbox_erofs::Limits {
            inodes: (held / INODE).max(64),
            held,
            ..hyperbox_erofs::Limits::default()
        };
        Self {
            state: RefCell::new(State {
                builder: Builder::new(Options { limits }),
                odd,
                moved,
                pending: None,
            }),
        }
    }

    /// Writes the index of a tar of `size` bytes; `path` is told in errors.
    pub(crate) fn write(self, out: impl Write + Seek, size: u64, path: &Path) -> Result<Written, SnapshotError> {
        let State {
            builder, odd, moved, ..
        } = self.state.into_inner();
        let odd = odd
            .finish()
            .map_err(|error| on_path("write data beside", path, error))?;
        let device = |size| Device { size, tag: Vec::new() };
        let mut devices: Vec<Device> = match moved {
            None => vec![device(size)],
            Some(moved) => moved.devices.into_iter().map(device).collect(),
        };
        if odd > 0 {
            devices.push(device(odd));
        }
        let summary = builder.finish(&devices, out).map_err(|error| match error {
            BuildError::Write { source } => on_path("write", path, source),
            error => refused(error.to_string()),
        })?;
        Ok(Written {
            inodes: summary.inodes,
            odd,
        })
    }

    fn kind_of(&self, path: &[u8]) -> Result<Option<Kind>, Errno> {
        self.state.borrow().builder.kind(path).map_err(|_| Errno::NAMETOOLONG)
    }

    /// Checks that nothing is at a name, and returns its path.
    fn vacant(&self, parent: &[u8], name: &[u8]) -> Result<Vec<u8>, Errno> {
        if name.len() > LONGEST_NAME {
            return Err(Errno::NAMETOOLONG);
        }
        let path = names::join(parent, name);
        match self.kind_of(&path)? {
            Some(_) => Err(Errno::EXIST),
            None => Ok(path),
        }
    }

    fn prepare(&self, parent: &[u8], name: &[u8], node: Node) -> Result<(), Errno> {
        let path = self.vacant(parent, name)?;
        self.state.borrow_mut().pending = Some((path, node));
        Ok(())
    }

    /// Puts what was prepared into the tree.
    fn complete(&self, entry: &Entry) -> Result<(), SnapshotError> {
        let state = &mut *self.state.borrow_mut();
        let (path, node) = state
            .pending
            .take()
            .ok_or_else(|| refused(format!("{}: nothing was made of it", shown(&entry.path))))?;
        let metadata = metadata(entry, holder(&node))?;
        insert(&mut state.builder, &path, &metadata, node)
    }
}

fn insert(builder: &mut Builder, path: &[u8], metadata: &Metadata, node: Node) -> Result<(), SnapshotError> {
    builder.insert(path, metadata, node).map(drop).map_err(not_built)
}

/// What the builder refuses is the archive's fault.
fn not_built(error: BuildError) -> SnapshotError {
    refused(error.to_string())
}

/// The builder's refusal where a code is asked for: one of those that an archive is blamed for.
fn refusal(error: &BuildError) -> Errno {
    match error.fault() {
        Fault::Limit => Errno::TOOBIG,
        _ => Errno::INVAL,
    }
}

fn metadata(entry: &Entry, holder: xattrs::Holder) -> Result<Metadata, SnapshotError> {
    let kept = RefCell::new(Vec::new());
    attributes::each_allowed(entry, |key, value| {
        xattrs::check(holder, key, value)?;
        kept.borrow_mut().push(Xattr {
            name: key.to_vec(),
            value: value.to_vec(),
        });
        Ok(())
    })?;
    Ok(Metadata {
        // Bits beyond are none of a mode.
        permissions: u16::try_from(entry.mode & 0o7777).unwrap_or_default(),
        uid: entry.uid,
        gid: entry.gid,
        modified: Timestamp {
            seconds: entry.mtime.seconds,
            nanoseconds: entry.mtime.nanoseconds,
        },
        xattrs: kept.into_inner(),
    })
}

fn holder(node: &Node) -> xattrs::Holder {
    match node {
        Node::Directory => xattrs::Holder::Directory,
        Node::Regular { .. } | Node::Inline(_) => xattrs::Holder::File,
        _ => xattrs::Holder::Other,
    }
}

fn device(device: crate::archive::Device) -> Result<DeviceNumber, Errno> {
    if device.major >= 1 << 12 || device.minor >= 1 << 20 {
        // What mknod(2) says to numbers that Linux does not have.
        return Err(Errno::INVAL);
    }
    Ok(DeviceNumber {
        major: device.major,
        minor: device.minor,
    })
}

impl Filesystem for IndexTree {
    type Directory = Vec<u8>;
    type File = ();

    fn root(&self) -> &Vec<u8> {
        const ROOT: &Vec<u8> = &Vec::new();
        ROOT
    }

    fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        if self.kind_of(path).is_ok_and(|kind| kind == Some(Kind::Directory)) {
            return Ok(path.to_vec());
        }
        let mut reached = Vec::new();
        let mut waiting: Vec<Vec<u8>> = vec![path.to_vec()];
        let mut links = 0;
        while let Some(text) = waiting.pop() {
            let (component, rest) = match text.iter().position(|byte| *byte == b'/') {
                Some(slash) => (&text[..slash], &text[slash + 1..]),
                None => (&text[..], &[][..]),
            };
            if !rest.is_empty() {
                waiting.push(rest.to_vec());
            }
            match component {
                b"" | b"." => continue,
                b".." => {
                    reached.truncate(names::split(&reached).0.len());
                    continue;
                }
                _ => {}
            }
            let next = names::join(&reached, component);
            match self.kind_of(&next)? {
                None => return Err(Errno::NOENT),
                Some(Kind::Directory) => reached = next,
                Some(Kind::Symlink) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP);
                    }
                    let target = self.read_link(&reached, component)?;
                    if target.starts_with(b"/") {
                        reached.clear();
                    }
                    waiting.push(target);
                }
                Some(_) => return Err(Errno::NOTDIR),
            }
        }
        Ok(reached)
    }

    fn open_root(&self) -> Result<Vec<u8>, Errno> {
        Ok(Vec::new())
    }

    fn open_directory(&self, parent: &Vec<u8>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let path = names::join(parent, name);
        match self.kind_of(&path)? {
            None => Err(Errno::NOENT),
            Some(Kind::Directory) => Ok(path),
            Some(Kind::Symlink) => Err(Errno::LOOP),
            Some(_) => Err(Errno::NOTDIR),
        }
    }

    fn kind(&self, parent: &Vec<u8>, name: &[u8]) -> Result<Present, Errno> {
        Ok(match self.kind_of(&names::join(parent, name))?.ok_or(Errno::NOENT)? {
            Kind::Directory => Present::Directory,
            Kind::Symlink => Present::Symlink,
            Kind::CharacterDevice(DeviceNumber::WHITEOUT) => Present::Whiteout,
            _ => Present::Other,
        })
    }

    fn read_link(&self, parent: &Vec<u8>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let state = self.state.borrow();
        let target = state.builder.link_target(&names::join(parent, name));
        let target = target.map_err(|error| refusal(&error))?;
        target.map(<[u8]>::to_vec).ok_or(Errno::INVAL)
    }

    fn remove(&self, parent: &Vec<u8>, name: &[u8]) -> Result<(), Errno> {
        let removed = self.state.borrow_mut().builder.remove(&names::join(parent, name));
        removed.map_err(|error| refusal(&error))?.map(drop).ok_or(Errno::NOENT)
    }

    fn make_directory(&self, parent: &Vec<u8>, name: &[u8]) -> Result<(), Errno> {
        let path = self.vacant(parent, name)?;
        let made = self
            .state
            .borrow_mut()
            .builder
            .insert(&path, &Metadata::implied_directory(), Node::Directory);
        made.map(drop).map_err(|error| refusal(&error))
    }

    fn open_to_all(&self, _directory: &Vec<u8>) -> Result<(), Errno> {
        Ok(())
    }

    fn set_opaque(&self, directory: &Vec<u8>) -> Result<(), Errno> {
        let mark = Xattr {
            name: b"trusted.overlay.opaque".to_vec(),
            value: b"y".to_vec(),
        };
        let marked = self.state.borrow_mut().builder.mark_directory(directory, mark);
        marked.map_err(|error| refusal(&error))
    }

    fn make_whiteout(&self, parent: &Vec<u8>, name: &[u8]) -> Result<(), Errno> {
        let path = self.vacant(parent, name)?;
        let whiteout = Node::CharacterDevice(DeviceNumber::WHITEOUT);
        let made = self
            .state
            .borrow_mut()
            .builder
            .insert(&path, &Metadata::default(), whiteout);
        made.map(drop).map_err(|error| refusal(&error))
    }

    fn make_symlink(&self, parent: &Vec<u8>, name: &[u8], text: &[u8]) -> Result<(), Errno> {
        if text.len() >= LONGEST_TEXT {
            return Err(Errno::NAMETOOLONG);
        }
        if text.contains(&0) {
            return Err(Errno::INVAL);
        }
        self.prepare(parent, name, Node::Symlink(text.to_vec()))
    }

    fn make_special(&self, parent: &Vec<u8>, name: &[u8], special: Special) -> Result<(), Errno> {
        let node = match special {
            Special::Fifo => Node::Fifo,
            Special::Character(number) => Node::CharacterDevice(device(number)?),
            Special::Block(number) => Node::BlockDevice(device(number)?),
        };
        self.prepare(parent, name, node)
    }

    fn link(&self, from: &Vec<u8>, from_name: &[u8], parent: &Vec<u8>, name: &[u8]) -> Result<(), Errno> {
        let target = names::join(from, from_name);
        match self.kind_of(&target)? {
            None => return Err(Errno::NOENT),
            Some(Kind::Directory) => return Err(Errno::PERM),
            Some(_) => {}
        }
        let path = self.vacant(parent, name)?;
        let linked = self.state.borrow_mut().builder.hard_link(&path, &target);
        linked.map(drop).map_err(|error| refusal(&error))
    }

    fn make_file(&self, parent: &Vec<u8>, name: &[u8]) -> Result<(), Errno> {
        let empty = Node::Regular {
            size: 0,
            extents: Vec::new(),
        };
        self.prepare(parent, name, empty)
    }

    fn fill<R: BufRead>(&self, _file: &(), entry: &Entry, archive: &mut Archive<R>) -> Result<u64, SnapshotError> {
        let state = &mut *self.state.borrow_mut();
        let (found, written) = extents::take(entry, archive, &mut state.odd)?;
        if let Some((_, node)) = &mut state.pending {
            *node = Node::Regular {
                size: entry.size,
                extents: match &state.moved {
                    None => found.into_iter().map(on_device).collect(),
                    Some(moved) => found.into_iter().flat_map(|extent| moved.translate(extent)).collect(),
                },
            };
        }
        Ok(written)
    }

    fn describe_file(&self, _file: &(), entry: &Entry) -> Result<(), SnapshotError> {
        self.complete(entry)
    }

    fn describe_name(&self, _parent: &Vec<u8>, _name: &[u8], entry: &Entry) -> Result<(), SnapshotError> {
        self.complete(entry)
    }

    fn describe_directory(&self, directory: &Vec<u8>, entry: &Entry) -> Result<(), SnapshotError> {
        let metadata = metadata(entry, xattrs::Holder::Directory)?;
        let state = &mut *self.state.borrow_mut();
        insert(&mut state.builder, directory, &metadata, Node::Directory)
    }

    fn complete_directory(&self, _directory: &Vec<u8>, _attributes: Attributes) -> Result<(), Errno> {
        // Nothing that was made inside has changed it.
        Ok(())
    }
}

fn on_device(extent: Extent) -> hyperbox_erofs::Extent {
    hyperbox_erofs::Extent {
        file_offset: extent.offset,
        length: extent.length,
        device: match extent.place {
            Place::Tar => 1,
            Place::Odd => 2,
        },
        device_offset: extent.at,
    }
}
