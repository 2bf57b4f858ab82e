// SPDX-License-Identifier: MIT
//! `execve(2)` with everything prepared, and what a process does to itself just before.
//!
//! All functions are usable in the child of [`crate::spawn::spawn`]: none allocates.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A list of C strings, ready for `execve(2)`.
#[derive(Debug)]
pub struct StringArray {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl StringArray {
    /// Takes the strings over.
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([std::ptr::null()])
            .collect();
        Self { strings, pointers }
    }

    /// Returns the strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// Replaces the program of this process; returns only when that failed, and then why.
pub fn execute(path: &CStr, arguments: &StringArray, environment: &StringArray) -> io::Error {
    // SAFETY: both arrays end with a null pointer and point to strings that their owner keeps alive and unmoved.
    unsafe {
        libc::execve(
            path.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    io::Error::last_os_error()
}

/// Closes every descriptor from `first` up. Meant for a process that owns none of them any more in Rust's sense: the child
/// just before it becomes something else.
///
/// # Errors
/// Those of `close_range(2)`.
pub fn close_all_from(first: u32) -> io::Result<()> {
    close_range(first, 0)
}

/// Marks every descriptor from `first` up to be closed by the next successful `execve(2)`.
///
/// # Errors
/// Those of `close_range(2)`.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    close_range(first, CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from 3 up but one. As [`close_all_from`], for a process about to become something else.
///
/// # Errors
/// Those of `close_range(2)`.
pub fn close_all_but(kept: BorrowedFd<'_>) -> io::Result<()> {
    let kept = kept.as_raw_fd().cast_unsigned();
    if kept > 3 {
        // SAFETY: the contract of `close_all_from`.
        if unsafe { libc::syscall(libc::SYS_close_range, 3_u32, kept - 1, 0_u32) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    close_all_from(kept.max(2) + 1)
}

fn close_range(first: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the contract above: the caller gives its descriptors up, or only changes a flag of them.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes `target` (a small number such as 0, 1 or 2) the same open file as `source`, kept across `execve(2)`.
///
/// # Errors
/// Those of `dup3(2)` and `fcntl(2)`.
pub fn duplicate_to(source: BorrowedFd<'_>, target: i32) -> io::Result<()> {
    let source = source.as_raw_fd();
    // SAFETY: replaces a descriptor of this process on purpose; callers use it for the standard streams of a child.
    let result = unsafe {
        if source == target {
            libc::fcntl(target, libc::F_SETFD, 0)
        } else {
            libc::dup3(source, target, 0)
        }
    };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Duplicates a descriptor to the lowest free number from `minimum` up, closed by `execve(2)`.
///
/// # Errors
/// Those of `fcntl(2)`.
pub fn duplicate_above(source: BorrowedFd<'_>, minimum: i32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the kernel answers with a new descriptor, which nothing else owns.
    unsafe {
        match libc::fcntl(source.as_raw_fd(), libc::F_DUPFD_CLOEXEC, minimum) {
            -1 => Err(io::Error::last_os_error()),
            new => Ok(OwnedFd::from_raw_fd(new)),
        }
    }
}

/// Sets the execution domain (`personality(2)`).
///
/// # Errors
/// Those of the system call.
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: changes flags of this process only.
    if unsafe { libc::personality(persona) } == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Returns whether the current directory can be named from the current root. A directory of another mount namespace cannot;
/// the kernel then answers a path that does not start with a slash (`getcwd(2)`).
///
/// # Errors
/// Those of `getcwd(2)`.
pub fn current_directory_is_reachable() -> io::Result<bool> {
    let mut buffer = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most `len` bytes into the live buffer.
    let length = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(buffer[0] == b'/')
}
