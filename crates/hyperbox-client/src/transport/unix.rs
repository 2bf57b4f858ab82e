// SPDX-License-Identifier: MIT
//! Unix sockets.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::Duplex;

impl Duplex for UnixStream {
    fn duplicate(&self) -> io::Result<Box<dyn Duplex>> {
        Ok(Box::new(self.try_clone()?))
    }

    fn close_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn close(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Both)
    }
}

/// Connects to the socket at `path`.
pub(super) fn connect(path: &Path) -> io::Result<Box<dyn Duplex>> {
    Ok(Box::new(UnixStream::connect(path)?))
}
