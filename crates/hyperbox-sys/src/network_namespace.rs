// SPDX-License-Identifier: MIT
//! New network namespaces, see network_namespaces(7).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// Moves the calling thread, and no other, into a new network namespace and returns that namespace.
///
/// # Errors
/// What `unshare(2)` says: not privileged, too many namespaces. The thread has not moved then, except when only opening the
/// namespace failed.
pub fn unshare_network() -> io::Result<OwnedFd> {
    // SAFETY: CLONE_NEWNET changes no memory and no file descriptor table; it concerns this thread alone.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    current()
}

/// Returns the network namespace of the calling thread.
///
/// # Errors
/// What `open(2)` says.
pub fn current() -> io::Result<OwnedFd> {
    File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
}
