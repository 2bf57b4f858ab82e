// SPDX-License-Identifier: MIT
//! `sync_file_range(2)`: starting to write a file's dirty pages before anybody waits for them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Starts to write `length` bytes from `offset` on (0: all there are), and does not wait. A hint: nothing is durable before `fdatasync(2)`.
///
/// # Errors
/// That of `sync_file_range(2)`: `EINVAL` for a range beyond `i64::MAX`, `ESPIPE` for what is no file.
pub fn start(file: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    let number = |value: u64| i64::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let (offset, length) = (number(offset)?, number(length)?);
    // SAFETY: the call takes numbers only; the descriptor is borrowed, so it is open.
    if unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
