// SPDX-License-Identifier: MIT
//! `clone3(2)`: a child in new namespaces and in its cgroup from its first instruction on.
//!
//! The child is a copy of the process (no `CLONE_VM`), so it may use everything the parent prepared. When the parent has
//! other threads, locks they hold stay locked in the child for ever; the child must therefore neither allocate nor take a lock
//! before it replaces itself by [`crate::execute::execute`] or returns its exit code. Nothing of the C library that relies on
//! its thread bookkeeping (`setuid`, `fork` handlers) may be called.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// New namespaces for a child, as `CLONE_NEW*` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewNamespaces(u64);

impl NewNamespaces {
    /// Mount points.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    /// Host name and domain name.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// System V objects and POSIX message queues.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    /// Users and capabilities.
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u64);
    /// Process ids.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    /// Network stack.
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET as u64);
    /// View of the cgroup hierarchies. For [`unshare`]; a clone would take the parent's cgroup as its root.
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
    /// Offsets of the monotonic clocks. For [`unshare`] only: the bit means something else to `clone`.
    pub const TIME: Self = Self(0x80);

    /// Returns whether all bits of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns these and those of `other`.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns these without those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the `CLONE_NEW*` bits.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// A child that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id in the caller's pid namespace.
    pub pid: u32,
    /// A handle that never means another process.
    pub pidfd: OwnedFd,
    /// Whether it was born in the wished cgroup; otherwise it is in the parent's.
    pub in_cgroup: bool,
}

/// `struct clone_args` of `linux/sched.h`.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts a child in new namespaces and, where the kernel can (5.7), directly in a version-2 cgroup.
///
/// `child` runs in the child with all signals at their default action and none blocked; what it returns is the exit code. See
/// the module for what it may do.
///
/// # Errors
/// Those of `clone3(2)`. No child exists then.
pub fn spawn(
    namespaces: NewNamespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> u8,
) -> io::Result<Spawned> {
    let mut pidfd: libc::c_int = -1;
    let before = crate::spawn::block_signals()?;
    let mut in_cgroup = cgroup.is_some();
    let mut result = clone3(namespaces, cgroup, &raw mut pidfd);
    if let (Err(error), true) = (&result, cgroup.is_some())
        && matches!(
            error.raw_os_error(),
            Some(libc::EINVAL | libc::E2BIG | libc::EOPNOTSUPP | libc::EBADF | libc::EACCES | libc::EBUSY)
        )
    {
        in_cgroup = false;
        result = clone3(namespaces, None, &raw mut pidfd);
    }
    if result
        .as_ref()
        .is_err_and(|error| matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)))
    {
        in_cgroup = false;
        result = clone(namespaces, &raw mut pidfd);
    }
    match result {
        Ok(0) => {
            reset_signals();
            let code = child();
            // SAFETY: ends this process without running the parent's exit handlers, which a copy of it must not run.
            unsafe { libc::_exit(i32::from(code)) }
        }
        other => {
            restore_signals(&before);
            let pid = other?;
            Ok(Spawned {
                pid,
                // SAFETY: the kernel stored a new descriptor there, which nothing else owns.
                pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
                in_cgroup,
            })
        }
    }
}

fn clone3(namespaces: NewNamespaces, cgroup: Option<BorrowedFd<'_>>, pidfd: *mut libc::c_int) -> io::Result<u32> {
    let mut arguments = CloneArguments {
        flags: namespaces.0 | libc::CLONE_PIDFD as u64,
        pidfd: pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the structure has the kernel's layout and size; without CLONE_VM the child works on its own copy of this stack,
    // so returning twice is sound as it is for fork(2). `pidfd` points to a live integer of the caller.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>()) };
    process_id(result)
}

/// For kernels and filters without `clone3`.
fn clone(namespaces: NewNamespaces, pidfd: *mut libc::c_int) -> io::Result<u32> {
    let flags = namespaces.0 | libc::CLONE_PIDFD as u64 | libc::SIGCHLD as u64;
    // SAFETY: as for clone3. With CLONE_PIDFD the third argument (parent_tid) receives the descriptor on every architecture.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, pidfd, 0_usize, 0_usize) };
    process_id(result)
}

fn process_id(result: libc::c_long) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Moves the calling thread into new namespaces. The child of a [`spawn`] uses it for what `clone` cannot do.
///
/// # Errors
/// Those of `unshare(2)`.
pub fn unshare(namespaces: NewNamespaces) -> io::Result<()> {
    let flags = libc::c_int::try_from(namespaces.0).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: only namespace bits can be in the flags, so no memory and no descriptor table is unshared.
    if unsafe { libc::unshare(flags) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Blocks all signals, so that no handler of the parent runs in a child; returns the previous mask.
fn block_signals() -> io::Result<libc::sigset_t> {
    // SAFETY: a signal set is plain bits, and both pointers are to live sets.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        let mut before = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) {
            0 => Ok(before),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: the mask came from the same call; failure is impossible with a valid `how`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

/// Gives every signal its default action and blocks none: what a new program expects (`execve(2)` keeps ignored ones ignored).
fn reset_signals() {
    // SAFETY: only sets dispositions of this single-threaded process; the structures are live and initialised. Signals that
    // cannot be changed answer EINVAL, which is what we want.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in crate::signals::may_differ() {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use std::os::fd::AsFd;

    #[test]
    fn child_returns_its_code() {
        let child = spawn(NewNamespaces::default(), None, || 42).unwrap();
        let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
        assert_eq!(status.and_then(|status| status.exit_status()), Some(42));
    }
}
