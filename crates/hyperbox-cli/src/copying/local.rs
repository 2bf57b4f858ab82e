// SPDX-License-Identifier: MIT
//! Archives of local files, made and unpacked.
//!
//! What comes from a container is hostile: no name and no link in an archive leads out of the directory that it is unpacked into.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::place::renamed;
use crate::error::CliError;

/// Writes a file, or a directory with everything below it, as an archive whose names begin with `name`.
pub(crate) fn pack(source: &Path, name: &str, out: impl Write) -> io::Result<()> {
    let mut builder = tar::Builder::new(out);
    builder.follow_symlinks(false);
    let metadata = fs::symlink_metadata(source)?;
    if metadata.is_dir() {
        builder.append_dir_all(name, source)?;
    } else {
        builder.append_path_with_name(source, name)?;
    }
    builder.into_inner()?.flush()
}

/// Unpacks an archive into an existing directory, its names beginning with `rename` instead of `old`.
pub(crate) fn unpack(stream: &mut dyn Read, directory: &Path, old: &str, rename: Option<&str>) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::new(error.to_string());
    let root = fs::canonicalize(directory).map_err(failed)?;
    let mut archive = tar::Archive::new(stream);
    let mut directories = Vec::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        entry.set_preserve_permissions(true);
        entry.set_preserve_mtime(true);
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = renamed(name.trim_end_matches('/'), old, rename);
        let Some(target) = inside(&root, &name).map_err(failed)? else {
            return Err(CliError::new(format!("invalid entry name {name:?}")));
        };
        let is_directory = entry.header().entry_type().is_dir();
        if let Ok(there) = fs::symlink_metadata(&target) {
            let (old, new) = if there.is_dir() {
                ("directory", "non-directory")
            } else {
                ("non-directory", "directory")
            };
            if there.is_dir() != is_directory {
                let (target, root) = (target.display().to_string(), root.display().to_string());
                return Err(CliError::new(format!(
                    "cannot overwrite {old} {target:?} with {new} {root:?}"
                )));
            }
        }
        if entry.header().entry_type().is_hard_link() {
            let link = String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned();
            let Some(link) = inside(&root, &renamed(&link, old, rename)).map_err(failed)? else {
                return Err(CliError::new(format!("invalid hard link {name:?}")));
            };
            // A link that cannot be made here becomes a copy.
            fs::hard_link(&link, &target)
                .or_else(|_| fs::copy(&link, &target).map(drop))
                .map_err(failed)?;
        } else if is_directory {
            if !target.is_dir() {
                fs::create_dir_all(&target).map_err(failed)?;
            }
            // Modes at the end: a directory that refuses writes could not be filled.
            directories.push((target, entry.header().mode().unwrap_or(0o755)));
        } else {
            entry.unpack(&target).map_err(failed)?;
        }
    }
    for (directory, mode) in directories.into_iter().rev() {
        set_mode(&directory, mode).map_err(failed)?;
    }
    Ok(())
}

/// Returns where a name is below `root`; `None` when it leads out, by itself or by a link that is there.
fn inside(root: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    let mut target = root.to_path_buf();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return Ok(None),
            part => target.push(part),
        }
    }
    if target == root {
        return Ok(Some(target));
    }
    let Some(parent) = target.parent() else {
        return Ok(None);
    };
    if !parent.exists() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::canonicalize(parent)?.starts_with(root).then_some(target))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let outside = tempfile::tempdir().expect("temporary directory");
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        builder.append_link(&mut header, "d", outside.path()).expect("link");
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        header.set_mode(0o644);
        builder.append_data(&mut header, "d/f", &b"x"[..]).expect("file");
        let bytes = builder.into_inner().expect("archive");
        assert!(unpack(&mut bytes.as_slice(), directory.path(), "d", None).is_err());
        assert!(fs::read_dir(outside.path()).expect("readable").next().is_none());
    }

    #[test]
    fn names_are_replaced() {
        let source = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(source.path().join("s")).expect("directory");
        fs::write(source.path().join("s/f"), "content").expect("file");
        let mut bytes = Vec::new();
        pack(&source.path().join("s"), "s", &mut bytes).expect("archive");
        let target = tempfile::tempdir().expect("temporary directory");
        unpack(&mut bytes.as_slice(), target.path(), "s", Some("t")).expect("unpacked");
        assert_eq!(fs::read_to_string(target.path().join("t/f")).expect("there"), "content");
    }
}
