// SPDX-License-Identifier: MIT
//! Build clients that go in every phase, many at once: nothing of them is left in the daemon, no descriptor, no step, no memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::thread;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::wait_for;

use crate::buildkit_clients::{configure, runs};
use crate::buildkit_sessions::{PREFACE, assert_well, buildx, frame, kill, upgrade, wait_for_text};

/// So many do the same at once.
const TOGETHER: usize = 12;
/// Descriptors that come and go by themselves: connections of who looks, files that are written beside everything.
const PASSING: usize = 12;
/// As much memory as a daemon may keep for what comes next.
const SPARE_KIB: u64 = 48 * 1024;

/// What a daemon holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    memory_kib: u64,
}

fn held(environment: &TestEnvironment) -> Held {
    let process = format!("/proc/{}", environment.daemon_pid());
    let status = fs::read_to_string(format!("{process}/status")).expect("its status");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("its memory");
    let memory = line.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    Held {
        descriptors: fs::read_dir(format!("{process}/fd")).expect("its descriptors").count(),
        memory_kib: memory.expect("a number"),
    }
}

/// Waits until a daemon holds no more than before.
fn wait_for_nothing_left(environment: &TestEnvironment, before: Held) {
    wait_for("the daemon to let go", || {
        let now = held(environment);
        let few = now.descriptors <= before.descriptors + PASSING;
        match few && now.memory_kib <= before.memory_kib + SPARE_KIB {
            true => Ok(()),
            false => Err(format!("{before:?} became {now:?}")),
        }
    });
    assert_well(environment);
}

/// A header that no table knows (RFC 7541, 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| {
        u8::try_from(text.len())
            .ok()
            .filter(|length| *length < 127)
            .expect("a short text")
    };
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// The head of a call; its stream stays open.
fn call(method: &str) -> Vec<u8> {
    // ":method: POST", ":scheme: http" of the static table (RFC 7541, appendix A).
    let fields = [
        vec![0x83, 0x86],
        literal(":path", method),
        literal(":authority", "localhost"),
        literal("content-type", "application/grpc"),
        literal("te", "trailers"),
    ];
    frame(1, 4, 1, &fields.concat())
}

/// A message of a call, as much of it as there is.
fn message(length: u32, bytes: &[u8]) -> Vec<u8> {
    frame(0, 0, 1, &[&[0], &length.to_be_bytes()[..], bytes].concat())
}

/// Settings that let the other end send nothing (RFC 9113, 6.5.2: `SETTINGS_INITIAL_WINDOW_SIZE`).
fn no_window() -> Vec<u8> {
    frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])
}

/// What clients say before they are gone, by where.
fn utterances() -> Vec<(&'static str, Vec<u8>)> {
    let settings = frame(4, 0, 0, &[]);
    let begun = [PREFACE, &settings].concat();
    let with = |parts: &[&[u8]]| [&begun[..], &parts.concat()].concat();
    let control = |method: &str| call(&format!("/moby.buildkit.v1.Control/{method}"));
    let flood = frame(9, 0, 1, &literal("x", &"y".repeat(100)).repeat(150)).repeat(100);
    vec![
        ("/grpc", Vec::new()),
        ("/grpc", begun.clone()),
        // Half a message, one that is too long, one that is none.
        ("/grpc", with(&[&control("Solve"), &message(100, b"half")])),
        ("/grpc", with(&[&control("Solve"), &message(u32::MAX, b"")])),
        ("/grpc", with(&[&control("Solve"), &message(4, &[0xff; 4])])),
        // What waits for a build that does not come, and an answer that cannot be sent.
        ("/grpc", with(&[&control("Status"), &message(3, b"\x0a\x01r")])),
        (
            "/grpc",
            [PREFACE, &no_window(), &control("ListWorkers"), &message(0, b"")].concat(),
        ),
        ("/grpc", with(&[&control("Session"), &message(0, b"")])),
        // Headers without an end.
        ("/grpc", with(&[&frame(1, 0, 1, &[0x83]), &flood])),
        ("/session", Vec::new()),
        ("/session", settings.clone()),
        ("/session", no_window()),
        ("/session", b"nonsense".repeat(1000)),
        ("/session", [&settings[..], &frame(7, 0, 0, &[0; 8])].concat()),
    ]
}

