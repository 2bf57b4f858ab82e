// SPDX-License-Identifier: MIT
//! The client and its requests.
//!
//! A request whose body is in memory is sent again on a fresh connection when a kept one turns out to be closed; a streamed body
//! always gets a fresh connection, because it cannot be read twice.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::sync::Arc;

use serde::Serialize;

use crate::error::{ClientError, Result};
use crate::host::Host;
use crate::http::{Body, Connection, Head, Method, Pool, Response, Upgraded, read_head};

/// The version of the Engine API that the client speaks unless told otherwise.
pub const API_VERSION: &str = "1.51";

/// How much of a streamed body goes into one chunk.
const CHUNK: usize = 64 * 1024;

/// A client of one daemon.
#[derive(Debug, Clone)]
pub struct Client {
    host: Host,
    version: String,
    agent: String,
    headers: Arc<[(String, String)]>,
    pool: Arc<Pool>,
}

impl Client {
    /// Makes a client; nothing is connected yet.
    pub fn new(host: Host) -> Self {
        Self {
            host,
            version: API_VERSION.to_owned(),
            agent: concat!("HyperBox-Client/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Arc::default(),
            pool: Arc::default(),
        }
    }

    /// Speaks another version of the Engine API, such as `1.44` to an older Docker Engine.
    #[must_use]
    pub fn with_api_version(mut self, version: &str) -> Self {
        version.trim_start_matches('v').clone_into(&mut self.version);
        self
    }

    /// Sends these headers with every request, as `HttpHeaders` of Docker's `config.json` asks for.
    ///
    /// What is no name of a header, and what says how a message is framed, is left out.
    #[must_use]
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        let headers = headers.into_iter();
        self.headers = headers.filter(|(name, _)| may_be_added(name)).collect();
        self
    }

    /// Returns the daemon's address.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the version of the Engine API that is spoken.
    pub fn api_version(&self) -> &str {
        &self.version
    }

    /// Begins a request to a route of the Engine API, given without its version.
    pub fn request<'a>(&'a self, method: Method, path: &str) -> Request<'a> {
        Request::new(self, method, format!("/v{}{path}", self.version))
    }

    /// Begins a request to a path as it is.
    pub fn request_path<'a>(&'a self, method: Method, path: &str) -> Request<'a> {
        Request::new(self, method, path.to_owned())
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.host).map_err(|source| ClientError::Connect {
            host: self.host.clone(),
            source,
        })
    }

    fn failure(&self, doing: &'static str, source: io::Error) -> ClientError {
        let host = self.host.clone();
        if source.kind() == io::ErrorKind::InvalidData {
            ClientError::Protocol {
                host,
                reason: source.to_string(),
            }
        } else {
            ClientError::Broken { host, doing, source }
        }
    }
}

enum Payload<'a> {
    None,
    Bytes(Vec<u8>, &'static str),
    Stream(&'a mut dyn Read, &'static str),
}

/// A request in the making.
pub struct Request<'a> {
    client: &'a Client,
    method: Method,
    target: String,
    headers: Vec<(&'static str, String)>,
    payload: Payload<'a>,
    failed: Option<ClientError>,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No headers: they may carry credentials.
        write!(formatter, "Request({} {})", self.method, self.target)
    }
}

impl<'a> Request<'a> {
    fn new(client: &'a Client, method: Method, target: String) -> Self {
        Self {
            client,
            method,
            target,
            headers: Vec::new(),
            payload: Payload::None,
            failed: None,
        }
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(name);
        self.target.push('=');
        percent_encode(value, &mut self.target);
        self
    }

    /// Adds a query parameter `name=1` when `value` holds.
    #[must_use]
    pub fn query_flag(self, name: &str, value: bool) -> Self {
        if value { self.query(name, "1") } else { self }
    }

