// SPDX-License-Identifier: MIT
//! The other side of a session: a run on one connection, or an attachment beside separate requests.

use std::io::{self, Write};

use hyperbox_client::{Client, RunWriter, UpgradedWriter};
use hyperbox_types::Signal;
use hyperbox_types::run::TerminalSize;

/// Where input, signals and window changes go.
pub(crate) trait Remote: Send {
    /// Sends input.
    fn input(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Tells that no more input comes.
    fn close_input(&mut self) -> io::Result<()>;
    /// Tells the size of the terminal.
    fn resize(&mut self, size: TerminalSize) -> io::Result<()>;
    /// Delivers a signal.
    fn signal(&mut self, signal: Signal) -> io::Result<()>;
    /// Leaves: the reading side ends.
    fn detach(&mut self);
}

/// A run on one connection.
pub(crate) struct RunRemote(pub(crate) RunWriter);

impl Remote for RunRemote {
    fn input(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.input(bytes)
    }

    fn close_input(&mut self) -> io::Result<()> {
        self.0.close_input()
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        self.0.resize(size)
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.0.signal(signal)
    }

    fn detach(&mut self) {
        self.0.abort();
    }
}

/// A container's streams; everything else goes by requests of its own.
pub(crate) struct AttachRemote {
    /// The streams; none when nothing is attached.
    pub(crate) writer: Option<UpgradedWriter>,
    pub(crate) client: Client,
    pub(crate) container: String,
}

impl Remote for AttachRemote {
    fn input(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write_all(bytes))
    }

    fn close_input(&mut self) -> io::Result<()> {
        self.writer.as_ref().map_or(Ok(()), UpgradedWriter::close)
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        self.client
            .resize_container(&self.container, size.rows, size.columns)
            .map_err(io::Error::other)
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.client
            .kill_container(&self.container, Some(&signal.number().to_string()))
            .map_err(io::Error::other)
    }

    fn detach(&mut self) {
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

/// An exec's streams.
pub(crate) struct ExecRemote {
    pub(crate) writer: UpgradedWriter,
    pub(crate) client: Client,
    pub(crate) exec: String,
}

impl Remote for ExecRemote {
    fn input(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    fn close_input(&mut self) -> io::Result<()> {
        self.writer.close()
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        self.client
            .resize_exec(&self.exec, size.rows, size.columns)
            .map_err(io::Error::other)
    }

    fn signal(&mut self, _signal: Signal) -> io::Result<()> {
        // The API has no signal for an exec; Docker's client does not forward either.
        Ok(())
    }

    fn detach(&mut self) {
        self.writer.abort();
    }
}
