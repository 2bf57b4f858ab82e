// SPDX-License-Identifier: MIT
//! The head of an answer: status and headers, with limits on both.

use std::io;

use super::connection::Connection;

/// A head longer than this is refused.
const MAX_HEAD: usize = 64 * 1024;
/// More headers than this are refused.
const MAX_HEADERS: usize = 100;

/// Status and headers of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) http_11: bool,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// Returns the value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads a head and skips interim answers (1xx except 101).
///
/// # Errors
/// `UnexpectedEof` when the peer closes before the first byte, `InvalidData` for what is not HTTP.
pub(crate) fn read_head(connection: &mut Connection) -> io::Result<Head> {
    loop {
        if connection.buffered().is_empty() && connection.fill()? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the daemon closed the connection without an answer",
            ));
        }
        let Some((head, length)) = parse(connection.buffered())? else {
            if connection.buffered().len() > MAX_HEAD {
                return Err(invalid(format!(
                    "the head of the answer is longer than {MAX_HEAD} bytes"
                )));
            }
            if connection.fill()? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "the answer ends in its head",
                ));
            }
            continue;
        };
        connection.consume(length);
        if head.status == 101 || head.status >= 200 {
            return Ok(head);
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => {
            let head = Head {
                status: response.code.unwrap_or_default(),
                http_11: response.version == Some(1),
                headers: response
                    .headers
                    .iter()
                    .map(|header| {
                        (
                            header.name.to_owned(),
                            String::from_utf8_lossy(header.value).into_owned(),
                        )
                    })
                    .collect(),
            };
            Ok(Some((head, length)))
        }
        Err(error) => Err(invalid(format!("not HTTP: {error}"))),
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
