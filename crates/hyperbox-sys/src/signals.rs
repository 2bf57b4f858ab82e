// SPDX-License-Identifier: MIT
//! Signal dispositions and masks of a single-threaded supervisor, and `SIGCHLD` as a file descriptor.
//!
//! Masks and ignored signals survive `execve(2)`, so whoever starts a program has to undo them first: [`undisturbed`] does
//! that around a call.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use hyperbox_types::Signal;

/// Signals whose disposition may not be the default: bit 0 is signal 1. All of them until [`reset`], and copied by a fork.
static MAY_DIFFER: AtomicU64 = AtomicU64::new(u64::MAX);

/// The ends of children, as a readable file descriptor (`signalfd(2)`).
#[derive(Debug)]
pub struct ChildSignals {
    descriptor: OwnedFd,
}

impl ChildSignals {
    /// Blocks `SIGCHLD` in this thread and opens the descriptor.
    ///
    /// # Errors
    /// What `signalfd(2)` says.
    pub fn open() -> io::Result<Self> {
        let set = child_signal_set();
        change_mask(libc::SIG_BLOCK, &set)?;
        // SAFETY: `set` is an initialised signal set; -1 asks for a new descriptor.
        let raw = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: signalfd returned a new descriptor that nobody else owns.
            descriptor: unsafe { OwnedFd::from_raw_fd(raw) },
        })
    }

    /// Forgets the signals that are pending. Whoever calls this must then look at all children.
    pub fn clear(&self) {
        let mut buffer = [0; 512];
        while matches!(rustix::io::read(&self.descriptor, &mut buffer), Ok(1..)) {}
    }
}

impl AsFd for ChildSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Gives every signal its default disposition and unblocks all of them. What was reset before, and not changed by this module since,
/// is not touched again: a supervisor installs no handlers behind its back.
///
/// # Errors
/// What `sigprocmask(2)` says.
pub fn reset() -> io::Result<()> {
    for signal in may_differ() {
        // SAFETY: SIG_DFL installs no handler. The calls for SIGKILL, SIGSTOP and the C library's own signals fail, harmlessly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    MAY_DIFFER.store(0, Ordering::Relaxed);
    unblock_all()
}

/// Returns the signals whose disposition may not be the default. Neither allocates nor takes a lock.
pub(crate) fn may_differ() -> impl Iterator<Item = libc::c_int> {
    let bits = MAY_DIFFER.load(Ordering::Relaxed);
    (1..=64).filter(move |signal| bits & (1 << (signal - 1)) != 0)
}

fn ignore(signal: libc::c_int) {
    MAY_DIFFER.fetch_or(1 << (signal - 1), Ordering::Relaxed);
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Ignores the end of children: the kernel reaps them itself (`wait(2)`, NOTES).
pub fn ignore_children() {
    ignore(libc::SIGCHLD);
}

/// Makes a write to a pipe without reader an error instead of a signal.
pub fn ignore_broken_pipes() {
    ignore(libc::SIGPIPE);
}

/// Runs `start`, which starts a program, with no signal blocked, then blocks `SIGCHLD` again.
///
/// A child that ended in between has sent its signal to nobody: look at all children afterwards.
///
/// # Errors
/// What `sigprocmask(2)` says; `start` was not called if the mask could not be cleared.
pub fn undisturbed<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    unblock_all()?;
    let result = start();
    change_mask(libc::SIG_BLOCK, &child_signal_set())?;
    Ok(result)
}

/// Sends any signal, real-time ones included, to the process behind a pidfd.
///
/// # Errors
/// What `pidfd_send_signal(2)` says.
pub fn send(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: a null siginfo pointer is allowed and means that of kill(2); the descriptor is open as it is borrowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal.number(),
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn child_signal_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set, sigaddset gets an initialised one and a valid signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        set.assume_init()
    }
}

fn unblock_all() -> io::Result<()> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set.
    let set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    change_mask(libc::SIG_SETMASK, &set)
}

fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `set` is an initialised signal set; a null pointer for the old mask is allowed.
    match unsafe { libc::pthread_sigmask(how, set, ptr::null_mut()) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
