// SPDX-License-Identifier: MIT
//! Space on disk for what builds read: files without a name, and directories that go with their owner.
//!
//! A crash leaves at most directories, which [`Scratch::open`] removes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, Mode, OFlags};

/// A directory of this machine that is the builder's own.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    root: Arc<PathBuf>,
    next: Arc<AtomicU64>,
}

impl Scratch {
    /// Makes the directory, and removes what a crash left in it.
    ///
    /// # Errors
    /// I/O classes.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        match std::fs::remove_dir_all(root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(root)?;
        rustix::fs::chmod(root, Mode::RWXU)?;
        Ok(Self {
            root: Arc::new(root.to_path_buf()),
            next: Arc::default(),
        })
    }

    /// Makes a file without a name.
    ///
    /// # Errors
    /// I/O classes.
    pub(crate) fn file(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, self.root.as_path(), flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(file))
    }

    /// Makes a directory that is removed with its owner.
    ///
    /// # Errors
    /// I/O classes.
    pub(crate) fn directory(&self) -> io::Result<ScratchDirectory> {
        let path = self.root.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&path)?;
        Ok(ScratchDirectory {
            shown: path.clone(),
            path,
        })
    }
}

/// A directory that goes with its owner.
#[derive(Debug)]
pub(crate) struct ScratchDirectory {
    path: PathBuf,
    shown: PathBuf,
}

impl ScratchDirectory {
    /// Returns what in it matters: the directory itself, unless told otherwise.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Makes something in it the part that matters.
    pub(crate) fn at(mut self, shown: PathBuf) -> Self {
        self.shown = shown;
        self
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a directory of a build stays until the next start");
        }
    }
}
