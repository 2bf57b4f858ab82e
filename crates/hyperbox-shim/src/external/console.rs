// SPDX-License-Identifier: MIT
//! The console socket: how an OCI runtime hands over the master of a terminal (`runc/docs/terminals.md`).

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use hyperbox_sys::message;
use hyperbox_types::run::TerminalSize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::Winsize;

/// The runtime connects before its command ends; this only guards against one that never does.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// A socket that waits for a terminal.
#[derive(Debug)]
pub(crate) struct Console {
    listener: UnixListener,
    path: PathBuf,
    size: TerminalSize,
}

impl Console {
    /// Listens.
    pub(crate) fn open(path: &Path, size: TerminalSize) -> io::Result<Self> {
        Ok(Self {
            listener: UnixListener::bind(path)?,
            path: path.to_owned(),
            size,
        })
    }

    /// Receives the terminal and gives it its first size.
    pub(crate) fn receive(self) -> io::Result<OwnedFd> {
        wait_for(&self.listener)?;
        let (socket, _) = self.listener.accept()?;
        wait_for(&socket)?;
        let mut descriptors = std::collections::VecDeque::new();
        message::receive(&socket, &mut [0; 4096], &mut descriptors)?;
        let master = descriptors
            .pop_front()
            .ok_or_else(|| io::Error::other("no descriptor in the message"))?;
        let size = Winsize {
            ws_row: self.size.rows,
            ws_col: self.size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&master, size)?;
        Ok(master)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // The run directory goes later anyway.
        drop(std::fs::remove_file(&self.path));
    }
}

fn wait_for(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&PATIENCE))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
