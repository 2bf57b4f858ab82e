// SPDX-License-Identifier: MIT
//! Clients that misbehave: the daemon answers as Docker does, lives on, and keeps nothing of them.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hyperbox_testkit::environment::TestEnvironment;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much memory the daemon may have more than before (KiB): what allocators keep.
const KEPT_MEMORY: u64 = 64 * 1024;

fn send(environment: &TestEnvironment, request: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(environment.socket()).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    // A daemon that refuses may close before it has read all.
    drop(stream.write_all(request));
    stream
}

/// Sends a request and returns the status; 0 when the connection was closed without an answer.
fn status(environment: &TestEnvironment, request: &[u8]) -> u16 {
    let mut stream = send(environment, request);
    let mut head = [0; 12];
    match stream.read_exact(&mut head) {
        Ok(()) => String::from_utf8_lossy(&head[9..]).parse().expect("a status"),
        Err(_) => 0,
    }
}

fn descriptors(environment: &TestEnvironment) -> usize {
    let directory = format!("/proc/{}/fd", environment.daemon_pid());
    std::fs::read_dir(directory).expect("the daemon lives").count()
}

fn resident_kib(environment: &TestEnvironment) -> u64 {
    let path = format!("/proc/{}/status", environment.daemon_pid());
    let text = std::fs::read_to_string(path).expect("the daemon lives");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn wait_for_descriptors(environment: &TestEnvironment, before: usize) {
    hyperbox_testkit::wait_for("connections to be gone", || {
        let now = descriptors(environment);
        // Sandboxes that are kept ready come and go.
        if now <= before + 20 {
            Ok(())
        } else {
            Err(format!("{now} descriptors, {before} before"))
        }
    });
}

fn wait_for_memory(environment: &TestEnvironment, before: u64) {
    hyperbox_testkit::wait_for("memory to return", || {
        let now = resident_kib(environment);
        if now <= before + KEPT_MEMORY {
            Ok(())
        } else {
            Err(format!("{now} KiB, {before} before"))
        }
    });
}

#[test]
fn privileged_clients_that_leave_in_the_middle() {
    let environment = TestEnvironment::with_starter();
    environment.detached(
        &["--name", "web"],
        &["sh", "-c", "while :; do echo line; sleep 0.01; done"],
    );
    let before = (descriptors(&environment), resident_kib(&environment));
    let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                  dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upload = "Content-Type: application/x-tar\r\nContent-Length: 100000\r\n";
    for (line, headers) in [
        ("POST /containers/web/attach?stream=1&stdout=1", upgrade),
        ("GET /containers/web/attach/ws?stream=1&stdout=1", socket),
        ("GET /containers/web/logs?follow=1&stdout=1", ""),
        ("GET /containers/web/stats", ""),
        ("GET /events", ""),
        ("POST /containers/web/wait", ""),
        ("GET /containers/web/archive?path=/", ""),
        ("GET /containers/web/export", ""),
        ("GET /images/get?names=starter:latest", ""),
        ("PUT /containers/web/archive?path=/tmp", upload),
        ("POST /images/load", upload),
        ("POST /build", upload),
        ("POST /images/create?fromImage=127.0.0.1:1/x", ""),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: docker\r\n{headers}\r\nthe beginning");
        for _ in 0..10 {
            let mut stream = send(&environment, request.as_bytes());
            if !headers.contains("x-tar") {
                let mut first = [0; 12];
                stream.read_exact(&mut first).expect(line);
            }
            drop(stream.shutdown(Shutdown::Both));
        }
    }
    wait_for_descriptors(&environment, before.0);
    wait_for_memory(&environment, before.1);
    assert_eq!(environment.status("web"), "running");
    environment.hb(["rm", "-f", "web"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_two_hundred_connections_at_once() {
    let environment = TestEnvironment::with_starter();
    let before = descriptors(&environment);
    let request = b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n";
    let streams: Vec<UnixStream> = (0..200).map(|_| send(&environment, request)).collect();
    for mut stream in &streams {
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    assert_eq!(environment.run(&[], &["echo", "still there"]), "still there");
    drop(streams);
    wait_for_descriptors(&environment, before);
    environment.finish();
}

#[test]
fn privileged_requests_that_are_none() {
    let environment = TestEnvironment::with_starter();
    let before = (descriptors(&environment), resident_kib(&environment));
    let post = |path: &str, media_type: &str, body: &[u8]| {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    let json = "application/json";
    let create = "/containers/create";
    let huge = format!("{{\"Image\":\"{}\"}}", "x".repeat(64 << 20));
    let header = |name: &str, value: &[u8]| {
        let start = format!("GET /info HTTP/1.1\r\nHost: docker\r\n{name}: ");
        [start.as_bytes(), value, b"\r\n\r\n"].concat()
    };
    for (what, request, expected) in [
        ("malformed JSON", post(create, json, b"{\"Image\":"), &[400][..]),
        ("a wrong type", post(create, json, b"{\"Image\":5}"), &[400]),
        ("no UTF-8", post(create, json, b"{\"Image\":\"\xff\xfe\"}"), &[400, 404]),
        ("deep JSON", post(create, json, "[".repeat(100_000).as_bytes()), &[400]),
        ("another document", post(create, json, b"{} {}"), &[400]),
        ("another media type", post(create, "text/plain", b"{}"), &[400]),
        (
            "unknown fields",
            post(create, json, b"{\"Image\":\"nosuch\",\"Bogus\":{\"x\":[]}}"),
            &[404],
        ),
        ("a huge body", post(create, json, huge.as_bytes()), &[413, 0]),
        (
            "a path upwards",
            b"GET /containers/../../etc/passwd HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            &[301],
        ),
        (
            "an encoded path upwards",
            b"GET /containers/%2e%2e%2fx/json HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            &[301, 404],
        ),
        (
            "a zero in the path",
            b"GET /containers/%00/json HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            &[400, 404],
        ),
        (
            "no UTF-8 in the path",
            b"GET /containers/%ff/json HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            &[400, 404],
        ),
        (
            "no HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
            &[400, 0],
        ),
        (
            "a header without end",
            header("X-Long", "x".repeat(2 << 20).as_bytes()),
            &[400, 431, 0],
        ),
        ("a header that is no text", header("X-Bytes", b"\xff\xfe"), &[200, 400]),
        ("a header in two lines", header("X-Two", b"a\r\n b"), &[200, 400, 0]),
        ("a length that is none", header("Content-Length", b"-1"), &[400, 0]),
        ("no host", b"GET /info HTTP/1.1\r\n\r\n".to_vec(), &[400]),
        ("two hosts", header("Host", b"other"), &[400]),
        ("an expectation nobody knows", header("Expect", b"nonsense"), &[417]),
        (
            "a thousand headers",
            header("X-Many", "y\r\nX-Many: ".repeat(1000).as_bytes()),
            &[431],
        ),
        ("a header without name", header("X-One", b"y\r\n: z"), &[400]),
        (
            "an escape that is none",
            b"GET /containers/%zz/json HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            &[400],
        ),
        (
            "a chunk that is none",
            b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: \
              chunked\r\n\r\nzz\r\n"
                .to_vec(),
            &[400],
        ),
        (
            "two lengths",
            header("Content-Length", b"1\r\nContent-Length: 2"),
            &[400, 0],
        ),
        (
            "a method that is none",
            b"BOGUS /info HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            &[404],
        ),
    ] {
        for _ in 0..3 {
            let status = status(&environment, &request);
            assert!(expected.contains(&status), "{what}: {status}");
        }
    }
    wait_for_descriptors(&environment, before.0);
    wait_for_memory(&environment, before.1);
    assert_eq!(environment.run(&[], &["echo", "still there"]), "still there");
    environment.finish();
}
