// SPDX-License-Identifier: MIT
//! `ioprio_set(2)`: when a thread's requests to disks are served.

use std::io;

/// `IOPRIO_WHO_PROCESS` of `linux/ioprio.h`.
const WHO_PROCESS: libc::c_int = 1;
/// `IOPRIO_CLASS_IDLE`, in the bits of the class.
const CLASS_IDLE: libc::c_int = 3 << 13;

/// Lets the disk serve the calling thread only when nobody else asks. Schedulers that know no priorities ignore it.
///
/// # Errors
/// That of `ioprio_set(2)`.
pub fn idle_disk() -> io::Result<()> {
    // SAFETY: the call takes numbers only; 0 means the calling thread.
    if unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
