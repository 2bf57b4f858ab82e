// SPDX-License-Identifier: MIT
//! The body of an answer as a reader.
//!
//! The three framings of RFC 9112 §6: a length, chunks, or the end of the connection. When a body was read to its end the
//! connection goes back to the pool; a body dropped earlier closes it.

use std::io::{self, Read};
use std::sync::Arc;

use super::connection::{Connection, Pool};
use super::head::Head;

/// A chunk header longer than this is refused.
const MAX_CHUNK_LINE: usize = 4 * 1024;

#[derive(Debug)]
enum Framing {
    Length(u64),
    /// Bytes left of the current chunk, and whether it is the first one.
    Chunked {
        left: u64,
        first: bool,
    },
    UntilClose,
}

/// A streamed body.
#[derive(Debug)]
pub struct Body {
    connection: Option<Connection>,
    framing: Framing,
    pool: Arc<Pool>,
    reusable: bool,
}

impl Body {
    /// Chooses the framing by the head; `has_body` is false for answers that never have one.
    pub(crate) fn new(connection: Connection, head: &Head, has_body: bool, pool: Arc<Pool>) -> io::Result<Self> {
        let chunked = head.header("transfer-encoding").is_some_and(|value| {
            value
                .rsplit(',')
                .next()
                .is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
        });
        let framing = if !has_body {
            Framing::Length(0)
        } else if chunked {
            Framing::Chunked { left: 0, first: true }
        } else if let Some(length) = head.header("content-length") {
            let length = length
                .trim()
                .parse()
                .map_err(|_| invalid("the length of the answer is not a number"))?;
            Framing::Length(length)
        } else {
            Framing::UntilClose
        };
        let closes = head
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let reusable = head.http_11 && !closes && !matches!(framing, Framing::UntilClose);
        let mut body = Self {
            connection: Some(connection),
            framing,
            pool,
            reusable,
        };
        if matches!(body.framing, Framing::Length(0)) {
            body.finish();
        }
        Ok(body)
    }

    /// Reads everything, up to `limit` bytes.
    ///
    /// # Errors
    /// `InvalidData` when there is more.
    pub fn read_all(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(invalid(&format!("the answer is longer than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn finish(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.reusable
        {
            self.pool.put(connection);
        }
    }

    /// Reads the header of the next chunk; returns its length.
    fn next_chunk(connection: &mut Connection, first: bool) -> io::Result<u64> {
        if !first {
            read_line(connection)?;
        }
        let line = read_line(connection)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16).map_err(|_| invalid("a chunk of the answer has no length"))?;
        if length == 0 {
            // Trailers end with an empty line.
            while !read_line(connection)?.is_empty() {}
        }
        Ok(length)
    }
}

impl Read for Body {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = self.connection.as_mut() else {
            return Ok(0);
        };
        if target.is_empty() {
            return Ok(0);
        }
        if let Framing::Chunked { left: left @ 0, first } = &mut self.framing {
            *left = Self::next_chunk(connection, *first)?;
            *first = false;
            if *left == 0 {
                self.finish();
                return Ok(0);
            }
        }
        let allowed = match &self.framing {
            Framing::Length(left) | Framing::Chunked { left, .. } => usize::try_from(*left).unwrap_or(usize::MAX),
            Framing::UntilClose => usize::MAX,
        };
        let window = allowed.min(target.len());
        let count = connection.read(&mut target[..window])?;
        match &mut self.framing {
            Framing::UntilClose => {
                if count == 0 {
                    self.finish();
                }
            }
            Framing::Length(left) | Framing::Chunked { left, .. } => {
                if count == 0 {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the answer ends before its announced length",
                    ));
                }
                *left -= count as u64;
            }
        }
        if matches!(self.framing, Framing::Length(0)) {
            self.finish();
        }
        Ok(count)
    }
}

fn read_line(connection: &mut Connection) -> io::Result<String> {
    loop {
        if let Some(end) = connection.buffered().iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&connection.buffered()[..end])
                .trim_end_matches('\r')
                .to_owned();
            connection.consume(end + 1);
            return Ok(line);
        }
        if connection.buffered().len() > MAX_CHUNK_LINE {
            return Err(invalid("a chunk header of the answer is too long"));
        }
        if connection.fill()? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the answer ends between two chunks",
            ));
        }
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
