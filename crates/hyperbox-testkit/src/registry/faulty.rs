// SPDX-License-Identifier: MIT
//! A registry that misbehaves as it is told, for one request or for all.
//!
//! Each connection has a thread and carries one request. Faults are matched by a part of the path and are used up in order; what
//! matches no fault is answered properly. The listener is given by the caller, so that it can be in another network namespace.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::request::{self, Request};
use crate::images::Layout;

/// A way to misbehave.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers with this status, these header lines and this body.
    Status(u16, Vec<String>, String),
    /// Announces the whole body and closes the connection after so many bytes of it.
    Truncate(usize),
    /// Sends the right number of wrong bytes.
    WrongBytes,
    /// Closes the connection without an answer.
    Drop,
    /// Sends the body in pieces of so many bytes with this pause between.
    Slow(usize, Duration),
    /// Redirects to the same path, forever if the fault lasts.
    RedirectLoop,
    /// Sends a body of so many zero bytes.
    Huge(u64),
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// `GET`, `HEAD`, ….
    pub method: String,
    /// Path with query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

#[derive(Debug)]
struct Rule {
    part: String,
    fault: Fault,
    left: usize,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<SeenRequest>,
    /// Answers by path: media type and bytes.
    objects: BTreeMap<String, (String, Arc<[u8]>)>,
}

/// A registry on a thread of this process.
#[derive(Debug)]
pub struct FaultyRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stopped: Arc<AtomicBool>,
    waker: Option<TcpListener>,
}

impl FaultyRegistry {
    /// Starts a registry on a free loopback port of this process's network namespace.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").expect("a free loopback port"))
    }

    /// Starts a registry on this listener.
    ///
    /// # Panics
    /// When the listener is not usable.
    pub fn serve(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("a bound listener");
        let state = Arc::new(Mutex::new(State::default()));
        let stopped = Arc::new(AtomicBool::new(false));
        let waker = listener.try_clone().expect("a duplicate of the listener");
        let (shared, flag) = (Arc::clone(&state), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if flag.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(stream) = stream {
                    let state = Arc::clone(&shared);
                    // A client that goes away in the middle is the client's business.
                    std::thread::spawn(move || answer(&state, &stream).unwrap_or_default());
                }
            }
        });
        Self {
            address,
            state,
            stopped,
            waker: Some(waker),
        }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Puts an image in and returns its full name.
    ///
    /// # Panics
    /// When the layout cannot be read.
    pub fn add(&self, name_and_tag: &str, layout: &Layout) -> String {
        let (name, tag) = name_and_tag.rsplit_once(':').expect("name:tag");
        let read =
            |digest: &hyperbox_types::Digest| -> Arc<[u8]> { fs::read(layout.blob(digest)).expect("a blob").into() };
        let mut state = lock(&self.state);
        for descriptor in [&layout.top, &layout.manifest] {
            let object = (descriptor.media_type.clone(), read(&descriptor.digest));
            state
                .objects
                .insert(format!("/v2/{name}/manifests/{}", descriptor.digest), object);
        }
        let top = (layout.top.media_type.clone(), read(&layout.top.digest));
        state.objects.insert(format!("/v2/{name}/manifests/{tag}"), top);
        for descriptor in layout.layers.iter().chain([&layout.config]) {
            let object = ("application/octet-stream".to_owned(), read(&descriptor.digest));
            state
                .objects
                .insert(format!("/v2/{name}/blobs/{}", descriptor.digest), object);
        }
        format!("{}/{name_and_tag}", self.address)
    }

    /// Misbehaves in the next `times` requests whose path contains `part`.
    pub fn misbehave(&self, part: &str, times: usize, fault: Fault) {
        lock(&self.state).rules.push(Rule {
            part: part.to_owned(),
            fault,
            left: times,
        });
    }

    /// Forgets all faults.
    pub fn behave(&self) {
        lock(&self.state).rules.clear();
    }

    /// Returns the requests that arrived, in order.
    pub fn seen(&self) -> Vec<SeenRequest> {
        lock(&self.state).seen.clone()
    }
}

