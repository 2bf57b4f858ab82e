// SPDX-License-Identifier: MIT
//! A server on raw sockets that does what a closure says, protocol violations included.
//!
//! One request per connection, each on a task; all end when the value is dropped. `/v2/` answers 200 unless the script says
//! otherwise, so that the client finds out that plain HTTP is spoken here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path with query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// How many requests with this method and path (without query) came before.
    pub(crate) nth: usize,
    /// This server's `127.0.0.1:port`.
    pub(crate) host: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Where a `Range: bytes=N-` starts.
    pub(crate) fn range_start(&self) -> Option<usize> {
        self.header("range")
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    declared: Option<usize>,
    ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Close,
    Stall,
    /// Closes without an answer.
    Silence,
    /// Closes after so many bytes of the request's body, without an answer.
    DropAfterReading(usize),
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            declared: Some(0),
            ending: Ending::Close,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self.declared = Some(self.body.len());
        self
    }

    /// Sends only so many bytes of the body that its header promises.
    pub(crate) fn cut(mut self, length: usize) -> Self {
        self.body.truncate(length);
        self
    }

    /// Promises no length: the body ends with the connection.
    pub(crate) fn without_length(mut self) -> Self {
        self.declared = None;
        self
    }

    /// Goes silent after the body instead of closing.
    pub(crate) fn stalling(mut self) -> Self {
        self.ending = Ending::Stall;
        self
    }

    /// No answer at all.
    pub(crate) fn silence() -> Self {
        Self {
            ending: Ending::Silence,
            ..Self::new(0)
        }
    }

    /// Hangs up in the middle of the request's body.
    pub(crate) fn drop_after_reading(length: usize) -> Self {
        Self {
            ending: Ending::DropAfterReading(length),
            ..Self::new(0)
        }
    }

    /// An error as registries tell it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
        Self::new(status).body(body.to_string())
    }
}

type Script = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

/// A running server.
pub(crate) struct Scripted {
    host: String,
    seen: Arc<Mutex<Vec<Request>>>,
    accepting: AbortHandle,
}

impl Scripted {
    /// Starts a server; `None` from the script means 404 (but 200 for `/v2/`).
    pub(crate) async fn start(script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let host = listener.local_addr().expect("a bound listener").to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let (shared, name) = (Arc::clone(&seen), host.clone());
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen, host) = (Arc::clone(&script), Arc::clone(&shared), name.clone());
                connections.spawn(async move {
                    // The client may hang up at any time: that is part of the tests.
                    drop(serve(stream, &*script, &seen, host).await);
                });
            }
        });
        Self {
            host,
            seen,
            accepting: accepting.abort_handle(),
        }
    }

    /// Returns `127.0.0.1:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the requests that arrived, but for those to find out the scheme.
    pub(crate) fn seen(&self) -> Vec<Request> {
        let seen = self.seen.lock().expect("no test panicked here");
        seen.iter()
            .filter(|request| request.target != "/v2/")
            .cloned()
            .collect()
    }

    /// Returns the requests whose target contains `part`.
    pub(crate) fn seen_with(&self, part: &str) -> Vec<Request> {
        let all = self.seen();
        all.into_iter()
            .filter(|request| request.target.contains(part))
            .collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &Script,
    seen: &Mutex<Vec<Request>>,
    host: String,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    };
    let body = buffer.split_off(end);
    let mut request = parse(&buffer, host);
    let reply = {
        let mut seen = seen.lock().expect("no test panicked here");
        request.nth = seen
            .iter()
            .filter(|earlier| earlier.method == request.method && earlier.path() == request.path())
            .count();
        seen.push(request.clone());
        let fallback = if request.target == "/v2/" { 200 } else { 404 };
        script(&request).unwrap_or_else(|| Reply::new(fallback))
    };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    let wanted = match reply.ending {
        Ending::DropAfterReading(limit) => limit.min(length),
        _ => length,
    };
    read_body(&mut stream, body, wanted, seen, &request).await?;
    answer(stream, reply, request.method == "HEAD").await
}

async fn read_body(
    stream: &mut TcpStream,
    mut body: Vec<u8>,
    length: usize,
    seen: &Mutex<Vec<Request>>,
    request: &Request,
) -> std::io::Result<()> {
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            break;
        }
    }
    let mut seen = seen.lock().expect("no test panicked here");
    let same = |earlier: &&mut Request| {
        earlier.nth == request.nth && earlier.method == request.method && earlier.path() == request.path()
    };
    if let Some(recorded) = seen.iter_mut().find(same) {
        recorded.body = body;
    }
    Ok(())
}

async fn answer(mut stream: TcpStream, reply: Reply, head_only: bool) -> std::io::Result<()> {
    if matches!(reply.ending, Ending::Silence | Ending::DropAfterReading(_)) {
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", reply.status);
    for header in &reply.headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if let Some(length) = reply.declared {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    if !head_only {
        stream.write_all(&reply.body).await?;
    }
    stream.flush().await?;
    if reply.ending == Ending::Stall {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await
}

fn parse(head: &[u8], host: String) -> Request {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ').map(ToOwned::to_owned);
    Request {
        method: first.next().unwrap_or_default(),
        target: first.next().unwrap_or_default(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
        nth: 0,
        host,
    }
}
