// SPDX-License-Identifier: MIT
//! Systems without Unix terminals: nothing is changed and no signal is watched.

use std::io;

use hyperbox_types::Signal;
use hyperbox_types::run::TerminalSize;

/// What a signal means to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalEvent {
    /// The window has a new size.
    Resized,
    /// To be forwarded.
    #[expect(dead_code, reason = "no signal is watched here, but sessions handle all events")]
    Forward(Signal),
}

/// Nothing, on this system.
#[derive(Debug)]
pub(crate) struct RawMode(());

impl RawMode {
    /// Tells that there is no raw mode here.
    pub(crate) fn enter() -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "interactive terminals are not available on this system yet",
        ))
    }
}

/// Reads; what is typed is shown.
pub(crate) fn without_echo<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    read()
}

/// Returns no size.
pub(crate) fn size() -> Option<TerminalSize> {
    None
}

/// Watches nothing.
pub(crate) fn watch_signals(_forward: bool, _handle: impl FnMut(SignalEvent) + Send + 'static) -> io::Result<()> {
    Ok(())
}

/// Whether a process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// It does not.
    Gone,
}

/// Looks at a process: the daemon never runs on this system itself.
pub(crate) fn process_state(_pid: i32) -> ProcessState {
    ProcessState::Gone
}

/// Asks a process to end.
pub(crate) fn ask_to_end(_pid: i32) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Does nothing on this system.
pub(crate) fn detach_from_terminal(_command: &mut std::process::Command) {}

/// Tells nothing on this system.
pub(crate) fn is_administrator() -> bool {
    false
}

/// Tells nothing on this system.
pub(crate) fn mode_open_to_others(_metadata: &std::fs::Metadata) -> bool {
    false
}

/// Returns nothing on this system.
pub(crate) fn free_space(_path: &std::path::Path) -> Option<u64> {
    None
}