    /// Adds a query parameter when there is a value.
    #[must_use]
    pub fn query_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends `value` as JSON.
    #[must_use]
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.payload = Payload::Bytes(bytes, "application/json"),
            Err(source) => {
                self.failed = Some(ClientError::Encode {
                    path: self.target.clone(),
                    source,
                });
            }
        }
        self
    }

    /// Sends everything that `reader` gives, in chunks.
    #[must_use]
    pub fn stream(mut self, reader: &'a mut dyn Read, content_type: &'static str) -> Self {
        self.payload = Payload::Stream(reader, content_type);
        self
    }

    /// Sends the request and waits for the head of the answer; an error status becomes the error.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn send(self) -> Result<Response> {
        self.send_unchecked()?.checked()
    }

    /// As [`Self::send`], and reads the answer as JSON.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn send_json<T: serde::de::DeserializeOwned>(self) -> Result<T> {
        self.send()?.json()
    }

    /// As [`Self::send`], for answers whose body says nothing.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn send_empty(self) -> Result<()> {
        self.send()?.discard()
    }

    /// Sends the request and lets the connection leave HTTP.
    ///
    /// # Errors
    /// Any of [`ClientError`]; [`ClientError::Protocol`] when the daemon does not switch.
    pub fn upgrade(mut self) -> Result<Upgraded> {
        self.headers.push(("Connection", "Upgrade".to_owned()));
        if !self.headers.iter().any(|(name, _)| *name == "Upgrade") {
            self.headers.push(("Upgrade", "tcp".to_owned()));
        }
        let client = self.client;
        let (head, connection) = self.exchange()?;
        if head.status >= 300 {
            let body = Body::new(connection, &head, true, Arc::clone(&client.pool))
                .map_err(|source| client.failure("reading an answer", source))?;
            let response = Response {
                host: client.host.clone(),
                path: String::new(),
                head,
                body,
            };
            return Err(response.checked().map_or_else(
                |error| error,
                |response| ClientError::Protocol {
                    host: client.host.clone(),
                    reason: format!("status {} instead of a switch of protocols", response.status()),
                },
            ));
        }
        let content_type = head.header("content-type").map(str::to_owned);
        Upgraded::new(connection, content_type).map_err(|source| client.failure("switching protocols", source))
    }

    /// Sends the request; the answer may have any status.
    ///
    /// # Errors
    /// Any of [`ClientError`] except [`ClientError::Daemon`].
    pub fn send_unchecked(self) -> Result<Response> {
        let (client, method, path) = (self.client, self.method, self.target.clone());
        let (head, connection) = self.exchange()?;
        let has_body = method != Method::Head && !matches!(head.status, 204 | 304);
        let body = Body::new(connection, &head, has_body, Arc::clone(&client.pool))
            .map_err(|source| client.failure("reading an answer", source))?;
        Ok(Response {
            host: client.host.clone(),
            path,
            head,
            body,
        })
    }

    fn exchange(mut self) -> Result<(Head, Connection)> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let head = self.head_text();
        let client = self.client;
        match self.payload {
            Payload::Stream(reader, _) => {
                let mut connection = client.connect()?;
                // The daemon may refuse in the middle of the body; its reason is worth more than our broken pipe.
                let sent = connection
                    .write_all(head.as_bytes())
                    .and_then(|()| send_chunks(&mut connection, reader));
                match (read_head(&mut connection), sent) {
                    (Ok(head), _) => Ok((head, connection)),
                    (Err(_), Err(source)) | (Err(source), Ok(())) => Err(client.failure("sending a request", source)),
                }
            }
            Payload::None => client.exchange_bytes(head.into_bytes()),
            Payload::Bytes(body, _) => {
                let mut message = head.into_bytes();
                message.extend_from_slice(&body);
                client.exchange_bytes(message)
            }
        }
    }

    fn head_text(&self) -> String {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: hyperbox\r\nUser-Agent: {}\r\n",
            self.method, self.target, self.client.agent
        );
        let own = self.headers.iter().map(|(name, value)| (*name, value));
        let of_all = self.client.headers.iter().map(|(name, value)| (name.as_str(), value));
        let overridden = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        for (name, value) in own.chain(of_all.filter(|(name, _)| !overridden(name))) {
            // A line break would start a new header.
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            let _ = write!(head, "{name}: {value}\r\n"); // writing to a string cannot fail
        }
        let _ = match &self.payload {
            Payload::None if self.method == Method::Post => write!(head, "Content-Length: 0\r\n"),
            Payload::None => Ok(()),
            Payload::Bytes(bytes, kind) => write!(head, "Content-Type: {kind}\r\nContent-Length: {}\r\n", bytes.len()),
            Payload::Stream(_, kind) => write!(head, "Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n"),
        };
        head.push_str("\r\n");
        head
    }
}

