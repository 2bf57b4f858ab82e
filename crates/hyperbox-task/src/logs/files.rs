// SPDX-License-Identifier: MIT
//! The files of a rotated log: `PATH.n` … `PATH.1`, `PATH`, oldest first; the rotated ones may be compressed, `PATH.n.gz`.
//!
//! Rotation renames while we look, so a listing is taken again until the current file is the same before and after. A file that was
//! just compressed is there in both forms for a moment, which count as one; it is never in none.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::part::{LogPart, identity_of};

/// Renames seen in a row before a listing is taken as it is.
const ATTEMPTS: usize = 8;

/// Opens all files, oldest first.
pub(crate) fn open_all(path: &Path) -> io::Result<Vec<LogPart>> {
    let mut parts = Vec::new();
    for _ in 0..ATTEMPTS {
        let before = identity_of(path);
        parts.clear();
        for index in (0..=oldest(path)?).rev() {
            let name = numbered(path, index);
            parts.extend(match LogPart::open(&name)? {
                None if index > 0 => LogPart::open_compressed(&compressed(&name))?,
                part => part,
            });
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
    // The youngest: the inode of an older file may have been given again, while that of the known one cannot.
    if let Some(position) = parts.iter().rposition(|part| part.has_entries_of(known)) {
        parts.drain(..=position);
    }
    Ok(parts)
}

/// Removes all files.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    for index in (0..=oldest(path)?).rev() {
        let name = numbered(path, index);
        for file in [with_suffix(&name, ".gz.part"), compressed(&name), name] {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Returns the name of a rotated file; 0 is the current one.
pub(crate) fn numbered(path: &Path, index: u32) -> PathBuf {
    if index == 0 {
        return path.to_owned();
    }
    with_suffix(path, &format!(".{index}"))
}

/// Returns the name of a rotated file that is compressed.
pub(crate) fn compressed(rotated: &Path) -> PathBuf {
    with_suffix(rotated, ".gz")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
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
            .and_then(|entry| entry.strip_prefix(name)?.strip_prefix('.'))
            .and_then(|rest| {
                let number = rest.strip_suffix(".gz.part").or_else(|| rest.strip_suffix(".gz"));
                number.unwrap_or(rest).parse().ok()
            });
        highest = highest.max(number.unwrap_or(0));
    }
    // Whatever strangers put there must not make us look for four thousand million files.
    Ok(highest.min(10_000))
}
