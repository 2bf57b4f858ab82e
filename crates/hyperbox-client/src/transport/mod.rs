// SPDX-License-Identifier: MIT
//! Byte streams to the daemon, whatever the operating system.
//!
//! The rest of the crate sees only [`Stream`]. A new kind of connection is one more file here that implements [`Duplex`].

#[cfg(windows)]
mod pipe;
mod tcp;
#[cfg(unix)]
mod unix;

use std::fmt;
use std::io::{self, Read, Write};

use crate::host::Host;

/// A connection with two directions that can be closed one at a time.
pub(crate) trait Duplex: Read + Write + Send {
    /// Returns a second handle of the same connection.
    fn duplicate(&self) -> io::Result<Box<dyn Duplex>>;
    /// Tells the peer that nothing more will be written.
    fn close_write(&self) -> io::Result<()>;
    /// Ends both directions, also for a thread that reads from another handle.
    fn close(&self) -> io::Result<()>;
}

/// A connection to the daemon.
pub(crate) struct Stream(Box<dyn Duplex>);

impl Stream {
    /// Connects to the daemon.
    pub(crate) fn connect(host: &Host) -> io::Result<Self> {
        match host {
            #[cfg(unix)]
            Host::Unix(path) => unix::connect(path).map(Self),
            #[cfg(not(unix))]
            Host::Unix(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "Unix sockets are not available on this system; use npipe:////./pipe/name or tcp://host:port",
            )),
            #[cfg(windows)]
            Host::Pipe(path) => pipe::connect(path).map(Self),
            #[cfg(not(windows))]
            Host::Pipe(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "named pipes are not available on this system; use unix:///path or tcp://host:port",
            )),
            Host::Tcp(address) => tcp::connect(address).map(Self),
        }
    }

    /// Returns a second handle, so that one thread reads while another writes.
    pub(crate) fn duplicate(&self) -> io::Result<Self> {
        self.0.duplicate().map(Self)
    }

    /// Closes the writing direction only.
    pub(crate) fn close_write(&self) -> io::Result<()> {
        self.0.close_write()
    }

    /// Closes both directions.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Stream")
    }
}
