// SPDX-License-Identifier: MIT
//! The smallest init: pid 1 of a container that runs one command, passes signals on to it and reaps orphans.
//!
//! All signals stay blocked and are taken with `sigwaitinfo(2)`: a blocked signal is never ignored, although the kernel ignores
//! signals without a handler for pid 1 (`pid_namespaces(7)`). The loop allocates nothing.

use std::io;
use std::os::fd::BorrowedFd;

use crate::execute::close_all_from;
use crate::spawn::{NewNamespaces, spawn};

/// Runs `command` in a child, and ends with what this process should exit with: the command's exit code, or 128 + n when
/// signal n killed it. All descriptors but the standard streams are closed in this process.
///
/// # Errors
/// Those of the clone.
pub fn supervise(command: impl FnOnce() -> u8) -> io::Result<u8> {
    let signals = block_all();
    // SAFETY: sets an attribute of this process; orphans come here also when it is not the first of its pid namespace.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    let child = spawn(NewNamespaces::default(), None, command)?;
    let pid = child.pid.cast_signed();
    // The descriptor goes with all the others.
    std::mem::forget(child);
    close_all_from(3)?;
    loop {
        // SAFETY: waits for one of the blocked signals; no information is asked for.
        let signal = unsafe { libc::sigwaitinfo(&raw const signals, std::ptr::null_mut()) };
        if signal == libc::SIGCHLD {
            if let Some(code) = reap(pid) {
                return Ok(code);
            }
        } else if signal > 0 {
            // SAFETY: the child is not reaped yet, so its number means no other process. It may be a zombie: no harm.
            unsafe { libc::kill(pid, signal) };
        }
    }
}

fn block_all() -> libc::sigset_t {
    // SAFETY: a signal set is plain bits; the calls only fill it and set this thread's mask.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        all
    }
}

/// Collects every ended child; returns the exit code once `command` is among them.
fn reap(command: libc::pid_t) -> Option<u8> {
    let mut code = None;
    loop {
        let mut status = 0;
        // SAFETY: `status` is a live integer.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid <= 0 {
            return code;
        }
        if pid == command {
            let number = if libc::WIFSIGNALED(status) {
                128 + libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            };
            code = Some(u8::try_from(number).unwrap_or(u8::MAX));
        }
    }
}

/// Makes this process a process group of its own and, when `terminal` is its controlling terminal, the foreground one, so that
/// keys like Ctrl-C reach it alone and not its init too.
pub fn take_foreground(terminal: BorrowedFd<'_>) {
    use std::os::fd::AsRawFd;
    // SAFETY: changes only this process's group and signal mask; errors (no terminal) leave things as they are. SIGTTOU is
    // blocked because a background group that calls tcsetpgrp would be stopped by it (`tcsetpgrp(3)`).
    unsafe {
        libc::setpgid(0, 0);
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::tcsetpgrp(terminal.as_raw_fd(), libc::getpgrp());
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}
