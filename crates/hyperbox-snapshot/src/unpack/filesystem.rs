// SPDX-License-Identifier: MIT
//! What a layer is unpacked into: the few operations that deciding needs, with the kernel's error codes as their answers.
//!
//! [`super::disk::Disk`] does them with files. The tree in `crate::index` does them in memory, for a layer whose data stay in its
//! archive. Which entry becomes what, what replaces what and what is refused is decided above, once for both.

use std::io::BufRead;

use hyperbox_core::seam::SnapshotError;
use rustix::io::Errno;

use super::attributes::Attributes;
use crate::archive::{Archive, Device, Entry};

/// What is at a name; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Present {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device 0:0.
    Whiteout,
    /// Something else.
    Other,
}

/// A file without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// A named pipe.
    Fifo,
    /// A character device.
    Character(Device),
    /// A block device.
    Block(Device),
}

/// A tree that is being made. Names hold no slash and are neither `.` nor `..`; what is there already is `EXIST`.
pub(crate) trait Filesystem {
    /// Refers to a directory, whatever its name becomes.
    type Directory;
    /// Refers to a plain file that is being written.
    type File;

    /// Returns the root, for looking.
    fn root(&self) -> &Self::Directory;
    /// Returns the directory at a path, following links as a process does whose root is this tree's. Empty means the root.
    fn resolve(&self, path: &[u8]) -> Result<Self::Directory, Errno>;
    /// Returns the root, for changing.
    fn open_root(&self) -> Result<Self::Directory, Errno>;
    /// Returns a directory, for changing; a link is none.
    fn open_directory(&self, parent: &Self::Directory, name: &[u8]) -> Result<Self::Directory, Errno>;
    /// Tells what is at a name.
    fn kind(&self, parent: &Self::Directory, name: &[u8]) -> Result<Present, Errno>;
    /// Returns the text of a link.
    fn read_link(&self, parent: &Self::Directory, name: &[u8]) -> Result<Vec<u8>, Errno>;
    /// Removes what is at a name, with all that is below it.
    fn remove(&self, parent: &Self::Directory, name: &[u8]) -> Result<(), Errno>;

    /// Makes a directory of the root's user and group.
    fn make_directory(&self, parent: &Self::Directory, name: &[u8]) -> Result<(), Errno>;
    /// Lets everybody look into a directory that no entry describes.
    fn open_to_all(&self, directory: &Self::Directory) -> Result<(), Errno>;
    /// Lets a directory hide what layers below have at its place.
    fn set_opaque(&self, directory: &Self::Directory) -> Result<(), Errno>;
    /// Makes a mark that layers below have nothing at this name.
    fn make_whiteout(&self, parent: &Self::Directory, name: &[u8]) -> Result<(), Errno>;
    /// Makes a symbolic link.
    fn make_symlink(&self, parent: &Self::Directory, name: &[u8], text: &[u8]) -> Result<(), Errno>;
    /// Makes a device or a pipe.
    fn make_special(&self, parent: &Self::Directory, name: &[u8], special: Special) -> Result<(), Errno>;
    /// Gives a file that is no directory another name.
    fn link(
        &self,
        from: &Self::Directory,
        from_name: &[u8],
        parent: &Self::Directory,
        name: &[u8],
    ) -> Result<(), Errno>;
    /// Makes a plain file.
    fn make_file(&self, parent: &Self::Directory, name: &[u8]) -> Result<Self::File, Errno>;

    /// Takes a file's data from the archive; returns how many bytes they are.
    fn fill<R: BufRead>(
        &self,
        file: &Self::File,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<u64, SnapshotError>;
    /// Gives a plain file everything else that its entry says.
    fn describe_file(&self, file: &Self::File, entry: &Entry) -> Result<(), SnapshotError>;
    /// Gives a link, a device or a pipe everything else that its entry says.
    fn describe_name(&self, parent: &Self::Directory, name: &[u8], entry: &Entry) -> Result<(), SnapshotError>;
    /// Gives a directory its owner and extended attributes.
    fn describe_directory(&self, directory: &Self::Directory, entry: &Entry) -> Result<(), SnapshotError>;
    /// Gives a directory whose content is complete its mode and times.
    fn complete_directory(&self, directory: &Self::Directory, attributes: Attributes) -> Result<(), Errno>;
}
