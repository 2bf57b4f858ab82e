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

/// Calls `handle` each time that the user presses Ctrl-C, on a thread of its own, instead of ending.
pub(crate) fn watch_interrupts(mut handle: impl FnMut() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        while runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            handle();
        }
    });
    Ok(())
}

/// Tells what the machine is called.
pub(crate) fn machine_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok().filter(|name| !name.is_empty())
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

/// Runs a program to its end and returns its exit code: programs cannot be replaced on this system.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn become_program(command: &mut std::process::Command) -> io::Result<u8> {
    let code = command.status()?.code();
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

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
