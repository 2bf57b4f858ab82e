// SPDX-License-Identifier: MIT
//! One plain request to the daemon's socket, in HTTP/1.0: no chunks, the answer ends with the connection.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::TestEnvironment;

impl TestEnvironment {
    /// Sends a request with a JSON body and returns status and body.
    ///
    /// # Errors
    /// When the daemon cannot be reached or answers no HTTP.
    pub fn api(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: hyperbox\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok((code.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
    }
}
