// SPDX-License-Identifier: MIT
//! Deleting in the background: what is not wanted any more is renamed into a directory, which a thread empties.
//!
//! A rename makes it invisible at once, whatever its size. There is at most one thread; it begins when it is quiet, so that the end
//! of a container does not share its processors with the deletion, and ends after [`LINGER`] without anything to delete. Dropping the
//! [`Trash`] stops it after the entry it is at and waits for it; the rest is deleted after the next open, as is what a crash left.

use std::ffi::{CString, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::CWD;

/// How long what is discarded waits: by then whatever it belonged to has ended for its user.
const QUIET: Duration = Duration::from_millis(25);
/// How long the thread waits for more.
const LINGER: Duration = Duration::from_secs(5);

/// A directory whose content is being deleted.
#[derive(Debug)]
pub(crate) struct Trash {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    directory: PathBuf,
    chore: Chore,
    state: Mutex<State>,
    changed: Condvar,
}

/// What else the thread does each time.
type Chore = Box<dyn Fn() + Send + Sync>;

#[derive(Debug, Default)]
struct State {
    /// The thread looks at this state again before it ends.
    running: bool,
    /// Something was discarded, at that time.
    wanted: Option<Instant>,
    stop: bool,
}

impl Trash {
    /// Takes over the directory, which exists. The thread does `chore` after each time that something was to be deleted.
    pub(crate) fn new(directory: PathBuf, chore: Chore) -> Self {
        Self {
            shared: Arc::new(Shared {
                directory,
                chore,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            thread: Mutex::default(),
        }
    }

    /// Moves `path` into the trash; what is not there is fine. Returns whether it was there.
    pub(crate) fn discard(&self, path: &Path) -> io::Result<bool> {
        let target = self.shared.directory.join(random_name()?);
        match std::fs::rename(path, target) {
            Ok(()) => {
                self.empty();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has what is in the trash deleted.
    pub(crate) fn empty(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.shared.lock();
        state.wanted.get_or_insert_with(Instant::now);
        if std::mem::replace(&mut state.running, true) {
            drop(state);
            self.shared.changed.notify_one();
            return;
        }
        drop(state);
        let shared = Arc::clone(&self.shared);
        let started = std::thread::Builder::new()
            .name("snapshot-trash".to_owned())
            .spawn(move || shared.run());
        match started {
            Ok(started) => *thread = Some(started),
            Err(error) => {
                self.shared.lock().running = false;
                tracing::warn!(%error, "cannot start deleting removed snapshots; the next removal tries again");
            }
        }
    }
}

impl Drop for Trash {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that deletes snapshots panicked");
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Shared")
            .field("directory", &self.directory)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: deletes until nothing was wanted for a while.
    fn run(&self) {
        let mut state = self.lock();
        let mut idle_since = Instant::now();
        while !state.stop {
            let (from, patience) = match state.wanted {
                Some(since) => (since, QUIET),
                None => (idle_since, LINGER),
            };
            if let Some(rest) = patience.checked_sub(from.elapsed()).filter(|rest| !rest.is_zero()) {
                let waited = self.changed.wait_timeout(state, rest);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            if state.wanted.take().is_none() {
                break;
            }
            drop(state);
            if let Err(error) = self.delete_content() {
                tracing::warn!(%error, directory = %self.directory.display(), "cannot delete a removed snapshot");
            }
            (self.chore)();
            idle_since = Instant::now();
            state = self.lock();
        }
        state.running = false;
    }

    fn delete_content(&self) -> io::Result<()> {
        let parent = hyperbox_sys::tree::open_directory(CWD, &self.directory)?;
        let mut first_error = None;
        for entry in std::fs::read_dir(&self.directory)? {
            let name = CString::new(OsString::into_vec(entry?.file_name()))?;
            let mut go_on = || {
                if self.lock().stop {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            match hyperbox_sys::tree::remove(&parent, &name, &mut go_on) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// Makes a name that nothing has yet.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
