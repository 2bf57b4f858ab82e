// SPDX-License-Identifier: MIT
//! Terminals and signals of Unix.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use hyperbox_types::Signal;
use hyperbox_types::run::TerminalSize;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::signal;
use signal_hook::iterator::Signals;

/// The settings of standard input before it was changed.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// What a signal means to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalEvent {
    /// The window has a new size.
    Resized,
    /// To be forwarded.
    Forward(Signal),
}

/// What is forwarded. Docker's list without what the terminal sends to background jobs (`TTIN`, `TTOU`): a client that
/// catches those reads in an endless loop.
const FORWARDED: &[i32] = &[
    signal::SIGHUP,
    signal::SIGINT,
    signal::SIGQUIT,
    signal::SIGTRAP,
    signal::SIGABRT,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGALRM,
    signal::SIGTERM,
    signal::SIGCONT,
    signal::SIGTSTP,
    signal::SIGXCPU,
    signal::SIGXFSZ,
    signal::SIGVTALRM,
    signal::SIGPROF,
    signal::SIGIO,
];

/// What ends the program when it is not forwarded.
const ENDING: &[i32] = &[signal::SIGHUP, signal::SIGINT, signal::SIGQUIT, signal::SIGTERM];

/// Standard input in raw mode, as long as this lives.
#[derive(Debug)]
pub(crate) struct RawMode(());

impl RawMode {
    /// Switches standard input to raw mode.
    pub(crate) fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let guard = Self(());
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(guard)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back to what it was.
fn restore() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(saved) = saved {
        // The terminal may be gone; there is nothing left to restore then.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &saved);
    }
}

/// Reads with `read` while the terminal does not show what is typed.
pub(crate) fn without_echo<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return read();
    }
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    let _guard = RawMode(());
    tcsetattr(&stdin, OptionalActions::Now, &silent)?;
    watch_signals(false, |_| {})?;
    read()
}

/// Returns the size of the terminal that shows our output.
pub(crate) fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin())).ok()?;
    Some(TerminalSize {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// Handles signals on a thread of their own: changes of the window and, with `forward`, what the container shall get. Without
/// `forward`, a signal that ends the program restores the terminal first.
pub(crate) fn watch_signals(forward: bool, mut handle: impl FnMut(SignalEvent) + Send + 'static) -> io::Result<()> {
    let numbers = [signal::SIGWINCH]
        .iter()
        .chain(if forward { FORWARDED } else { ENDING });
    let mut signals = Signals::new(numbers)?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(128 * 1024)
        .spawn(move || {
            for number in signals.forever() {
                if number == signal::SIGWINCH {
                    handle(SignalEvent::Resized);
                } else if !forward {
                    restore();
                    // Ends the program with this very signal, so that the parent sees the truth.
                    drop(signal_hook::low_level::emulate_default_handler(number));
                } else if let Ok(signal) = Signal::try_from(number) {
                    handle(SignalEvent::Forward(signal));
                }
            }
        })?;
    Ok(())
}

/// Calls `handle` for each signal that asks the program to end, on a thread of its own, instead of ending.
pub(crate) fn watch_interrupts(mut handle: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([signal::SIGINT, signal::SIGTERM, signal::SIGHUP])?;
    std::thread::Builder::new()
        .name("interrupts".to_owned())
        .stack_size(128 * 1024)
        .spawn(move || {
            for _ in signals.forever() {
                handle();
            }
        })?;
    Ok(())
}