impl Drop for FaultyRegistry {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(listener) = self.waker.take() {
            // shutdown(2) of a listening socket ends accept(2) in the other thread, from any network namespace.
            let stream = TcpStream::from(std::os::fd::OwnedFd::from(listener));
            let _already_closed = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(state: &Mutex<State>, stream: &TcpStream) -> io::Result<()> {
    let Some(request) = request::read(&mut BufReader::new(stream))? else {
        return Ok(());
    };
    let (fault, object) = {
        let mut state = lock(state);
        state.seen.push(SeenRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            authorization: request.authorization.clone(),
        });
        let rule = state
            .rules
            .iter_mut()
            .find(|rule| rule.left > 0 && request.path.contains(&rule.part));
        let fault = rule.map(|rule| {
            rule.left -= 1;
            rule.fault.clone()
        });
        (fault, state.objects.get(&request.path).cloned())
    };
    match (fault, object) {
        (Some(fault), object) => misbehave(stream, &request, fault, object.map(|object| object.1)),
        (None, Some((media_type, bytes))) => send(stream, &request, &media_type, &bytes),
        (None, None) if request.path == "/v2/" => head(stream, 200, &["Content-Length: 0".to_owned()]),
        (None, None) => status(
            stream,
            404,
            &[],
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#,
        ),
    }
}

fn misbehave(stream: &TcpStream, request: &Request, fault: Fault, bytes: Option<Arc<[u8]>>) -> io::Result<()> {
    let bytes = bytes.unwrap_or_else(|| Arc::from(&b"{}"[..]));
    let length = |count: u64| format!("Content-Length: {count}");
    let mut writer = stream;
    match fault {
        Fault::Status(code, headers, body) => status(stream, code, &headers, &body),
        Fault::Drop => Ok(()),
        Fault::RedirectLoop => head(stream, 307, &[format!("Location: {}", request.path), length(0)]),
        Fault::WrongBytes => {
            let wrong: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x55).collect();
            send(stream, request, "application/octet-stream", &wrong)
        }
        Fault::Truncate(count) => {
            head(stream, 200, &[length(bytes.len() as u64)])?;
            writer.write_all(&bytes[..count.min(bytes.len())])
        }
        Fault::Slow(size, pause) => {
            head(stream, 200, &[length(bytes.len() as u64)])?;
            for piece in bytes.chunks(size.max(1)) {
                writer.write_all(piece)?;
                std::thread::park_timeout(pause);
            }
            Ok(())
        }
        Fault::Huge(count) => {
            head(stream, 200, &[length(count)])?;
            io::copy(&mut io::Read::take(io::repeat(0), count), &mut writer).map(drop)
        }
    }
}

fn status(stream: &TcpStream, code: u16, headers: &[String], body: &str) -> io::Result<()> {
    let mut lines = headers.to_vec();
    lines.push("Content-Type: application/json".to_owned());
    lines.push(format!("Content-Length: {}", body.len()));
    head(stream, code, &lines)?;
    let mut writer = stream;
    writer.write_all(body.as_bytes())
}

fn send(stream: &TcpStream, request: &Request, media_type: &str, bytes: &[u8]) -> io::Result<()> {
    let start = request
        .range_start
        .map_or(0, |start| usize::try_from(start).unwrap_or(usize::MAX).min(bytes.len()));
    let part = &bytes[start..];
    let mut lines = vec![
        format!("Content-Type: {media_type}"),
        format!("Content-Length: {}", part.len()),
    ];
    let code = if request.range_start.is_some() {
        lines.push(format!(
            "Content-Range: bytes {start}-{}/{}",
            bytes.len().saturating_sub(1),
            bytes.len()
        ));
        206
    } else {
        200
    };
    head(stream, code, &lines)?;
    let mut writer = stream;
    if request.method == "HEAD" {
        Ok(())
    } else {
        writer.write_all(part)
    }
}

fn head(mut stream: &TcpStream, code: u16, lines: &[String]) -> io::Result<()> {
    let mut text =
        format!("HTTP/1.1 {code} Answer\r\nConnection: close\r\nDocker-Distribution-Api-Version: registry/2.0\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes())
}
