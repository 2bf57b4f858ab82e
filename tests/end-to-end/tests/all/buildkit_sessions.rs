// SPDX-License-Identifier: MIT
//! Sessions of build clients: what is sent of a context, and clients that go, or send what nobody can use. Nothing of them is kept, and
//! others are served.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyperbox_testkit::environment::{DaemonOptions, Output, STARTER, TestEnvironment, binary};
use hyperbox_testkit::wait_for;

use crate::buildkit_clients::{Client, configure};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The beginning of every connection of HTTP/2 (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Asks for an upgrade; returns the answer's first line and the connection.
pub(crate) fn upgrade(environment: &TestEnvironment, path: &str, headers: &str) -> (String, UnixStream) {
    let mut stream = UnixStream::connect(environment.socket()).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost:\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{headers}Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("an answer") == 1 {
        head.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&head)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    (line, stream)
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Waits until the other end has closed a connection.
fn wait_for_end(mut stream: UnixStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    drop(stream.read_to_end(&mut rest));
}

pub(crate) fn assert_well(environment: &TestEnvironment) {
    assert!(environment.docker(["version"]).succeeds().contains("Server:"));
    let log = environment.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// What a client says that it sent of its context, in bytes.
fn transferred(course: &str) -> f64 {
    let line = course.lines().rfind(|line| line.contains("transferring context: "));
    let (_, size) = line
        .expect("a transfer")
        .split_once("transferring context: ")
        .expect("a size");
    let size = size.split_whitespace().next().expect("a size");
    let number = size.trim_end_matches(|letter: char| letter.is_alphabetic());
    let factor = match &size[number.len()..] {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        unit => panic!("{unit}: {course}"),
    };
    number.parse::<f64>().expect("a number") * factor
}

#[test]
fn privileged_the_session_of_a_refused_build_ends() {
    let environment = TestEnvironment::start();
    let (answer, mut session) = upgrade(&environment, "/session", "X-Docker-Expose-Session-Uuid: refused\r\n");
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let build = "/v1.41/build?version=2&buildid=b&session=refused&networkmode=foo";
    let (answer, _) = upgrade(&environment, build, "");
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    // Its client neither speaks nor goes, for which alone it would have longer than is waited here.
    let ended = session.read_to_end(&mut Vec::new());
    assert!(
        !matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
        "{ended:?}"
    );
    assert_well(&environment);
    environment.finish();
}

#[test]
fn docker_cli_privileged_only_what_changed_is_sent() {
    let client = Client::new();
    let context = client.lay_out("c", &[("Dockerfile", &format!("FROM {STARTER}\nCOPY files /files\n"))]);
    for number in 0..200 {
        client.lay_out("c", &[(&format!("files/{number}"), &"x".repeat(20_000))]);
    }
    client.lay_out("c", &[("unread/large", &"y".repeat(3_000_000))]);
    let first = client.build(&["-t", "sent:1", &context]).exits_with(0);
    let all = transferred(&first.stderr);
    assert!((4e6..4.2e6).contains(&all), "{}", first.stderr);
    client.lay_out("c", &[("files/7", "changed\n")]);
    let second = client.build(&["-t", "sent:2", &context]).exits_with(0);
    assert!(transferred(&second.stderr) < 3e4, "{}", second.stderr);
    let read = |name: &str| client.docker(&["run", "--rm", "sent:2", "cat", name]).succeeds();
    assert_eq!(read("/files/7"), "changed");
    assert_eq!(read("/files/8").len(), 20_000);
    client.end(&["sent:1", "sent:2"]);
}

#[test]
fn docker_cli_privileged_the_next_daemon_knows_what_was_sent() {
    let mut client = Client::new();
    let context = client.lay_out("c", &[("Dockerfile", &format!("FROM {STARTER}\nCOPY files /files\n"))]);
    for number in 0..200 {
        client.lay_out("c", &[(&format!("files/{number}"), &"x".repeat(20_000))]);
    }
    client.build(&["-t", "sent:1", &context]).succeeds();
    let kept = client.environment.root().join("build/contexts/kept");
    wait_for("what was sent to be written down", || {
        let mut entries = fs::read_dir(&kept).expect("a directory").flatten();
        let is_index = |entry: fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "index");
        entries
            .any(is_index)
            .then_some(())
            .ok_or_else(|| "there is no index".to_owned())
    });
    // Neither by a death nor by an orderly end is it forgotten.
    client.environment.kill_daemon();
    client.environment.start_daemon(&DaemonOptions::default());
    client.lay_out("c", &[("files/7", "changed\n")]);
    let second = client.build(&["-t", "sent:2", &context]).exits_with(0);
    assert!(transferred(&second.stderr) < 3e4, "{}", second.stderr);
    client.environment.stop_daemon();
    client.environment.start_daemon(&DaemonOptions::default());
    let third = client.build(&["--no-cache", "-t", "sent:3", &context]).exits_with(0);
    assert!(transferred(&third.stderr) < 3e4, "{}", third.stderr);
    let read = |name: &str| client.docker(&["run", "--rm", "sent:3", "cat", name]).succeeds();
    assert_eq!(read("/files/7"), "changed");
    assert_eq!(read("/files/8").len(), 20_000);
    // Bytes that the disk has lost are noticed, and asked for again by the build after that.
    for entry in fs::read_dir(&kept).expect("a directory").flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "pack") {
            let length = entry.metadata().expect("its length").len();
            fs::write(entry.path(), vec![b'y'; usize::try_from(length).expect("a length")]).expect("damaged");
        }
    }
    let _damaged = client
        .build(&["--no-cache", "-t", "sent:4", &context])
        .exits_with(1)
        .complains("damaged");
    client.build(&["--no-cache", "-t", "sent:4", &context]).succeeds();
    assert_eq!(
        client.docker(&["run", "--rm", "sent:4", "cat", "/files/7"]).succeeds(),
        "changed"
    );
    client.docker(&["buildx", "prune", "-af"]).succeeds();
    assert_eq!(fs::read_dir(&kept).expect("a directory").count(), 0);
    client.end(&["sent:1", "sent:2", "sent:3", "sent:4"]);
}

