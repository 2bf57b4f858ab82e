// SPDX-License-Identifier: MIT
//! How a process that is not our child ended: `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT` (Linux 6.15, `linux/pidfd.h`).
//!
//! The kernel keeps the exit status for as long as a pidfd that was opened before the process was reaped stays open.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct pidfd_info` in its first version; later kernels accept and fill the shorter form.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: u32 = 0xC040_FF0B;

/// Returns the exit code of a reaped process (128 + n for signal n), or `None` while it lives or is not reaped.
///
/// # Errors
/// `Unsupported` (or what the `ioctl(2)` says) on kernels without it.
pub fn exit_code(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    const { assert!(size_of::<PidfdInfo>() == 64) };
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: the request number encodes the size of `PidfdInfo`, which is what the pointer refers to.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO.into(), &raw mut info) };
    if result != 0 {
        let error = io::Error::last_os_error();
        // ESRCH: gone from our pid namespace's sight, or not yet reaped by its parent.
        return if error.raw_os_error() == Some(libc::ESRCH) {
            Ok(None)
        } else {
            Err(error)
        };
    }
    if info.mask & PIDFD_INFO_EXIT == 0 {
        return Ok(None);
    }
    Ok(Some(decode(info.exit_code)))
}

/// Translates a wait status (`wait(2)`) into a shell's exit code.
pub fn decode(status: i32) -> i32 {
    match status & 0x7f {
        0 => (status >> 8) & 0xff,
        signal => 128 + signal,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn reaped_processes_keep_their_status() {
        for (script, expected) in [("exit 7", 7), ("kill -9 $$", 137)] {
            let mut child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
            let pid = Pid::from_child(&child);
            let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
            child.wait().unwrap();
            match exit_code(pidfd.as_fd()) {
                Ok(code) => assert_eq!(code, Some(expected)),
                Err(error) => assert!(
                    matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)),
                    "{error}"
                ),
            }
        }
    }
}
