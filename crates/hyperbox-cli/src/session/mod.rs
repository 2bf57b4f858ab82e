// SPDX-License-Identifier: MIT
//! An attached container or exec: copies input and output, forwards signals and window changes, watches for the keys that
//! detach.
//!
//! The calling thread reads output. Input and signals have a thread each, but only when they are needed; both write through
//! one [`Remote`] behind a lock. They are never joined: they block in reads that only the end of the program interrupts.

mod detach_keys;
mod output;
mod remote;

pub(crate) use detach_keys::DetachKeys;
pub(crate) use output::{OutputEnd, copy_run, copy_upgraded};
pub(crate) use remote::{AttachRemote, ExecRemote, Remote, RunRemote};

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::CliError;
use crate::terminal::{self, RawMode, SignalEvent};

/// What a session connects.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wiring {
    /// Forward standard input.
    pub(crate) stdin: bool,
    /// The other side has a terminal.
    pub(crate) tty: bool,
    /// Forward signals.
    pub(crate) forward_signals: bool,
}

/// A running session.
pub(crate) struct Session {
    detached: Arc<AtomicBool>,
    /// Restores the terminal when the session ends.
    _raw: Option<RawMode>,
}

/// The way to the other side, shared by threads.
type Shared = Arc<Mutex<Box<dyn Remote>>>;

impl Session {
    /// Starts to forward.
    pub(crate) fn start(wiring: Wiring, keys: DetachKeys, remote: Box<dyn Remote>) -> Result<Self, CliError> {
        let remote: Shared = Arc::new(Mutex::new(remote));
        let detached = Arc::new(AtomicBool::new(false));
        let raw = if wiring.tty && wiring.stdin {
            Some(RawMode::enter()?)
        } else {
            None
        };
        if wiring.tty || wiring.forward_signals {
            let remote = Arc::clone(&remote);
            let tty = wiring.tty;
            terminal::watch_signals(wiring.forward_signals, move |event| on_signal(&remote, tty, event))?;
        }
        if wiring.tty {
            // Between the creation and now the window may have changed.
            on_signal(&remote, true, SignalEvent::Resized);
        }
        if wiring.stdin {
            let (remote, detached) = (Arc::clone(&remote), Arc::clone(&detached));
            let keys = wiring.tty.then_some(keys);
            std::thread::Builder::new()
                .name("stdin".to_owned())
                .stack_size(256 * 1024)
                .spawn(move || forward_input(&remote, &detached, keys))?;
        }
        Ok(Self { detached, _raw: raw })
    }

    /// Tells whether the user pressed the keys that detach.
    pub(crate) fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Acquire)
    }
}

fn on_signal(remote: &Shared, tty: bool, event: SignalEvent) {
    let mut remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
    // The other side may have ended: then the reading thread knows.
    match event {
        SignalEvent::Resized if tty => {
            if let Some(size) = terminal::size().filter(|size| size.rows > 0 && size.columns > 0) {
                drop(remote.resize(size));
            }
        }
        SignalEvent::Resized => {}
        SignalEvent::Forward(signal) => drop(remote.signal(signal)),
    }
}

fn forward_input(remote: &Shared, detached: &AtomicBool, mut keys: Option<DetachKeys>) {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let count = match stdin.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) | Ok(0) => break,
            Ok(count) => count,
        };
        let (bytes, detach) = match &mut keys {
            None => (buffer[..count].to_vec(), false),
            Some(keys) => keys.filter(&buffer[..count]),
        };
        let mut remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
        if !bytes.is_empty() && remote.input(&bytes).is_err() {
            return;
        }
        if detach {
            detached.store(true, Ordering::Release);
            remote.detach();
            return;
        }
    }
    drop(remote.lock().unwrap_or_else(PoisonError::into_inner).close_input());
}
