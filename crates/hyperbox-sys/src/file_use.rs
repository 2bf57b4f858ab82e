// SPDX-License-Identifier: MIT
//! Whether a file is open anywhere else, by trying a lease on it (`F_SETLEASE`, fcntl(2)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Tells whether another open file description than the given one (which must be read-only) means the same file: one of a process, or
/// one that the kernel holds, such as that of a filesystem mounted from the file. A write lease is granted to nobody else than the only
/// user (`check_conflicting_open()` in `fs/locks.c`); it is given back at once.
///
/// # Errors
/// That of `fcntl(2)`, such as `EINVAL` from filesystems without leases: then nothing is known.
pub fn is_open_elsewhere(file: BorrowedFd<'_>) -> io::Result<bool> {
    match set_lease(file, libc::F_WRLCK) {
        Ok(()) => set_lease(file, libc::F_UNLCK).map(|()| false),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(true),
        Err(error) => Err(error),
    }
}

fn set_lease(file: BorrowedFd<'_>, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: the call takes numbers only; the descriptor is borrowed, so it is open.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_second_description_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let file = File::open(&path).unwrap();
        assert!(!is_open_elsewhere(file.as_fd()).unwrap());
        let second = File::open(&path).unwrap();
        assert!(is_open_elsewhere(file.as_fd()).unwrap());
        drop(second);
        assert!(!is_open_elsewhere(file.as_fd()).unwrap());
    }
}
