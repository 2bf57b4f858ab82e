// SPDX-License-Identifier: MIT
//! Directories of writable layers that are made ahead: three new directories cost ten times as much as one that is renamed.
//!
//! A spare is complete, owned by root and of mode 0755, as the top of nearly every image is. They are made by the thread that deletes
//! ([`Trash`](crate::trash::Trash)), when the start that took one is over; none before the first start. Whoever finds none makes his
//! own. They belong to this process: what a crash leaves of them is deleted by the next open.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode};
use rustix::io::Errno;

use crate::trash::random_name;

/// How many there are.
const READY: usize = 4;

/// The mode of a spare's upper directory.
pub(super) const MODE: Mode = Mode::from_raw_mode(0o755);

/// Names inside the directory of a container.
pub(super) const UPPER: &str = "upper";
pub(super) const WORK: &str = "work";

/// The spares of one snapshotter.
#[derive(Debug)]
pub(crate) struct Spares {
    directory: PathBuf,
    ready: Mutex<VecDeque<PathBuf>>,
    wanted: AtomicBool,
}

impl Spares {
    /// Keeps spares in a directory, which exists.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            ready: Mutex::default(),
            wanted: AtomicBool::new(false),
        }
    }

    /// Makes a spare the directory `target`; `false` when there is none, or something is there already. Either way there will be more.
    pub(super) fn give(&self, target: &Path) -> bool {
        self.wanted.store(true, Ordering::Relaxed);
        let Some(spare) = self.lock().pop_front() else {
            return false;
        };
        // One that stays where it is, is deleted by the next open.
        std::fs::rename(spare, target).is_ok()
    }

    /// Makes as many as there should be.
    pub(crate) fn fill(&self) {
        while self.wanted.load(Ordering::Relaxed) && self.lock().len() < READY {
            match self.make() {
                Ok(spare) => self.lock().push_back(spare),
                Err(error) => {
                    tracing::debug!(%error, "cannot make a writable layer ahead");
                    return;
                }
            }
        }
    }

    fn make(&self) -> std::io::Result<PathBuf> {
        let spare = self.directory.join(random_name()?);
        let upper = spare.join(UPPER);
        for path in [&spare, &spare.join(WORK), &upper] {
            rustix::fs::mkdirat(CWD, path, Mode::RWXU)?;
        }
        // Whatever the process's umask is.
        match rustix::fs::chmodat(CWD, &upper, MODE, AtFlags::empty()) {
            Ok(()) => Ok(spare),
            Err(error) => Err(Errno::into(error)),
        }
    }

    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, VecDeque<PathBuf>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_is_given_once_it_is_wanted_and_never_over_another() {
        let directory = tempfile::tempdir().unwrap();
        let ahead = directory.path().join("ahead");
        std::fs::create_dir(&ahead).unwrap();
        let spares = Spares::new(ahead.clone());
        spares.fill();
        assert_eq!(std::fs::read_dir(&ahead).unwrap().count(), 0, "nobody wants any");
        let target = directory.path().join("container");
        assert!(!spares.give(&target) && !target.exists());
        spares.fill();
        assert_eq!(std::fs::read_dir(&ahead).unwrap().count(), READY);
        assert!(spares.give(&target));
        let mode = std::fs::metadata(target.join(UPPER)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert!(target.join(WORK).is_dir());
        // One that has content already stays what it is.
        assert!(!spares.give(&target));
    }
}
