// SPDX-License-Identifier: MIT
//! Unpacks a layer archive into a tree, in the form that overlayfs understands.
//!
//! The archive is hostile. Every name is resolved inside the tree ([`Tree`]); a symbolic link that an earlier entry planted is
//! followed, as Docker and containerd do, but inside the tree only. Whiteouts become 0:0 character devices and
//! `trusted.overlay.opaque` (kernel: `Documentation/filesystems/overlayfs.rst`, "whiteouts and opaque directories"); an archive
//! cannot set attributes of overlayfs itself.
//!
//! The tree is one of files or one in memory (see [`filesystem`]); everything that is decided is decided here, for both.
//!
//! Modes and times of directories are set at the end: making entries inside changes the times, and a setgid directory would
//! give its group away. What is kept for that in memory is bounded by [`Limits::names`].

pub(crate) mod attributes;
pub(crate) mod disk;
pub(crate) mod file;
pub(crate) mod filesystem;
pub(crate) mod names;
pub(crate) mod tree;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::os::fd::OwnedFd;

use hyperbox_core::seam::SnapshotError;
use rustix::io::Errno;

use self::attributes::Attributes;
use self::disk::Disk;
use self::filesystem::{Filesystem, Special};
use self::names::Role;
pub(crate) use self::names::normalise;
use self::tree::{Cleared, Tree};
use crate::archive::{Archive, Entry, Kind};
use crate::failure::{on_entry, refused, shown};

/// How much an archive may ask for. The ratio of compression is not limited: a file of zeros is no crime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Uncompressed bytes of the stream.
    pub stream: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of directory names, which are kept in memory until the end. A layer that is indexed keeps all that it knows of its
    /// files, and may use four times as much.
    pub names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stream: 1 << 40,
            entries: 16 << 20,
            names: 256 << 20,
        }
    }
}

/// What unpacking made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnpackSummary {
    /// Inodes, the root directory included; an estimate when entries replaced each other.
    pub inodes: u64,
    /// Bytes of files, rounded up to blocks; an estimate when entries replaced each other.
    pub bytes: u64,
    /// Whether an entry replaced an earlier one, so that the counts are too high.
    pub replaced: bool,
    /// Whether the layer hides everything below it.
    pub opaque_root: bool,
}

/// Unpacks the uncompressed tar `stream` into the directory `root`, up to the archive's end.
///
/// # Errors
/// `InvalidArgument` when the archive is malformed, hostile or beyond `limits`; else I/O classes. What was unpacked until then
/// is still there.
pub fn unpack_into(root: OwnedFd, stream: impl BufRead, limits: &Limits) -> Result<UnpackSummary, SnapshotError> {
    unpack(Disk::new(root), stream, limits).map(|unpacked| unpacked.summary)
}

/// What [`unpack`] returns.
#[derive(Debug)]
pub(crate) struct Unpacked<F, R> {
    /// The tree.
    pub(crate) filesystem: F,
    /// The stream, for reading what follows the archive.
    pub(crate) stream: R,
    pub(crate) summary: UnpackSummary,
}

/// [`unpack_into`] for any kind of tree.
pub(crate) fn unpack<F: Filesystem, R: BufRead>(
    filesystem: F,
    stream: R,
    limits: &Limits,
) -> Result<Unpacked<F, R>, SnapshotError> {
    let mut archive = Archive::new(stream);
    let mut unpacker = Unpacker {
        tree: Tree::new(filesystem),
        directories: BTreeMap::new(),
        names: 0,
        limits: *limits,
        summary: UnpackSummary {
            inodes: 1,
            bytes: BLOCK,
            ..UnpackSummary::default()
        },
    };
    let mut entries = 0;
    while let Some(entry) = archive.next()? {
        entries += 1;
        if entries > limits.entries {
            return Err(refused(format!("more than the allowed {} entries", limits.entries)));
        }
        unpacker.apply(&entry, &mut archive)?;
    }
    let (filesystem, summary) = unpacker.finish()?;
    Ok(Unpacked {
        filesystem,
        stream: archive.into_stream(),
        summary,
    })
}

const BLOCK: u64 = 4096;

struct Unpacker<F: Filesystem> {
    tree: Tree<F>,
    /// What directories get at the end, by path.
    directories: BTreeMap<Vec<u8>, Attributes>,
    names: usize,
    limits: Limits,
    summary: UnpackSummary,
}

