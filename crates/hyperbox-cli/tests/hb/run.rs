// SPDX-License-Identifier: MIT
//! `hb run` on one connection, and step by step where the daemon has no such route.

use std::io::{Read, Write};
use std::net::TcpStream;

use hyperbox_types::stream::{Channel, HEADER_LEN, header, parse_header};

use super::daemon::{Daemon, Step, answer, raw};
use super::program::{run, run_with_input};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: hyperbox-run\r\n\r\n";

pub(crate) fn frame(channel: Channel, bytes: &[u8]) -> Vec<u8> {
    let mut frame = header(channel, u32::try_from(bytes.len()).unwrap()).to_vec();
    frame.extend_from_slice(bytes);
    frame
}

fn event(text: &str) -> Vec<u8> {
    frame(Channel::Control, text.as_bytes())
}

pub(crate) fn created() -> Vec<u8> {
    event(&format!(r#"{{"event":"created","id":"{ID}","warnings":["no swap"]}}"#))
}

fn session(frames: &[Vec<u8>]) -> Step {
    raw([SWITCH.as_bytes().to_vec(), frames.concat()].concat())
}

/// Reads frames until the empty one that closes the input; returns the input.
fn read_input(stream: &mut TcpStream) -> Vec<u8> {
    let mut input = Vec::new();
    loop {
        let mut head = [0; HEADER_LEN];
        stream.read_exact(&mut head).unwrap();
        let (channel, length) = parse_header(head).unwrap();
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut bytes).unwrap();
        if channel == Channel::Stdin && bytes.is_empty() {
            return input;
        }
        if channel == Channel::Stdin {
            input.extend(bytes);
        }
    }
}

#[test]
fn output_warnings_and_exit_code() {
    let daemon = Daemon::start(vec![session(&[
        created(),
        event(r#"{"event":"started"}"#),
        frame(Channel::Stdout, b"out\n"),
        frame(Channel::Stderr, b"err\n"),
        event(r#"{"event":"exited","code":42}"#),
    ])]);
    let result = run(&[
        "--host",
        daemon.address(),
        "run",
        "--rm",
        "--name",
        "n",
        "busybox",
        "-x",
        "--rm",
    ]);
    assert_eq!(
        (result.code, result.stdout.as_str(), result.stderr.as_str()),
        (Some(42), "out\n", "WARNING: no swap\nerr\n")
    );
    assert_eq!(daemon.request_lines(), ["POST /hyperbox/v1/run HTTP/1.1"]);
    let body: serde_json::Value = serde_json::from_str(daemon.request(0).split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["name"], "n");
    assert_eq!(body["container"]["Cmd"], serde_json::json!(["-x", "--rm"]));
    assert_eq!(
        body["attach"],
        serde_json::json!({"stdin": false, "stdout": true, "stderr": true})
    );
}

#[test]
fn input_is_forwarded_and_closed() {
    let daemon = Daemon::start(vec![Box::new(|stream| {
        stream
            .write_all(&[SWITCH.as_bytes().to_vec(), created()].concat())
            .unwrap();
        let input = read_input(stream);
        let answer = [frame(Channel::Stdout, &input), event(r#"{"event":"exited","code":0}"#)].concat();
        stream.write_all(&answer).unwrap();
    })]);
    let input = vec![b'x'; 100_000];
    let result = run_with_input(&["--host", daemon.address(), "run", "-i", "busybox", "cat"], &input);
    assert_eq!((result.code, result.stdout.len()), (Some(0), input.len()));
}

#[test]
fn detached_runs_print_the_id_once_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("id");
    let daemon = Daemon::start(vec![session(&[created(), event(r#"{"event":"started"}"#)])]);
    let result = run(&[
        "--host",
        daemon.address(),
        "run",
        "-d",
        "--cidfile",
        file.to_str().unwrap(),
        "busybox",
    ]);
    assert_eq!((result.code, result.stdout.trim()), (Some(0), ID));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ID);
    let again = run(&[
        "--host",
        daemon.address(),
        "run",
        "--cidfile",
        file.to_str().unwrap(),
        "busybox",
    ]);
    assert_eq!(again.code, Some(125));
    assert!(again.stderr.contains("container ID file found"), "{again:?}");
}

#[test]
fn commands_that_cannot_start_have_their_exit_codes() {
    for (message, code) in [
        ("exec: \\\"x\\\": executable file not found in $PATH", 127),
        ("exec: permission denied", 126),
        ("no room", 125),
    ] {
        let failed = format!(r#"{{"event":"failed","kind":"invalid-argument","message":"{message}","hint":"try y"}}"#);
        let daemon = Daemon::start(vec![session(&[created(), event(&failed)])]);
        let result = run(&["--host", daemon.address(), "run", "busybox"]);
        assert_eq!(result.code, Some(code), "{result:?}");
        assert!(result.stderr.ends_with("hint: try y\n"), "{result:?}");
    }
}

#[test]
fn broken_sessions_are_engine_failures() {
    for frames in [
        vec![created()],
        vec![created(), frame(Channel::Stdout, b"half a frame")[..12].to_vec()],
        vec![created(), vec![9, 0, 0, 0, 0, 0, 0, 0]],
        vec![event("not json")],
        vec![frame(Channel::SystemError, b"the disk is gone")],
    ] {
        let daemon = Daemon::start(vec![session(&frames)]);
        let result = run(&["--host", daemon.address(), "run", "busybox"]);
        assert_eq!(result.code, Some(125), "{result:?}");
        assert!(result.stderr.lines().any(|line| line.starts_with("hb: ")), "{result:?}");
    }
}

#[test]
fn missing_images_are_pulled_once() {
    let missing = "{\"message\":\"No such image: busybox:latest\"}";
    let progress = "{\"status\":\"Pulling from library/busybox\",\"id\":\"latest\"}\n{\"status\":\"Downloading\",\"id\":\"a\",\"progressDetail\":{\"current\":1,\"total\":2}}\n";
    let daemon = Daemon::start(vec![
        answer("404 Not Found", missing),
        answer("200 OK", progress),
        session(&[created(), event(r#"{"event":"exited","code":0}"#)]),
    ]);
    let result = run(&["--host", daemon.address(), "run", "busybox"]);
    assert_eq!(result.code, Some(0), "{result:?}");
    assert_eq!(
        result.stderr,
        "Unable to find image 'busybox:latest' locally\nlatest: Pulling from library/busybox\nWARNING: no swap\n"
    );
    assert_eq!(
        daemon.request_lines()[1],
        "POST /v1.51/images/create?fromImage=busybox&tag=latest HTTP/1.1"
    );
    let failing = "{\"errorDetail\":{\"message\":\"manifest unknown\"},\"error\":\"manifest unknown\"}\n";
    let daemon = Daemon::start(vec![answer("404 Not Found", missing), answer("200 OK", failing)]);
    let result = run(&["--host", daemon.address(), "run", "-q", "busybox"]);
    assert_eq!(
        (result.code, result.stderr.as_str()),
        (Some(125), "hb: manifest unknown\n")
    );
    let daemon = Daemon::start(vec![answer("404 Not Found", missing)]);
    assert_eq!(
        run(&["--host", daemon.address(), "run", "--pull", "never", "busybox"]).code,
        Some(125)
    );
}

#[test]
fn engines_without_the_run_route_are_driven_in_steps() {
    let attached = [
        b"HTTP/1.1 101 UPGRADED\r\n\r\n".to_vec(),
        frame(Channel::Stdout, b"hi\n"),
    ]
    .concat();
    let daemon = Daemon::start(vec![
        answer("404 Not Found", "{\"message\":\"page not found\"}"),
        answer("201 Created", "{\"Id\":\"abc\",\"Warnings\":null}"),
        raw(attached),
        answer("200 OK", "{\"StatusCode\":5}"),
        answer("204 No Content", ""),
    ]);
    let result = run(&["--host", daemon.address(), "run", "--rm", "busybox"]);
    assert_eq!((result.code, result.stdout.as_str()), (Some(5), "hi\n"), "{result:?}");
    assert_eq!(
        daemon.request_lines(),
        [
            "POST /hyperbox/v1/run HTTP/1.1",
            "POST /v1.51/containers/create HTTP/1.1",
            "POST /v1.51/containers/abc/attach?stderr=1&stdout=1&stream=1 HTTP/1.1",
            "POST /v1.51/containers/abc/wait?condition=removed HTTP/1.1",
            "POST /v1.51/containers/abc/start HTTP/1.1",
        ]
    );
}
