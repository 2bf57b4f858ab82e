// SPDX-License-Identifier: MIT
//! TCP connections, on every system.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Duplex;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Duplex for TcpStream {
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

/// Connects to `host:port`, trying each address of the name.
pub(super) fn connect(address: &str) -> io::Result<Box<dyn Duplex>> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                // Keystrokes are single small writes: they must not wait for an acknowledgement.
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
