// SPDX-License-Identifier: MIT
//! The scaffold: what every container has, whatever its image brings along.
//!
//! Docker puts places for its mounts, and the mark by which programs recognise a container, into a layer between the image and the
//! container, so that they do not count as changes of the container (`docker diff`). Here they lie below the image: one directory
//! for all containers, nothing to be made at their start, and whatever the image has at the same place (a file, a link, the mode
//! of `/etc`) wins.
//!
//! Completing it is idempotent and goes on where an earlier process died; nothing is mounted before it is complete.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

/// Directories, parents first.
const DIRECTORIES: [&str; 7] = ["", "dev", "dev/pts", "dev/shm", "etc", "proc", "sys"];

/// Empty files, with the mode that Docker gives them.
const FILES: [&str; 5] = [
    ".dockerenv",
    "dev/console",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
];

/// Makes what is missing.
pub(super) fn complete(scaffold: &Path) -> io::Result<()> {
    for name in DIRECTORIES {
        let path = scaffold.join(name);
        existing_is_fine(DirBuilder::new().mode(0o755).create(&path))?;
        set_mode(&path)?;
    }
    for name in FILES {
        let path = scaffold.join(name);
        existing_is_fine(File::create_new(&path).map(drop))?;
        set_mode(&path)?;
    }
    existing_is_fine(symlink("/proc/mounts", scaffold.join("etc/mtab")))
}

/// The daemon's umask may have taken bits away.
fn set_mode(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
}

fn existing_is_fine(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let scaffold = directory.path().join("scaffold");
        complete(&scaffold).unwrap();
        std::fs::remove_file(scaffold.join(".dockerenv")).unwrap();
        std::fs::set_permissions(scaffold.join("etc"), PermissionsExt::from_mode(0o700)).unwrap();
        complete(&scaffold).unwrap();
        let mode = |name: &str| std::fs::metadata(scaffold.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(".dockerenv"), mode("etc"), mode("")), (0o755, 0o755, 0o755));
        let link = std::fs::read_link(scaffold.join("etc/mtab")).unwrap();
        assert_eq!(link, Path::new("/proc/mounts"));
    }
}