fn says_and_goes(environment: &TestEnvironment, name: &str, path: &str, said: &[u8], linger: bool) {
    let headers = format!("X-Docker-Expose-Session-Uuid: {name}\r\n");
    let (answer, mut stream): (String, UnixStream) = upgrade(environment, path, &headers);
    assert!(answer.starts_with("HTTP/1.1 101"), "{name}: {answer}");
    // It may be refused before it has said everything.
    drop(stream.write_all(said));
    if linger {
        // Something of it has been read when something comes back, or the end.
        let mut byte = [0];
        drop(stream.shutdown(std::net::Shutdown::Write));
        drop(stream.read(&mut byte));
    }
}

#[test]
fn privileged_build_connections_leave_nothing_whatever_they_say() {
    let environment = TestEnvironment::start();
    let round = |round: usize| {
        thread::scope(|scope| {
            for (kind, (path, said)) in utterances().into_iter().enumerate() {
                let environment = &environment;
                scope.spawn(move || {
                    for number in 0..TOGETHER {
                        let name = format!("{round}-{kind}-{number}");
                        says_and_goes(environment, &name, path, &said, number % 2 == 0);
                    }
                });
            }
        });
    };
    // What is made once for everybody is there after the first.
    round(0);
    assert_well(&environment);
    let before = held(&environment);
    round(1);
    round(2);
    wait_for_nothing_left(&environment, before);
    environment.finish();
}

/// Builds that were begun and are to be killed.
struct Begun(Vec<Child>);

impl Begun {
    fn vanish(self) {
        self.0.into_iter().for_each(kill);
    }
}

#[test]
fn docker_cli_privileged_many_clients_that_are_killed_leave_nothing() {
    let environment = TestEnvironment::with_starter();
    configure(&environment);
    let root = environment.path("c");
    fs::create_dir_all(&root).expect("made");
    let mark = format!("sleep 1{:05}", std::process::id() % 100_000);
    for (name, text) in [
        ("sleeps", format!("FROM {STARTER}\nARG N\nRUN echo $N; {mark}\n")),
        (
            "large",
            format!("FROM {STARTER}\nRUN head -c 30000000 /dev/zero > /large\n"),
        ),
        ("small", format!("FROM {STARTER}\nRUN echo small > /small\n")),
    ] {
        fs::write(root.join(name), text).expect("written");
    }
    let context = root.to_str().expect("a path");
    let silent = environment
        .network()
        .enter(|| TcpListener::bind("127.0.0.1:0"))
        .expect("a listener");
    let pushed = format!("{}/x:1", silent.local_addr().expect("its address"));
    let build = |file: &str, options: &[&str]| {
        let path = format!("{context}/{file}");
        let words = [&["-f", &path][..], options, &[context]].concat();
        buildx(&environment, &words).spawn().expect("started")
    };
    let all = |start: &dyn Fn(usize) -> Child| Begun((0..TOGETHER / 3).map(start).collect());
    // Steps and layers that are shared by all are there.
    for file in ["large", "small"] {
        assert!(build(file, &["-t", "kept:1"]).wait().expect("an end").success());
    }
    let before = held(&environment);

    let mut begun = all(&|number| build("sleeps", &["--build-arg", &format!("N={number}")]));
    for client in &mut begun.0 {
        wait_for_text(client.stderr.as_mut().expect("its output"), "RUN echo");
    }
    begun.vanish();
    wait_for("all steps to end", || match runs(&mark) {
        true => Err("one runs".to_owned()),
        false => Ok(()),
    });

    let mut begun = all(&|_| build("large", &["--output", "type=tar,dest=-"]));
    for client in &mut begun.0 {
        let mut beginning = [0; 512];
        let output = client.stdout.as_mut().expect("its output");
        output.read_exact(&mut beginning).expect("the beginning of the result");
    }
    begun.vanish();

    let mut begun = all(&|number| {
        let directory = environment.path(&format!("out{number}"));
        let output = format!("type=local,dest={}", directory.display());
        build("large", &["--output", &output])
    });
    for (number, client) in begun.0.iter_mut().enumerate() {
        let directory = environment.path(&format!("out{number}"));
        wait_for("something to be exported", || match directory.exists() {
            true => Ok(()),
            false => Err(format!("nothing is there; the client: {:?}", client.try_wait())),
        });
    }
    begun.vanish();

    let begun = all(&|_| build("small", &["--push", "-t", &pushed]));
    let asked: Vec<_> = begun.0.iter().map(|_| silent.accept().expect("a push")).collect();
    begun.vanish();
    drop((asked, silent));

    wait_for_nothing_left(&environment, before);
    environment.hb(["rmi", "-f", "kept:1", &pushed]).succeeds();
    environment.hb(["image", "prune", "-f"]).succeeds();
    environment.hb(["builder", "prune", "-af"]).succeeds();
    environment.finish();
}