#[test]
fn docker_cli_privileged_links_of_a_context_stay_in_it() {
    let client = Client::new();
    let context = client.lay_out(
        "c",
        &[
            ("all.file", &format!("FROM {STARTER}\nCOPY dir /dir\n")),
            ("outside.file", &format!("FROM {STARTER}\nCOPY outside /x\n")),
            ("circle.file", &format!("FROM {STARTER}\nCOPY circle /x\n")),
            ("etc/hostname", "the context's\n"),
            ("dir/file", "file\n"),
        ],
    );
    let root = client.environment.path("c");
    for (target, name) in [
        ("/etc/hostname", "outside"),
        ("circle", "circle"),
        ("../../../etc/shadow", "dir/up"),
        ("up", "dir/again"),
    ] {
        symlink(target, root.join(name)).expect("a link");
    }
    fs::hard_link(root.join("dir/file"), root.join("dir/hard")).expect("another name");
    let build = |name: &str, tag: &str| {
        let file = root.join(name);
        client.build(&["-f", file.to_str().expect("a path"), "-t", tag, &context])
    };
    build("all.file", "links:1").succeeds();
    let script = "readlink /dir/up; readlink /dir/again; cat /dir/hard";
    let found = client
        .docker(&["run", "--rm", "links:1", "sh", "-c", script])
        .succeeds();
    assert_eq!(found, "../../../etc/shadow\nup\nfile");
    build("outside.file", "links:2").succeeds();
    let found = client.docker(&["run", "--rm", "links:2", "cat", "/x"]).succeeds();
    assert_eq!(found, "the context's");
    let _why = build("circle.file", "links:3")
        .exits_with(1)
        .complains("too many links");
    assert_well(&client.environment);
    client.end(&["links:1", "links:2"]);
}

