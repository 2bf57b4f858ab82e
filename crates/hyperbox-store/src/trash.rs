// SPDX-License-Identifier: MIT
//! Deleting files in the background: what is not wanted any more is renamed into a directory, which a thread empties.
//!
//! The rename makes a blob invisible at once; giving back the blocks of a large one takes the filesystem its time. There is at most
//! one thread, only while there is something to delete. Dropping the [`Trash`] stops it after the file it is at and waits for it; the
//! rest, and what a crash left, is deleted after the next open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A directory whose files are being deleted.
#[derive(Debug)]
pub(crate) struct Trash {
    directory: PathBuf,
    state: Arc<Mutex<State>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// Something came after the thread listed the directory.
    again: bool,
    stopped: bool,
}

impl Trash {
    /// Takes over the directory, which exists.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            state: Arc::default(),
            thread: Mutex::default(),
        }
    }

    /// Moves a file into the trash; what is not there is fine.
    ///
    /// # Errors
    /// That of the rename.
    pub(crate) fn discard(&self, path: &Path) -> io::Result<()> {
        match std::fs::rename(path, self.directory.join(crate::random::name()?)) {
            Ok(()) => {
                self.empty();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells whether something is being deleted.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.state).running
    }

    /// Starts to delete what is in the trash, unless that goes on already.
    pub(crate) fn empty(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = lock(&self.state);
            state.again = true;
            if std::mem::replace(&mut state.running, true) {
                return;
            }
        }
        let (directory, state) = (self.directory.clone(), Arc::clone(&self.state));
        let started = std::thread::Builder::new()
            .name("content-trash".to_owned())
            .spawn(move || delete_until_empty(&directory, &state));
        match started {
            Ok(handle) => *thread = Some(handle),
            Err(error) => {
                lock(&self.state).running = false;
                tracing::warn!(%error, "cannot start deleting removed blobs; the next removal tries again");
            }
        }
    }
}

impl Drop for Trash {
    fn drop(&mut self) {
        lock(&self.state).stopped = true;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that deletes blobs panicked");
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn delete_until_empty(directory: &Path, state: &Mutex<State>) {
    loop {
        {
            let mut state = lock(state);
            if state.stopped || !std::mem::take(&mut state.again) {
                state.running = false;
                return;
            }
        }
        if let Err(error) = delete_files(directory, state) {
            tracing::warn!(%error, directory = %directory.display(), "cannot delete a removed blob");
        }
    }
}

fn delete_files(directory: &Path, state: &Mutex<State>) -> io::Result<()> {
    let mut first_error = None;
    for entry in std::fs::read_dir(directory)? {
        if lock(state).stopped {
            break;
        }
        if let Err(error) = std::fs::remove_file(entry?.path()) {
            first_error = first_error.or(Some(error));
        }
    }
    first_error.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_discarded_is_gone_at_once_and_deleted_soon() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("trash");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("left by a crash"), "x").unwrap();
        let trash = Trash::new(directory.clone());
        for number in 0..100 {
            let path = root.path().join(number.to_string());
            std::fs::write(&path, "x").unwrap();
            trash.discard(&path).unwrap();
            assert!(!path.exists());
        }
        trash.discard(&root.path().join("none")).unwrap();
        hyperbox_testkit::wait_for("an empty trash", || {
            match std::fs::read_dir(&directory).unwrap().count() {
                0 => Ok(()),
                count => Err(format!("{count} files")),
            }
        });
    }
}