impl<F: Filesystem> Unpacker<F> {
    fn apply<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<(), SnapshotError> {
        let path = normalise(&entry.path)?;
        match names::role(&path)? {
            Role::Ignored => Ok(()),
            Role::Opaque(directory) => self.make_opaque(directory),
            Role::Whiteout { directory, hidden } => self.whiteout(&names::join(directory, hidden)),
            Role::Plain => match entry.kind {
                Kind::Directory => self.directory(&path, entry),
                _ if path.is_empty() => Err(refused("the root directory is an entry that is no directory")),
                Kind::File => self.file(&path, entry, archive),
                Kind::HardLink => self.hard_link(&path, entry),
                Kind::Symlink => self.symlink(&path, entry),
                Kind::Fifo => self.special(&path, entry, Special::Fifo),
                Kind::Character(device) => self.special(&path, entry, Special::Character(device)),
                Kind::Block(device) => self.special(&path, entry, Special::Block(device)),
            },
        }
    }

    fn file<R: BufRead>(&mut self, path: &[u8], entry: &Entry, archive: &mut Archive<R>) -> Result<(), SnapshotError> {
        let file = self.make(path, "create", F::make_file)?;
        let filesystem = self.tree.filesystem();
        let written = filesystem.fill(&file, entry, archive)?;
        self.summary.bytes = self.summary.bytes.saturating_add(written.next_multiple_of(BLOCK));
        filesystem.describe_file(&file, entry)
    }

    fn symlink(&mut self, path: &[u8], entry: &Entry) -> Result<(), SnapshotError> {
        if entry.link.is_empty() {
            return Err(refused(format!("{}: a symbolic link to nothing", shown(path))));
        }
        self.make(path, "link", |filesystem, parent, name| {
            filesystem.make_symlink(parent, name, &entry.link)
        })?;
        self.describe(path, entry)
    }

    fn special(&mut self, path: &[u8], entry: &Entry, special: Special) -> Result<(), SnapshotError> {
        self.make(path, "make device", |filesystem, parent, name| {
            filesystem.make_special(parent, name, special)
        })?;
        self.describe(path, entry)
    }

    fn hard_link(&mut self, path: &[u8], entry: &Entry) -> Result<(), SnapshotError> {
        let target = normalise(&entry.link)?;
        if target == path {
            return Ok(());
        }
        if target.is_empty() {
            return Err(refused(format!("{}: a hard link to the root directory", shown(path))));
        }
        let lost = |error: Errno| match error {
            Errno::NOENT | Errno::PERM => refused(format!(
                "{}: a hard link to {}, which is no file of this layer",
                shown(path),
                shown(&target)
            )),
            error => on_entry("link", path, error),
        };
        let (directory, file) = self.tree.find(&target).map_err(&lost)?;
        let link = |filesystem: &F, parent: &F::Directory, name: &[u8]| filesystem.link(&directory, file, parent, name);
        self.make_with(path, link)?.map_err(lost)?;
        self.summary.inodes -= 1;
        Ok(())
    }

    fn directory(&mut self, path: &[u8], entry: &Entry) -> Result<(), SnapshotError> {
        if !path.is_empty() {
            let (filesystem, parent, name) = self.tree.place(path)?;
            match filesystem.make_directory(parent, name) {
                Ok(()) => self.count_directory(),
                Err(Errno::EXIST) if self.tree.is_directory(path)? => {}
                Err(Errno::EXIST) => {
                    let cleared = self.clear(path)?;
                    let (filesystem, parent, name) = self.tree.place(path)?;
                    filesystem
                        .make_directory(parent, name)
                        .map_err(|error| on_entry("create", path, error))?;
                    self.count_directory();
                    if cleared == Cleared::Whiteout {
                        self.make_opaque(path)?;
                    }
                }
                Err(error) => return Err(on_entry("create", path, error)),
            }
        }
        let directory = self
            .tree
            .open_directory(path)
            .map_err(|error| on_entry("open", path, error))?;
        self.tree.filesystem().describe_directory(&directory, entry)?;
        self.remember(path, Attributes::of(entry))
    }

