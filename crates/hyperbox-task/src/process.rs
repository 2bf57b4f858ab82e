// SPDX-License-Identifier: MIT
//! Processes that are not our children, by pidfd: never a wrong one, never a wait without end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hyperbox_sys::{exit_info, signals};
use hyperbox_types::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

/// A process that was alive when it was found.
#[derive(Debug)]
pub(crate) struct Process {
    pidfd: OwnedFd,
}

impl Process {
    /// Finds the process with this id and start time (field 22 of `/proc/PID/stat`).
    pub(crate) fn find(pid: u32, start_time: u64) -> Option<Self> {
        let found = Self::open(pid)?;
        // Read after the pidfd was opened: if it is the right one now, the pidfd means it.
        (read_start_time(pid) == Some(start_time)).then_some(found)
    }

    /// Opens whatever process has this id now.
    pub(crate) fn open(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Self { pidfd })
    }

    /// Kills it; a process that has ended already is no error.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match signals::send(self.pidfd.as_fd(), Signal::KILL) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
            other => other,
        }
    }

    /// Waits until it has ended; `TimedOut` when it has not after `patience`.
    #[expect(
        deprecated,
        reason = "sound here, as the descriptor is borrowed for as long as it is registered; the replacement is an unsafe function"
    )]
    pub(crate) async fn wait(&self, patience: Duration) -> io::Result<()> {
        let pidfd = AsyncFd::new(self.pidfd.as_fd())?;
        match tokio::time::timeout(patience, pidfd.readable()).await {
            Ok(ready) => ready.map(drop),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Returns its exit code once it was reaped, where the kernel keeps that.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        exit_info::exit_code(self.pidfd.as_fd()).ok().flatten()
    }
}

fn read_start_time(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses and may itself contain spaces and parentheses.
    let (_, after_command) = text.rsplit_once(')')?;
    after_command.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_process_is_found() {
        let own = std::process::id();
        let start_time = read_start_time(own).unwrap();
        assert!(Process::find(own, start_time).is_some());
        assert!(Process::find(own, start_time + 1).is_none());
        assert!(Process::find(u32::MAX, 0).is_none());
    }

    #[tokio::test]
    async fn waiting_ends() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        let error = process.wait(Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        process.kill().unwrap();
        process.wait(Duration::from_secs(30)).await.unwrap();
        child.wait().unwrap();
        process.kill().unwrap();
    }
}