impl Client {
    fn exchange_bytes(&self, message: Vec<u8>) -> Result<(Head, Connection)> {
        loop {
            let mut connection = match self.pool.take() {
                Some(connection) => connection,
                None => self.connect()?,
            };
            let answer = connection.write_all(&message).and_then(|()| read_head(&mut connection));
            match answer {
                Ok(head) => return Ok((head, connection)),
                // Only a connection that closed before any byte of an answer may be tried again.
                Err(error) if connection.is_reused() && closed_while_idle(&error) => {}
                Err(error) => return Err(self.failure("waiting for an answer", error)),
            }
        }
    }
}

/// Tells whether a header may be added to each request: its name is a token (RFC 9110, 5.6.2), and it is none of those that the
/// client writes itself.
fn may_be_added(name: &str) -> bool {
    const OWN: [&str; 7] = [
        "host",
        "user-agent",
        "connection",
        "upgrade",
        "content-length",
        "content-type",
        "transfer-encoding",
    ];
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token) && !OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn closed_while_idle(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn send_chunks(connection: &mut Connection, reader: &mut dyn Read) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if count == 0 {
            return connection.write_all(b"0\r\n\r\n");
        }
        connection.write_all(format!("{count:x}\r\n").as_bytes())?;
        connection.write_all(&buffer[..count])?;
        connection.write_all(b"\r\n")?;
    }
}

/// Escapes what may not stand in a query value.
fn percent_encode(text: &str, target: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            target.push(char::from(byte));
        } else {
            let _ = write!(target, "%{byte:02X}"); // writing to a string cannot fail
        }
    }
}

/// Escapes one segment of a path; slashes stay, because image names have them.
pub(crate) fn path_segment(text: &str) -> String {
    let mut target = String::new();
    for (index, part) in text.split('/').enumerate() {
        if index > 0 {
            target.push('/');
        }
        // `:` and `@` are legal in a path and part of image references.
        for piece in part.split_inclusive([':', '@']) {
            match piece.char_indices().last() {
                Some((at, mark @ (':' | '@'))) => {
                    percent_encode(&piece[..at], &mut target);
                    target.push(mark);
                }
                _ => percent_encode(piece, &mut target),
            }
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_keep_references_readable() {
        for (text, encoded) in [
            ("busybox:latest", "busybox:latest"),
            ("localhost:5000/a/b@sha256:00", "localhost:5000/a/b@sha256:00"),
            ("a b?c#d", "a%20b%3Fc%23d"),
            ("ä", "%C3%A4"),
        ] {
            assert_eq!(path_segment(text), encoded);
        }
    }

    #[test]
    fn queries_and_headers_are_escaped() {
        let client = Client::new(Host::default());
        let request = client
            .request(Method::Get, "/containers/json")
            .query_flag("all", true)
            .query("filters", r#"{"a":1}"#)
            .header("X-Test", "a\r\nInjected: b");
        let head = request.head_text();
        assert!(
            head.starts_with("GET /v1.51/containers/json?all=1&filters=%7B%22a%22%3A1%7D HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains("X-Test: aInjected: b\r\n"), "{head}");
    }

    #[test]
    fn headers_of_all_requests() {
        let headers = [
            ("X-Meta", "1"),
            ("x-test", "2"),
            ("Host", "3"),
            ("no token", "4"),
            ("", "5"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let client = Client::new(Host::default()).with_headers(headers);
        let head = client.request(Method::Get, "/info").header("X-Test", "own").head_text();
        let added: Vec<&str> = head.lines().skip(3).filter(|line| !line.is_empty()).collect();
        assert_eq!(added, ["X-Test: own", "X-Meta: 1"]);
    }
}
