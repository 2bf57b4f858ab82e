// SPDX-License-Identifier: MIT
//! Signals through process handles, real-time ones included (which `rustix` leaves to the C library's numbering).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use hyperbox_types::Signal;

/// Sends a signal to the process that `pidfd` means.
///
/// # Errors
/// Those of `pidfd_send_signal(2)`; `ESRCH` once it was reaped.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    // SAFETY: a live descriptor, a number, no information and no flags.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal.number(),
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
