// SPDX-License-Identifier: MIT
//! `cachestat(2)` (Linux 6.5): how much of a file is in the page cache.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Its number is the same on all architectures (`include/uapi/asm-generic/unistd.h`).
const SYS_CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range` of `linux/mman.h`; a length of 0 reaches to the end.
#[repr(C)]
struct Range {
    offset: u64,
    length: u64,
}

/// `struct cachestat` of `linux/mman.h`.
#[repr(C)]
#[derive(Default)]
struct Statistics {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Returns how many bytes of the file are cached, in whole pages. A moment later it may be more or less.
///
/// # Errors
/// That of `cachestat(2)`: `ENOSYS` before Linux 6.5, `EPERM` for a file that the caller may not write and does not own.
pub fn cached(file: BorrowedFd<'_>) -> io::Result<u64> {
    let range = Range { offset: 0, length: 0 };
    let mut statistics = Statistics::default();
    // SAFETY: both structures have the kernel's layout and live as long as the call, which reads the first and writes the second; the
    // descriptor is borrowed, so it is open.
    let result = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            &raw const range,
            &raw mut statistics,
            0,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call takes and gives numbers only.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(statistics
        .cached
        .saturating_mul(u64::try_from(page).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_was_just_written_is_cached() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![1; 100_000]).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        match cached(file.as_fd()) {
            Ok(bytes) => assert!(bytes >= 100_000, "{bytes}"),
            // Before Linux 6.5, and where a filter of system calls does not know it.
            Err(error) => assert!(
                matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)),
                "{error}"
            ),
        }
    }
}
