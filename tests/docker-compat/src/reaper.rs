// SPDX-License-Identifier: MIT
//! A reaper as Testcontainers wants one, speaking the protocol of its Ryuk: removes what a client has left behind, however it ended.
//!
//! Runs in a container (`images::reaper`) that has an engine's socket bind-mounted at `/var/run/docker.sock`. Clients connect to TCP
//! port 8080 and send lines `label=NAME=VALUE[&label=…]`, each answered by `ACK`. When the last client has been gone for
//! `RYUK_RECONNECTION_TIMEOUT`, or none has come within `RYUK_CONNECTION_TIMEOUT`, containers, networks, volumes and images with the
//! labels of one of the lines are removed, and the program ends. `Started!` on standard output says that it listens.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "clients wait for a line of its log")]

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};

const ADDRESS: &str = "0.0.0.0:8080";
const SOCKET: &str = "/var/run/docker.sock";

/// What a client does.
enum Event {
    Connected,
    Labels(Vec<String>),
    Gone,
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(ADDRESS)?;
    let (sender, events) = channel();
    std::thread::spawn(move || accept(&listener, &sender));
    println!("reaper: Started!");
    let filters = collect(
        &events,
        timeout("RYUK_CONNECTION_TIMEOUT", "60s"),
        timeout("RYUK_RECONNECTION_TIMEOUT", "10s"),
    );
    for labels in filters {
        println!("reaper: removing what has {labels:?}");
        reap(&labels)?;
    }
    Ok(())
}

fn accept(listener: &TcpListener, sender: &Sender<Event>) {
    for stream in listener.incoming().flatten() {
        // The receiver is gone when the program ends.
        if sender.send(Event::Connected).is_err() {
            return;
        }
        let sender = sender.clone();
        std::thread::spawn(move || {
            // A connection that breaks has ended, too.
            drop(serve(stream, &sender));
            drop(sender.send(Event::Gone));
        });
    }
}

fn serve(mut stream: TcpStream, sender: &Sender<Event>) -> io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    for line in lines {
        let labels = labels(line?.trim());
        if !labels.is_empty() {
            drop(sender.send(Event::Labels(labels)));
            stream.write_all(b"ACK\n")?;
        }
    }
    Ok(())
}

/// Collects the labels of all lines until nobody is connected for long enough.
fn collect(events: &Receiver<Event>, first: Duration, again: Duration) -> BTreeSet<Vec<String>> {
    let (mut connected, mut patience) = (0_usize, first);
    let mut filters = BTreeSet::new();
    loop {
        let event = if connected == 0 {
            events.recv_timeout(patience).ok()
        } else {
            events.recv().ok()
        };
        match event {
            Some(Event::Connected) => connected += 1,
            Some(Event::Labels(labels)) => drop(filters.insert(labels)),
            Some(Event::Gone) => {
                connected -= 1;
                patience = again;
            }
            None => return filters,
        }
    }
}

/// Reads `label=a=b&label=c`, percent-encoded as in a URL.
fn labels(line: &str) -> Vec<String> {
    let parts = line.split('&').filter_map(|part| part.strip_prefix("label="));
    parts.map(decode).filter(|label| !label.is_empty()).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads a duration as Go writes it: a number of `ms`, `s` or `m`.
fn timeout(variable: &str, default: &str) -> Duration {
    let text = std::env::var(variable).unwrap_or_default();
    duration(&text).or_else(|| duration(default)).unwrap_or_default()
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|letter: char| !letter.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    match &text[unit..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number * 60)),
        _ => None,
    }
}

/// Removes everything that has all of these labels; what is gone already, or still used by others, is left.
fn reap(labels: &[String]) -> io::Result<()> {
    let filters = encode(&json!({"label": labels}).to_string());
    let kinds = [
        ("/containers/json?all=1&", None, "Id", "/containers/", "?force=1&v=1"),
        ("/networks?", None, "Id", "/networks/", ""),
        ("/volumes?", Some("Volumes"), "Name", "/volumes/", "?force=1"),
        ("/images/json?", None, "Id", "/images/", "?force=1"),
    ];
    for (list, field, id, path, options) in kinds {
        let mut answer = ask("GET", &format!("{list}filters={filters}"))?;
        let found = match field {
            Some(field) => answer[field].take(),
            None => answer,
        };
        for object in found.as_array().into_iter().flatten() {
            let name = object[id].as_str().unwrap_or_default();
            ask("DELETE", &format!("{path}{name}{options}"))?;
        }
    }
    Ok(())
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn ask(method: &str, path: &str) -> io::Result<Value> {
    let mut stream = UnixStream::connect(SOCKET)?;
    // HTTP/1.0: no chunks, and the answer ends with the connection.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: engine\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    // Removals answer with nothing.
    Ok(serde_json::from_str(body).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_clients() {
        for (line, expected) in [
            ("label=a=b", &["a=b"][..]),
            ("label=a%3Db&label=c", &["a=b", "c"]),
            ("label=a=%zz", &["a=%zz"]),
            ("name=x", &[]),
            ("", &[]),
        ] {
            assert_eq!(labels(line), expected, "{line}");
        }
    }

    #[test]
    fn durations_of_go() {
        for (text, expected) in [
            ("10s", Some(Duration::from_secs(10))),
            ("500ms", Some(Duration::from_millis(500))),
            ("1m", Some(Duration::from_secs(60))),
            ("10", None),
            ("", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn it_ends_when_the_last_client_is_gone() {
        let (sender, events) = channel();
        let labels = vec!["a".to_owned()];
        for event in [
            Event::Connected,
            Event::Connected,
            Event::Gone,
            Event::Labels(labels.clone()),
            Event::Gone,
        ] {
            sender.send(event).expect("received");
        }
        let filters = collect(&events, Duration::from_secs(60), Duration::ZERO);
        assert_eq!(filters, BTreeSet::from([labels]));
        assert!(collect(&events, Duration::ZERO, Duration::ZERO).is_empty());
    }
}
