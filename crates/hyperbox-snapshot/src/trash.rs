// SPDX-License-Identifier: MIT
//! Deleting in the background: what is not wanted any more is renamed into a directory, which a thread empties.
//!
//! A rename makes it invisible at once, whatever its size. There is at most one thread, only while there is something to
//! delete. Dropping the [`Trash`] stops it after the entry it is at and waits for it; the rest is deleted after the next open,
//! as is what a crash left.

use std::ffi::{CString, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::CWD;

/// A directory whose content is being deleted.
#[derive(Debug)]
pub(crate) struct Trash {
    directory: PathBuf,
    stop: Arc<AtomicBool>,
    worker: Mutex<Worker>,
}

#[derive(Debug, Default)]
struct Worker {
    thread: Option<JoinHandle<()>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    again: bool,
}

impl Trash {
    /// Takes over the directory, which exists.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            stop: Arc::default(),
            worker: Mutex::default(),
        }
    }

    /// Moves `path` into the trash; what is not there is fine. Returns whether it was there.
    pub(crate) fn discard(&self, path: &Path) -> io::Result<bool> {
        let target = self.directory.join(random_name()?);
        match std::fs::rename(path, target) {
            Ok(()) => {
                self.empty();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Starts to delete what is in the trash, unless that goes on already.
    pub(crate) fn empty(&self) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = worker.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.again = true;
            if state.running {
                return;
            }
            state.running = true;
        }
        let (directory, stop, state) = (
            self.directory.clone(),
            Arc::clone(&self.stop),
            Arc::clone(&worker.state),
        );
        let thread = std::thread::Builder::new()
            .name("snapshot-trash".to_owned())
            .spawn(move || delete_until_empty(&directory, &stop, &state));
        match thread {
            Ok(thread) => worker.thread = Some(thread),
            Err(error) => {
                worker.state.lock().unwrap_or_else(PoisonError::into_inner).running = false;
                tracing::warn!(%error, "cannot start deleting removed snapshots; the next removal tries again");
            }
        }
    }
}

impl Drop for Trash {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.worker.lock().unwrap_or_else(PoisonError::into_inner).thread.take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that deletes snapshots panicked");
        }
    }
}

fn delete_until_empty(directory: &Path, stop: &AtomicBool, state: &Mutex<State>) {
    loop {
        {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.again || stop.load(Ordering::Relaxed) {
                state.running = false;
                return;
            }
            state.again = false;
        }
        if let Err(error) = delete_content(directory, stop) {
            tracing::warn!(%error, directory = %directory.display(), "cannot delete a removed snapshot");
        }
    }
}

fn delete_content(directory: &Path, stop: &AtomicBool) -> io::Result<()> {
    let parent = hyperbox_sys::tree::open_directory(CWD, directory)?;
    let mut first_error = None;
    for entry in std::fs::read_dir(directory)? {
        let name = CString::new(OsString::into_vec(entry?.file_name()))?;
        let mut go_on = || {
            if stop.load(Ordering::Relaxed) {
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

/// Makes a name that nothing has yet.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