    fn remember(&mut self, path: &[u8], attributes: Attributes) -> Result<(), SnapshotError> {
        if self.directories.insert(path.to_vec(), attributes).is_none() {
            self.names += path.len() + 128;
        }
        if self.names > self.limits.names {
            return Err(refused(format!(
                "directory names of more than the allowed {} bytes",
                self.limits.names
            )));
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<(), SnapshotError> {
        let (filesystem, parent, name) = self.tree.place(path)?;
        match filesystem.make_whiteout(parent, name) {
            Ok(()) => {
                self.summary.inodes += 1;
                Ok(())
            }
            // A whiteout hides what is in layers below, never what is in its own (OCI image-spec, layer.md, "Whiteouts").
            Err(Errno::EXIST) if self.tree.is_directory(path)? => self.make_opaque(path),
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(on_entry("hide", path, error)),
        }
    }

    fn make_opaque(&mut self, path: &[u8]) -> Result<(), SnapshotError> {
        if path.is_empty() {
            self.summary.opaque_root = true;
            return Ok(());
        }
        let made = self.tree.ensure_directory(path)?;
        self.summary.inodes += made;
        let directory = self
            .tree
            .open_directory(path)
            .map_err(|error| on_entry("open", path, error))?;
        let marked = self.tree.filesystem().set_opaque(&directory);
        marked.map_err(|error| on_entry("make opaque", path, error))
    }

    /// Makes something new at `path`, which is cleared when an earlier entry is there.
    fn make<T>(
        &mut self,
        path: &[u8],
        operation: &'static str,
        make: impl FnMut(&F, &F::Directory, &[u8]) -> Result<T, Errno>,
    ) -> Result<T, SnapshotError> {
        self.make_with(path, make)?
            .map_err(|error| on_entry(operation, path, error))
    }

    fn make_with<T>(
        &mut self,
        path: &[u8],
        mut make: impl FnMut(&F, &F::Directory, &[u8]) -> Result<T, Errno>,
    ) -> Result<Result<T, Errno>, SnapshotError> {
        let (filesystem, parent, name) = self.tree.place(path)?;
        let result = make(filesystem, parent, name);
        self.summary.inodes += self.tree.take_made();
        self.summary.inodes += 1;
        if result.as_ref().err() != Some(&Errno::EXIST) {
            return Ok(result);
        }
        self.clear(path)?;
        let (filesystem, parent, name) = self.tree.place(path)?;
        Ok(make(filesystem, parent, name))
    }

    /// Removes what an earlier entry made at `path`.
    fn clear(&mut self, path: &[u8]) -> Result<Cleared, SnapshotError> {
        let cleared = self.tree.clear(path)?;
        self.summary.replaced |= cleared != Cleared::Whiteout;
        self.summary.inodes -= u64::from(cleared == Cleared::Whiteout);
        if cleared == Cleared::Directory {
            // Everything that begins with `path/`: in ASCII, "0" follows the slash.
            let below = [path, b"/"].concat();
            let after = [path, b"0"].concat();
            self.directories.remove(path);
            let gone: Vec<_> = self
                .directories
                .range(below..after)
                .map(|(path, _)| path.clone())
                .collect();
            for path in gone {
                self.directories.remove(&path);
            }
        }
        Ok(cleared)
    }

    fn describe(&mut self, path: &[u8], entry: &Entry) -> Result<(), SnapshotError> {
        let (filesystem, parent, name) = self.tree.place(path)?;
        filesystem.describe_name(parent, name, entry)
    }

    fn count_directory(&mut self) {
        self.summary.inodes += 1 + self.tree.take_made();
        self.summary.bytes += BLOCK;
    }

    /// Gives directories their modes and times.
    fn finish(mut self) -> Result<(F, UnpackSummary), SnapshotError> {
        for (path, attributes) in &self.directories {
            match self.tree.open_directory(path) {
                Ok(directory) => {
                    let done = self.tree.filesystem().complete_directory(&directory, *attributes);
                    done.map_err(|error| on_entry("set the times of", path, error))?;
                }
                // Another entry took its place under another name: through a symbolic link.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(on_entry("open", path, error)),
            }
        }
        self.summary.inodes += self.tree.take_made();
        Ok((self.tree.into_filesystem(), self.summary))
    }
}

#[cfg(test)]
mod tests;
