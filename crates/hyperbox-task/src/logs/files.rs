// SPDX-License-Identifier: MIT
//! The files of a rotated log: `PATH.n` … `PATH.1`, `PATH`, oldest first.
//!
//! Rotation renames while we look, so a listing is taken again until the current file is the same before and after. An open
//! file keeps its identity (device and inode) whatever its name becomes.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Renames seen in a row before a listing is taken as it is.
const ATTEMPTS: usize = 8;

/// An open log file.
#[derive(Debug)]
pub(crate) struct LogPart {
    pub(crate) file: File,
    identity: (u64, u64),
}

impl LogPart {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => {
                let metadata = file.metadata()?;
                Ok(Some(Self {
                    file,
                    identity: (metadata.dev(), metadata.ino()),
                }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells whether this is the file of that name now.
    pub(crate) fn is_current(&self, path: &Path) -> bool {
        identity_of(path) == Some(self.identity)
    }
}

/// Opens all files, oldest first.
pub(crate) fn open_all(path: &Path) -> io::Result<Vec<LogPart>> {
    let mut parts = Vec::new();
    for _ in 0..ATTEMPTS {
        let before = identity_of(path);
        parts.clear();
        for index in (0..=oldest(path)?).rev() {
            parts.extend(LogPart::open(&numbered(path, index))?);
        }
        if before == identity_of(path) {
            break;
        }
    }
    Ok(parts)
}

/// Opens the files that are younger than `known`; all of them when it is no longer there.
pub(crate) fn open_younger(path: &Path, known: &LogPart) -> io::Result<Vec<LogPart>> {
    let mut parts = open_all(path)?;
    if let Some(position) = parts.iter().position(|part| part.identity == known.identity) {
        parts.drain(..=position);
    }
    Ok(parts)
}

/// Removes all files.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    for index in (0..=oldest(path)?).rev() {
        match std::fs::remove_file(numbered(path, index)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the name of a rotated file; 0 is the current one.
pub(crate) fn numbered(path: &Path, index: u32) -> PathBuf {
    if index == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{index}"));
    name.into()
}

/// Returns the highest number in use.
fn oldest(path: &Path) -> io::Result<u32> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(0);
    };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        result => result?,
    };
    let mut highest = 0;
    for entry in entries {
        let entry = entry?.file_name();
        let number = entry
            .to_str()
            .and_then(|entry| entry.strip_prefix(name)?.strip_prefix('.')?.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    // Whatever strangers put there must not make us look for four thousand million files.
    Ok(highest.min(10_000))
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path)
        .ok()
        .map(|metadata| (metadata.dev(), metadata.ino()))
}
