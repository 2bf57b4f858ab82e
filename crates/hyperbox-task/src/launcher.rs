// SPDX-License-Identifier: MIT
//! The launcher process: started on first use, started again when it died.
//!
//! Requests to it are one-way. One at a time is written; a write that was cut short (the launcher died, or the caller was
//! cancelled) drops the connection, which ends that launcher, and the next request starts another.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use hyperbox_core::seam::TaskError;
use hyperbox_types::ErrorKind;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use hyperbox_sys::message;

/// How long a launcher whose socket has ended may take to be gone.
const DEATH: Duration = Duration::from_secs(1);

/// Starts and restarts the launcher.
#[derive(Debug)]
pub(crate) struct Launcher {
    program: PathBuf,
    /// Soft limit of open files of the launcher, and so of everything it starts.
    descriptors: Option<u64>,
    running: Mutex<Option<Running>>,
}

/// A launcher and the connection to it. Dropping it closes the connection, which ends the process; tokio reaps it.
#[derive(Debug)]
struct Running {
    socket: UnixStream,
    process: Child,
}

impl Launcher {
    /// Prepares; nothing is started yet.
    pub(crate) fn new(program: PathBuf, descriptors: Option<u64>) -> Self {
        Self {
            program,
            descriptors,
            running: Mutex::new(None),
        }
    }

    /// Starts the launcher if it does not run.
    pub(crate) async fn warm_up(&self) -> Result<(), TaskError> {
        let mut slot = self.running.lock().await;
        if slot.is_none() {
            *slot = Some(self.start()?);
        }
        Ok(())
    }

    /// Sends a framed launch request.
    pub(crate) async fn send(&self, request: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), TaskError> {
        let mut slot = self.running.lock().await;
        let mut last = None;
        for _ in 0..2 {
            // Taken out while in use: if this future is dropped in the middle, so is the connection.
            let running = match slot.take() {
                Some(running) => running,
                None => self.start()?,
            };
            match send_all(&running.socket, request, descriptors).await {
                Ok(()) => {
                    *slot = Some(running);
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!(%error, process = running.process.id(), "the launcher is gone; starting another");
                    last = Some(error);
                }
            }
        }
        let source = last.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
        Err(TaskError {
            kind: ErrorKind::Unavailable,
            ..TaskError::io("the launcher does not take requests", source)
        })
    }

    /// Tells whether the launcher has died, and forgets it then.
    pub(crate) async fn has_died(&self) -> bool {
        let mut slot = self.running.lock().await;
        let Some(running) = slot.as_mut() else {
            return true;
        };
        // Its socket ends before the process can be reaped, so a moment of patience tells the difference.
        let died = tokio::time::timeout(DEATH, running.process.wait()).await.is_ok();
        if died {
            *slot = None;
        }
        died
    }

    fn start(&self) -> Result<Running, TaskError> {
        let failed = |error| TaskError::io(format!("cannot start the launcher {}", self.program.display()), error);
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let socket = UnixStream::from_std(ours).map_err(failed)?;
        let process = Command::new(&self.program)
            .arg("launcher")
            .env_clear()
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        self.limit(&process).map_err(failed)?;
        Ok(Running { socket, process })
    }

    /// Sets the limit from outside, before the process is asked for anything: code between fork and exec would have to be unsafe.
    fn limit(&self, process: &Child) -> io::Result<()> {
        let id = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let (Some(descriptors), Some(id)) = (self.descriptors, id) else {
            return Ok(());
        };
        let limit = Rlimit {
            current: Some(descriptors),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        match prlimit(Some(id), Resource::Nofile, limit) {
            // Dead already: the first request finds it out.
            Ok(_) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sends all bytes; descriptors go with the first of them. Not cancel-safe.
pub(crate) async fn send_all(
    socket: &UnixStream,
    mut bytes: &[u8],
    mut descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = socket
            .async_io(Interest::WRITABLE, || message::send(socket.as_fd(), bytes, descriptors))
            .await?;
        bytes = &bytes[sent..];
        descriptors = &[];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_starts_has_the_limit_of_open_files() {
        // It ignores its input and goes on until it is killed.
        let launcher = Launcher::new("yes".into(), Some(77));
        let mut running = launcher.start().unwrap();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.process.id().unwrap())).unwrap();
        running.process.kill().await.unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(line.split_whitespace().nth(3), Some("77"), "{line}");
    }
}
