// SPDX-License-Identifier: MIT
//! A little disk space kept for the moment when there is none.
//!
//! Whoever wants to make room on a full disk removes containers and images, and that has to be recorded. So a file of [`SIZE`]
//! bytes lies beside the database; when a write finds the disk full the file is given up and the write tried again. It is made
//! anew once there is plenty of space. Losing it at any moment harms nothing.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Enough for hundreds of removals: a transaction of the log is a few pages.
const SIZE: u64 = 2 << 20;
/// The reserve is made anew when so many bytes are free.
const PLENTY: u64 = 8 * SIZE;

/// The kept space.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    there: AtomicBool,
}

impl Reserve {
    /// Keeps space beside a database, if there is any.
    pub(super) fn open(database: &Path) -> Self {
        let mut path = database.to_path_buf().into_os_string();
        path.push("-reserve");
        let reserve = Self {
            path: path.into(),
            there: AtomicBool::new(false),
        };
        reserve.there.store(reserve.is_complete(), Ordering::Relaxed);
        reserve.keep();
        reserve
    }

    /// Gives the space up; tells whether there was any.
    pub(super) fn give(&self) -> bool {
        self.there.swap(false, Ordering::Relaxed) && std::fs::remove_file(&self.path).is_ok()
    }

    /// Keeps space again when it was given up and there is plenty. Costs nothing while it is there.
    pub(super) fn keep(&self) {
        if self.there.load(Ordering::Relaxed) || !self.is_plenty() {
            return;
        }
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.path)
            .is_ok_and(|file| fallocate(file, FallocateFlags::empty(), 0, SIZE).is_ok());
        if !made {
            // A part of it, or a filesystem that cannot promise space: neither is worth keeping.
            drop(std::fs::remove_file(&self.path));
        }
        self.there.store(made, Ordering::Relaxed);
    }

    fn is_complete(&self) -> bool {
        File::open(&self.path)
            .and_then(|file| file.metadata())
            .is_ok_and(|metadata| metadata.len() == SIZE)
    }

    fn is_plenty(&self) -> bool {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        statvfs(directory).is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) >= PLENTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_once_and_kept_again() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(&directory.path().join("db"));
        let file = directory.path().join("db-reserve");
        assert_eq!(file.metadata().unwrap().len(), SIZE);
        assert!(reserve.give());
        assert!(!file.exists() && !reserve.give());
        reserve.keep();
        assert!(file.exists());
        let again = Reserve::open(&directory.path().join("db"));
        assert!(again.give());
    }
}
