// SPDX-License-Identifier: MIT
//! Makes the pipes of a process: one side for the process, one for the shim.

use std::io;
use std::os::fd::OwnedFd;

use hyperbox_runtime::StdioPlan;
use hyperbox_types::shim::Stdio;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::process_io::Ends;

/// Both sides of a process's streams, before it exists.
#[derive(Debug)]
pub(crate) struct PreparedStdio {
    /// What the process gets.
    pub(crate) theirs: StdioPlan,
    /// What the shim keeps.
    pub(crate) ours: Ends,
}

/// What an input that nobody gives is opened for. The first process can even write to it, an exec cannot: as with Docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoInput {
    /// Of a container's first process.
    First,
    /// Of an exec.
    Exec,
}

/// Makes pipes, or plans a terminal whose master [`Ends::with_terminal`] adds later.
pub(crate) fn prepare(stdio: Stdio, no_input: NoInput) -> io::Result<PreparedStdio> {
    let mut ours = Ends {
        stdin: None,
        stdout: None,
        stderr: None,
        terminal: stdio.terminal.is_some(),
        stdin_once: stdio.stdin_once,
    };
    if let Some(size) = stdio.terminal {
        return Ok(PreparedStdio {
            theirs: StdioPlan::Terminal { size },
            ours,
        });
    }
    let stdin = if stdio.stdin {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        ours.stdin = Some(write);
        read
    } else {
        let access = match no_input {
            NoInput::First => OFlags::RDWR,
            NoInput::Exec => OFlags::RDONLY,
        };
        rustix::fs::open("/dev/null", access | OFlags::CLOEXEC, Mode::empty())?
    };
    let (read_stdout, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (read_stderr, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    ours.stdout = Some(read_stdout);
    ours.stderr = Some(read_stderr);
    Ok(PreparedStdio {
        theirs: StdioPlan::Streams { stdin, stdout, stderr },
        ours,
    })
}

impl Ends {
    /// Adds the master of a terminal; input goes there only when standard input was asked for.
    pub(crate) fn with_terminal(mut self, master: Option<OwnedFd>, stdin: bool) -> io::Result<Self> {
        if let Some(master) = master {
            self.stdin = stdin.then(|| master.try_clone()).transpose()?;
            self.stdout = Some(master);
        }
        Ok(self)
    }
}
