// SPDX-License-Identifier: MIT
//! Just enough HTTP/1.1 for a registry that misbehaves: one request per connection.

use std::io::{self, BufRead};

/// A request's head.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    /// First byte wanted, of a `Range: bytes=N-`.
    pub(super) range_start: Option<u64>,
}

/// Reads a head; `None` when the connection ends before one.
pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let mut request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        ..Request::default()
    };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some(request));
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "range" => {
                let start = value.strip_prefix("bytes=").and_then(|range| range.split('-').next());
                request.range_start = start.and_then(|start| start.parse().ok());
            }
            _ => {}
        }
    }
}
