// SPDX-License-Identifier: MIT
//! Processes, users and disks of Unix, for `hb system`.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};

/// Whether a process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// It runs.
    Running,
    /// It does not, or only its exit status is left.
    Gone,
}

/// Looks at a process.
pub(crate) fn process_state(pid: i32) -> ProcessState {
    let Some(process) = Pid::from_raw(pid) else {
        return ProcessState::Gone;
    };
    if test_kill_process(process).is_err_and(|error| error == rustix::io::Errno::SRCH) {
        return ProcessState::Gone;
    }
    // A zombie still has its number: its state is the first letter after the name in parentheses, proc(5).
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    match status
        .rsplit_once(')')
        .map(|(_, rest)| rest.trim_start().starts_with('Z'))
    {
        Some(true) => ProcessState::Gone,
        _ => ProcessState::Running,
    }
}

/// Asks a process to end.
pub(crate) fn ask_to_end(pid: i32) -> io::Result<()> {
    let process = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(kill_process(process, Signal::TERM)?)
}

/// Lets a program not get the signals of our terminal.
pub(crate) fn detach_from_terminal(command: &mut Command) {
    command.process_group(0);
}

/// Lets a program take our place; returns only when it cannot.
///
/// # Errors
/// What execve(2) says.
pub(crate) fn become_program(command: &mut Command) -> io::Result<u8> {
    Err(command.exec())
}

/// Tells whether we are root.
pub(crate) fn is_administrator() -> bool {
    geteuid().is_root()
}

/// Tells whether every user may connect.
pub(crate) fn mode_open_to_others(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o002 != 0
}

/// Returns the free bytes of the filesystem that holds a path.
pub(crate) fn free_space(path: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(path).ok()?;
    status.f_bavail.checked_mul(status.f_frsize)
}

/// Tells what the machine is called.
pub(crate) fn machine_name() -> Option<String> {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().map(str::to_owned)
}
