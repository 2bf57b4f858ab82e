// SPDX-License-Identifier: MIT
//! Writes a file that only its owner may read, completely or not at all.
//!
//! The new content goes into a neighbour file that then takes the name: a crash leaves the old content, and perhaps the neighbour.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Replaces the content of `path`, making its directories, so that only its owner may read it.
///
/// # Errors
/// What the system says about the file or its directories.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        create_private_directory(directory)?;
    }
    // A symbolic link (dotfile managers use them) keeps pointing to the file that changes.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let neighbour = target.with_extension(format!("json.tmp{}", std::process::id()));
    let written = open_private(&neighbour).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let result = written.and_then(|()| fs::rename(&neighbour, &target));
    if result.is_err() {
        drop(fs::remove_file(&neighbour)); // nothing to do about it when even that fails
    }
    result
}

#[cfg(unix)]
fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

#[cfg(unix)]
fn create_private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}
