// SPDX-License-Identifier: MIT
//! Directories of an image.

use super::{Image, InodeInfo, ReadAt, damaged};
use crate::error::ImageError;
use crate::layout::dirent;
use crate::model::Kind;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name; `.` and `..` do not come.
    pub name: Vec<u8>,
    /// The number of its inode.
    pub nid: u64,
    /// What the entry says that the inode is (`EROFS_FT_*`), in the encoding of [`dirent`].
    pub(super) file_type: u8,
}

impl<R: ReadAt> Image<R> {
    /// Reads a directory block by block, and calls `visit` with each entry but `.` and `..`, ascending by names.
    ///
    /// # Errors
    ///
    /// [`ImageError`], also when names do not ascend, since the kernel would not find them then; and the first that `visit` gives.
    pub fn read_directory(
        &self,
        directory: &InodeInfo,
        mut visit: impl FnMut(DirectoryEntry) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        const WHAT: &str = "a directory";
        if directory.kind != Kind::Directory {
            return Err(damaged(WHAT, directory.position, "it is none"));
        }
        if directory.size > self.size {
            return Err(damaged(WHAT, directory.position, "it is longer than the image"));
        }
        let mut last: Vec<u8> = Vec::new();
        for start in (0..directory.size).step_by(1 << self.superblock.block_bits) {
            let bytes = self.read_image_data(directory, start, self.block_size())?;
            let entries = dirent::decode(&bytes).map_err(|reason| damaged(WHAT, directory.position, reason))?;
            for entry in entries {
                if entry.name <= last.as_slice() {
                    return Err(damaged(WHAT, directory.position, "its names do not ascend"));
                }
                last.clear();
                last.extend_from_slice(entry.name);
                if entry.name != b"." && entry.name != b".." {
                    visit(DirectoryEntry {
                        name: entry.name.to_vec(),
                        nid: entry.nid,
                        file_type: entry.file_type,
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Finds an entry by its path from the root, without following links; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`ImageError`].
    pub fn find(&self, path: &[u8]) -> Result<Option<InodeInfo>, ImageError> {
        let mut inode = self.root()?;
        for component in path
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty() && *component != b".")
        {
            if inode.kind != Kind::Directory {
                return Ok(None);
            }
            let mut found = None;
            self.read_directory(&inode, |entry| {
                if entry.name == component {
                    found = Some(entry.nid);
                }
                Ok(())
            })?;
            let Some(nid) = found else {
                return Ok(None);
            };
            inode = self.inode(nid)?;
        }
        Ok(Some(inode))
    }
}
