// SPDX-License-Identifier: MIT
//! One process of the container: its streams, its end, and when that end may be reported.
//!
//! An end is reported when all output was read. A process may leave a child behind that keeps a pipe open for ever, so waiting is
//! bounded: after [`QUIET`] without any output, or [`PATIENCE`] in all, the rest is given up (containerd's shim waits 2 seconds).

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hyperbox_types::shim::{ShimError, Stdio};
use hyperbox_types::{ErrorKind, ExecId, Signal};

use crate::client::Client;
use crate::engine::Started;
use crate::failure::{failure, system};
use crate::process_io::{Ends, ProcessIo};

/// No output for so long after the end means that there will be none.
const QUIET: Duration = Duration::from_secs(2);

/// Output is read for so long after the end at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that the shim started.
#[derive(Debug)]
pub(crate) struct Supervised {
    /// The exec; `None` for the container's first process.
    pub(crate) exec: Option<ExecId>,
    /// Its id in the daemon's pid namespace.
    pub(crate) pid: u32,
    /// Streams and clients.
    pub(crate) io: ProcessIo,
    pidfd: OwnedFd,
    end: Option<End>,
    reported: bool,
}

/// How and when a process ended.
#[derive(Debug, Clone, Copy)]
struct End {
    code: i32,
    at: Instant,
    last_output: Instant,
}

impl Supervised {
    /// Takes a started process over, with the streams that were attached before.
    pub(crate) fn new(
        exec: Option<ExecId>,
        started: Started,
        ends: Ends,
        stdio: Stdio,
        attached: Vec<Client>,
    ) -> Result<Self, ShimError> {
        let io = ends
            .with_terminal(started.terminal, stdio.stdin)
            .and_then(ProcessIo::new)
            .map_err(|error| system("cannot set up the process's streams", error));
        let mut io = match io {
            Ok(io) => io,
            Err(error) => {
                // Without streams nobody could look after it.
                drop(hyperbox_sys::signals::send(started.pidfd.as_fd(), Signal::KILL));
                return Err(error);
            }
        };
        attached.into_iter().for_each(|client| io.attach(client));
        Ok(Self {
            exec,
            pid: started.pid,
            io,
            pidfd: started.pidfd,
            end: None,
            reported: false,
        })
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ShimError> {
        if self.end.is_some() {
            return Err(failure(ErrorKind::FailedPrecondition, "the process has ended already"));
        }
        hyperbox_sys::signals::send(self.pidfd.as_fd(), signal)
            .map_err(|error| system(&format!("cannot send {signal} to process {}", self.pid), error))
    }

    /// Notes that the process was reaped.
    pub(crate) fn ended(&mut self, code: i32, now: Instant) {
        self.io.process_ended();
        self.end = Some(End {
            code,
            at: now,
            last_output: now,
        });
    }

    /// Notes that there was output.
    pub(crate) fn had_output(&mut self, now: Instant) {
        if let Some(end) = &mut self.end {
            end.last_output = now;
        }
    }

    /// Tells whether the process was reaped.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Tells whether the end was reported.
    pub(crate) fn is_reported(&self) -> bool {
        self.reported
    }

    /// Returns when the rest of the output is given up, while that is awaited.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let end = self.end.filter(|_| !self.reported)?;
        Some((end.last_output + QUIET).min(end.at + PATIENCE))
    }

    /// Returns the exit code when the end is to be reported now; at most once.
    pub(crate) fn take_report(&mut self, now: Instant) -> Option<i32> {
        let complete = self.io.output_is_complete() || self.deadline().is_some_and(|deadline| deadline <= now);
        let end = self.end.filter(|_| complete && !self.reported)?;
        self.reported = true;
        Some(end.code)
    }
}