#[test]
fn privileged_sessions_that_are_none_are_refused() {
    let environment = TestEnvironment::start();
    let (answer, _stream) = upgrade(&environment, "/session", "");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    for (number, garbage) in [
        Vec::new(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        // Longer than the other side allows.
        frame(0, 0, 1, &vec![0; 20_000]),
        // Settings with half a setting; then data of a stream that nobody opened; then headers that are no headers.
        frame(4, 0, 0, &[0; 5]),
        [frame(4, 0, 0, &[]), frame(0, 0, 99, b"x")].concat(),
        [frame(4, 0, 0, &[]), frame(1, 4, 2, &[0xff; 40])].concat(),
        // Settings again and again; the other side answers each.
        frame(4, 0, 0, &[]).repeat(5_000),
        // Pings again and again.
        [frame(4, 0, 0, &[]), frame(6, 0, 0, &[7; 8]).repeat(5_000)].concat(),
    ]
    .into_iter()
    .enumerate()
    {
        let headers = format!("X-Docker-Expose-Session-Uuid: bad-{number}\r\n");
        let (answer, mut stream) = upgrade(&environment, "/session", &headers);
        assert!(answer.starts_with("HTTP/1.1 101"), "{number}: {answer}");
        // The daemon may have had enough before all is sent.
        drop(stream.write_all(&garbage));
        drop(stream.shutdown(std::net::Shutdown::Write));
        wait_for_end(stream);
    }
    // Its name is free again, and taken only once.
    let headers = "X-Docker-Expose-Session-Uuid: bad-0\r\n";
    let (_, first) = upgrade(&environment, "/session", headers);
    let (_, second) = upgrade(&environment, "/session", headers);
    wait_for_end(second);
    drop(first);
    let info = environment.hb(["info"]);
    info.succeeds();
    let log = environment.log();
    assert!(!log.contains("panicked"), "{log}");
    environment.finish();
}

#[test]
fn privileged_calls_that_are_none_end_their_connection_only() {
    let environment = TestEnvironment::start();
    let settings = frame(4, 0, 0, &[]);
    for (number, garbage) in [
        Vec::new(),
        b"nonsense".repeat(1000),
        PREFACE.to_vec(),
        [PREFACE, &settings, &frame(0, 0, 1, b"x")].concat(),
        [PREFACE, &settings, &frame(1, 4, 1, &[0xff; 40])].concat(),
        [PREFACE, &settings, &frame(9, 4, 1, &[0; 40])].concat(),
        [PREFACE, &settings, &frame(8, 0, 0, &[0; 4])].concat(),
        [PREFACE, &settings, &frame(0x77, 0xff, 3, &[1; 300])].concat(),
        // Streams that are opened and reset without end.
        {
            let mut bytes = [PREFACE, &settings[..]].concat();
            for stream in (1..20_000).step_by(2) {
                // ":method: POST", ":scheme: http", ":path: /" of the static table (RFC 7541, appendix A).
                bytes.extend(frame(1, 4, stream, &[0x83, 0x86, 0x84]));
                bytes.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
            }
            bytes
        },
    ]
    .into_iter()
    .enumerate()
    {
        let (answer, mut stream) = upgrade(&environment, "/grpc", "");
        assert!(answer.starts_with("HTTP/1.1 101"), "{number}: {answer}");
        drop(stream.write_all(&garbage));
        drop(stream.shutdown(std::net::Shutdown::Write));
        wait_for_end(stream);
    }
    environment.hb(["info"]).succeeds();
    let log = environment.log();
    assert!(!log.contains("panicked"), "{log}");
    environment.finish();
}

/// Starts buildx itself, so that a signal reaches it.
pub(crate) fn buildx(environment: &TestEnvironment, words: &[&str]) -> Command {
    let target = binary("hb")
        .ancestors()
        .nth(2)
        .expect("the target directory")
        .to_owned();
    let mut command = environment.command(&target.join("buildx/cli-plugins/docker-buildx"));
    command
        .env("DOCKER_HOST", environment.host())
        .args(["build", "--progress", "plain"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn kill(mut client: Child) {
    client.kill().expect("killed");
    client.wait().expect("waited for");
}

/// Reads until a text has come.
pub(crate) fn wait_for_text(stream: &mut impl std::io::Read, text: &str) {
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while !seen.contains(text) {
        let length = stream.read(&mut buffer).expect("output");
        assert!(length > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}

#[test]
fn docker_cli_privileged_clients_that_vanish_leave_nothing() {
    let environment = TestEnvironment::with_starter();
    configure(&environment);
    let root = environment.path("c");
    fs::create_dir_all(&root).expect("made");
    let dockerfile = format!("FROM {STARTER}\nRUN head -c 30000000 /dev/zero > /large\n");
    fs::write(root.join("Dockerfile"), dockerfile).expect("written");
    let context = root.to_str().expect("a path");

    // While it uploads a context from its standard input.
    let mut client = buildx(&environment, &["-"]).spawn().expect("started");
    let mut header = tar::Header::new_gnu();
    header.set_path("Dockerfile").expect("a path");
    header.set_size(10_000_000);
    header.set_cksum();
    let mut input = client.stdin.take().expect("its input");
    input.write_all(header.as_bytes()).expect("sent");
    input.write_all(&[b'#'; 300_000]).expect("sent");
    let mut course = client.stderr.take().expect("its output");
    wait_for_text(&mut course, "#1 ");
    kill(client);
    drop(input);

    // While it takes a result that nobody reads.
    let mut client = buildx(&environment, &["--output", "type=tar,dest=-", context])
        .spawn()
        .expect("started");
    let mut output = client.stdout.take().expect("its output");
    let mut beginning = [0; 512];
    output.read_exact(&mut beginning).expect("the beginning of the result");
    kill(client);

    // Before it has a chance to send anything of a directory with many files.
    for number in 0..2000 {
        fs::write(root.join(format!("f{number}")), "x").expect("written");
    }
    let all = environment.path("all");
    fs::write(&all, format!("FROM {STARTER}\nCOPY . /all\n")).expect("written");
    for _ in 0..3 {
        let file = all.to_str().expect("a path");
        let mut client = buildx(&environment, &["-f", file, context]).spawn().expect("started");
        let mut course = client.stderr.take().expect("its output");
        wait_for_text(&mut course, "[internal] load build");
        kill(client);
    }

    let idle = || match fs::read_dir(environment.root().join("build/run")).map_or(0, Iterator::count) {
        0 => Ok(()),
        count => Err(format!("{count} steps are left")),
    };
    wait_for("all steps to be gone", idle);
    assert_well(&environment);
    // The next build is not disturbed.
    let mut command = buildx(
        &environment,
        &["-t", "next:1", "-f", all.to_str().expect("a path"), context],
    );
    Output::of(&mut command).succeeds();
    environment.hb(["rmi", "-f", "next:1"]).succeeds();
    environment.hb(["image", "prune", "-f"]).succeeds();
    environment.hb(["builder", "prune", "-af"]).succeeds();
    environment.finish();
}
