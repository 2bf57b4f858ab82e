// SPDX-License-Identifier: MIT
//! Clients that leave in the middle of a transfer, hostile archives in requests, and requests that never end: nothing of them is
//! kept, and others are served meanwhile.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::images::{LayoutOptions, starter};
use hyperbox_testkit::registry::Fault;
use hyperbox_testkit::wait_for;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(environment: &TestEnvironment) -> UnixStream {
    let stream = UnixStream::connect(environment.socket()).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

/// Sends a request whose body is `announced` bytes long, with only this beginning of it.
fn begin(environment: &TestEnvironment, line: &str, announced: usize, beginning: &[u8]) -> UnixStream {
    let mut stream = connect(environment);
    let head = format!(
        "{line} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\nContent-Length: {announced}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(beginning).expect("sent");
    stream
}

/// Makes an archive with one file, whose name is written as it is.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = content.len().next_multiple_of(512) - content.len();
    [&header[..], content, &vec![0; padding + 1024]].concat()
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).map_or(0, Iterator::count) == 0
}

#[test]
fn privileged_a_pull_whose_client_has_left_keeps_nothing_half() {
    let environment = TestEnvironment::start();
    let registry = environment.faulty_registry();
    let layout = environment.layout(&starter(), LayoutOptions::default());
    let image = registry.add("library/slow:1", &layout);
    registry.misbehave("/blobs/", usize::MAX, Fault::Slow(1024, Duration::from_millis(20)));
    for _ in 0..3 {
        let mut stream = connect(&environment);
        let request =
            format!("POST /images/create?fromImage={image} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        wait_for("the layer to be asked for", || {
            let asked = registry.seen().iter().any(|request| request.path.contains("/blobs/"));
            if asked { Ok(()) } else { Err("not yet".to_owned()) }
        });
        stream.shutdown(Shutdown::Both).unwrap();
    }
    let ingest = environment.root().join("content/ingest");
    wait_for("the pulls to be given up", || {
        if is_empty(&ingest) {
            Ok(())
        } else {
            Err(format!("{} is not empty", ingest.display()))
        }
    });
    assert_eq!(environment.hb(["images", "-q"]).succeeds(), "");
    registry.behave();
    environment.hb(["pull", &image]).succeeds();
    environment.finish();
}

#[test]
fn privileged_an_upload_whose_client_has_left() {
    let environment = TestEnvironment::with_starter();
    environment.detached(&["--name", "web"], &["sleep", "600"]);
    let whole = archive("big", &vec![b'x'; 4 << 20]);
    for line in [
        "PUT /containers/web/archive?path=/tmp",
        "POST /images/load",
        "POST /images/create?fromSrc=-",
    ] {
        for part in [1, 300, 600, whole.len() / 2, whole.len() - 700] {
            let stream = begin(&environment, line, whole.len(), &whole[..part]);
            stream.shutdown(Shutdown::Both).unwrap();
        }
    }
    // Whoever does it to the end succeeds.
    let mut stream = begin(
        &environment,
        "PUT /containers/web/archive?path=/tmp",
        whole.len(),
        &whole,
    );
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let size = environment
        .hb(["exec", "web", "stat", "-c", "%s", "/tmp/big"])
        .succeeds();
    assert_eq!(size, (4 << 20).to_string());
    assert_eq!(environment.hb(["images", "-q"]).succeeds().lines().count(), 1);
    let staging = environment.root().join("overlay/staging");
    wait_for("the uploads to be given up", || {
        if is_empty(&staging) && is_empty(&environment.root().join("content/ingest")) {
            Ok(())
        } else {
            Err("something is being written".to_owned())
        }
    });
    environment.finish();
}

#[test]
fn privileged_archives_do_not_lead_out_of_the_container() {
    let environment = TestEnvironment::with_starter();
    let outside = environment.path("outside");
    fs::create_dir(&outside).unwrap();
    environment.detached(&["--name", "web"], &["sleep", "600"]);
    let link = format!("ln -s {} /tmp/there", outside.display());
    environment.hb(["exec", "web", "sh", "-c", &link]).succeeds();
    let upwards = format!("../../../../../../..{}/evil", outside.display());
    let absolute = format!("{}/evil", outside.display());
    for name in [upwards.as_str(), absolute.as_str(), "there/evil", "../there/evil"] {
        let body = archive(name, b"evil");
        let mut stream = begin(&environment, "PUT /containers/web/archive?path=/tmp", body.len(), &body);
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        let status = String::from_utf8_lossy(&head[9..]).into_owned();
        assert!(["200", "400", "403"].contains(&status.as_str()), "{name}: {status}");
        assert!(is_empty(&outside), "{name} led out");
    }
    for path in ["/../../../../etc", "..%2F..%2F..%2Fetc", "/tmp/there/../../etc"] {
        let (code, _) = environment
            .api("GET", &format!("/containers/web/archive?path={path}/hostname"), "")
            .unwrap();
        assert!(code == 200 || code == 404, "{path}: {code}");
    }
    let own = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let mut stream = connect(&environment);
    let request = "GET /containers/web/archive?path=/../../../../../../etc/hostname HTTP/1.0\r\nHost: d\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        own.trim().is_empty() || !answer.contains(&format!("\0{}\n\0", own.trim())),
        "the host's file came"
    );
    environment.finish();
}

#[test]
fn privileged_requests_without_end_hinder_nobody() {
    let environment = TestEnvironment::with_starter();
    let beginnings: [&[u8]; 4] = [
        b"",
        b"GET /info HT",
        b"POST /containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        b"POST /containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nTransfer-Encoding: \
          chunked\r\n\r\n5\r\n{",
    ];
    let streams: Vec<UnixStream> = (0..200)
        .map(|number| {
            let mut stream = connect(&environment);
            stream.write_all(beginnings[number % beginnings.len()]).unwrap();
            stream
        })
        .collect();
    assert_eq!(environment.run(&[], &["echo", "served"]), "served");
    assert_eq!(environment.hb(["ps", "-aq"]).succeeds(), "");
    drop(streams);
    environment.hb(["create", "--name", "made", STARTER]).succeeds();
    assert_eq!(environment.container_ids().len(), 1, "what broke off has made nothing");
    environment.finish();
}

#[test]
fn privileged_input_that_breaks_off_ends_with_the_client() {
    let environment = TestEnvironment::with_starter();
    environment.detached(
        &["-i", "--name", "reader"],
        &["sh", "-c", "while read line; do echo got $line; done; echo end"],
    );
    for number in 0..5 {
        let mut stream = connect(&environment);
        let request = "POST /containers/reader/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: \
                       Upgrade\r\nUpgrade: tcp\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 101");
        stream.write_all(format!("line {number}\nhalf").as_bytes()).unwrap();
        environment.wait_for_log("reader", &format!("line {number}\n"));
        stream.shutdown(Shutdown::Both).unwrap();
        drop(stream);
    }
    // Input stays open for the next one: nobody has said that it ends.
    assert_eq!(environment.status("reader"), "running");
    environment.finish();
}
