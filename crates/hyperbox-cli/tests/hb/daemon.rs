// SPDX-License-Identifier: MIT
//! A daemon that follows a script: each connection gets the next answer, its request is recorded.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens on one connection after the head of a request was read.
pub(crate) type Step = Box<dyn FnOnce(&mut TcpStream) + Send>;

/// The daemon.
pub(crate) struct Daemon {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    /// Listens on a free port and follows the steps, one per request.
    pub(crate) fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&requests);
        thread::spawn(move || {
            for step in steps {
                let (mut stream, _) = listener.accept().unwrap();
                recorded.lock().unwrap().push(read_request(&mut stream));
                step(&mut stream);
            }
        });
        Self { address, requests }
    }

    /// Returns the value for `--host`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the first line of every request so far.
    pub(crate) fn request_lines(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|request| request.lines().next().unwrap_or_default().to_owned())
            .collect()
    }

    /// Returns a whole request.
    pub(crate) fn request(&self, index: usize) -> String {
        self.requests.lock().unwrap()[index].clone()
    }
}

/// Reads the head and, if its length is known, the body.
fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut buffer).unwrap() {
            0 => return text,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Answers with a status and a body, then closes.
pub(crate) fn answer(status: &'static str, body: &'static str) -> Step {
    raw(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

/// Answers with these bytes, then closes.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Step {
    let bytes = bytes.into();
    Box::new(move |stream| stream.write_all(&bytes).unwrap())
}
