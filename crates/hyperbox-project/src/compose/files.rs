// SPDX-License-Identifier: MIT
//! How files are read: the one thing that loading asks of the world.

use std::io;
use std::path::Path;

/// Reads the files that a project consists of.
///
/// Implementations may be called for any path that a Compose file names, also outside the project's folder: it is the user who wrote it.
/// They must not block for ever on what is no regular file.
pub trait Files {
    /// The whole text of a file.
    ///
    /// # Errors
    /// Of the kinds of [`io::ErrorKind`]; `InvalidData` when it is not UTF-8.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Whether there is a regular file at the path.
    fn is_file(&self, path: &Path) -> bool;

    /// The names of what is in a directory, in no order. Who cannot list says that there is nothing.
    ///
    /// # Errors
    /// Of the kinds of [`io::ErrorKind`].
    fn names(&self, _directory: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

/// Larger files are no Compose files; reading stops there.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        use std::io::Read as _;
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        let length = usize::try_from(metadata.len().min(MAX_BYTES)).unwrap_or_default();
        // Room for the end of the file, too, which is read as well.
        let mut text = String::with_capacity(length + 64);
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        if u64::try_from(read).unwrap_or(u64::MAX) > MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 16 MiB"));
        }
        Ok(text)
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}
