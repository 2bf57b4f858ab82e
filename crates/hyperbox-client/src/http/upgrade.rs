// SPDX-License-Identifier: MIT
//! A connection after `101 Switching Protocols`: two raw directions that end independently.

use std::io::{self, Read, Write};

use super::connection::Connection;
use crate::transport::Stream;

/// A connection that left HTTP.
#[derive(Debug)]
pub struct Upgraded {
    /// What the daemon sends.
    pub reader: UpgradedReader,
    /// What we send.
    pub writer: UpgradedWriter,
    /// The content type that the daemon announced.
    pub content_type: Option<String>,
}

impl Upgraded {
    pub(crate) fn new(connection: Connection, content_type: Option<String>) -> io::Result<Self> {
        let writer = UpgradedWriter(connection.writer()?);
        Ok(Self {
            reader: UpgradedReader(connection),
            writer,
            content_type,
        })
    }
}

/// The reading direction.
#[derive(Debug)]
pub struct UpgradedReader(Connection);

impl Read for UpgradedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// The writing direction.
#[derive(Debug)]
pub struct UpgradedWriter(Stream);

impl UpgradedWriter {
    /// Tells the daemon that no more input comes; reading goes on.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn close(&self) -> io::Result<()> {
        self.0.close_write()
    }

    /// Ends both directions: a blocked reader sees the end of the stream.
    pub fn abort(&self) {
        // It may be closed already.
        drop(self.0.close());
    }
}

impl Write for UpgradedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
