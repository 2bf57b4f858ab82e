// SPDX-License-Identifier: MIT
//! `ADD` of files of the web: fetched once, asked about again, fetched anew when they have changed. What Docker's BuildKit does with the
//! same answers of a server, but for the requests that it takes for that.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use hyperbox_testkit::environment::{DaemonOptions, STARTER, TestEnvironment};

use crate::build_contexts::{clean_up, lay_out};

/// What a server answers, and what it was asked.
#[derive(Default)]
struct State {
    body: String,
    tag: Option<&'static str>,
    date: Option<&'static str>,
    /// Whether it knows `If-None-Match`.
    conditions: bool,
    /// Status and length of each answer.
    answers: Vec<(u16, usize)>,
    over: bool,
}

/// A web server in the environment's network.
struct Web {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Web {
    fn start(environment: &TestEnvironment) -> Self {
        let listener = environment.network().enter(|| TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free loopback port");
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().over {
                    return;
                }
                // A client may hang up when it knows enough.
                drop(stream.and_then(|stream| answer(stream, &shared)));
            }
        });
        Self { address, state }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Returns the answers since this was last asked.
    fn answers(&self) -> Vec<(u16, usize)> {
        std::mem::take(&mut self.state.lock().unwrap().answers)
    }

    fn stop(self, environment: &TestEnvironment) {
        self.set(|state| state.over = true);
        drop(environment.network().enter(|| TcpStream::connect(self.address)));
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut condition = String::new();
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("if-none-match")
        {
            condition = value.to_owned();
        }
    }
    let mut state = state.lock().unwrap();
    let same = state
        .tag
        .is_some_and(|tag| condition.contains(tag.trim_start_matches("W/")));
    let (status, body) = match same && state.conditions {
        true => (304, String::new()),
        false => (200, state.body.clone()),
    };
    state.answers.push((status, body.len()));
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    if status == 200 {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in [("ETag", state.tag), ("Last-Modified", state.date)] {
        if let Some(value) = value {
            head += &format!("{name}: {value}\r\n");
        }
    }
    drop(state);
    (&stream).write_all(format!("{head}\r\n{body}").as_bytes())
}

/// Builds; tells whether ADD was in the cache.
#[track_caller]
fn is_cached(environment: &TestEnvironment, context: &str) -> bool {
    let built = environment.hb(["build", "--progress", "plain", "-t", "web:1", context]);
    let said = built.stderr.clone();
    built.succeeds();
    let step = said.lines().find(|line| line.contains("] ADD ")).expect("a step");
    let number = step.split(' ').next().unwrap_or_default();
    said.contains(&format!("{number} CACHED"))
}

#[test]
fn privileged_a_file_of_the_web_is_fetched_again_only_when_it_has_changed() {
    let mut environment = TestEnvironment::with_starter();
    let web = Web::start(&environment);
    let address = web.address;
    let text = format!("FROM {STARTER}\nADD http://{address}/a/file.txt?key=secret /in/\n");
    let context = lay_out(&environment, "context", &[("Dockerfile", &text)]);
    let context = context.as_str();
    let content = |environment: &TestEnvironment| {
        let show = ["run", "--rm", "web:1", "stat", "-c", "%n %a %Y", "/in/file.txt"];
        let stat = environment.hb(show).succeeds();
        let text = environment
            .hb(["run", "--rm", "web:1", "cat", "/in/file.txt"])
            .succeeds();
        format!("{} {text}", stat.trim_end())
    };
    web.set(|state| {
        state.body = "one".to_owned();
        state.tag = Some("\"e1\"");
        state.date = Some("Wed, 03 Jan 2024 01:02:03 GMT");
        state.conditions = true;
    });
    assert!(!is_cached(&environment, context));
    assert_eq!(web.answers(), [(200, 3)]);
    assert_eq!(content(&environment), "/in/file.txt 600 1704243723 one");
    // The server is asked, and says that nothing has changed; as BuildKit it is believed.
    assert!(is_cached(&environment, context));
    web.set(|state| state.body = "two".to_owned());
    assert!(is_cached(&environment, context));
    assert_eq!(web.answers(), [(304, 0), (304, 0)]);
    // Another daemon on the same root still knows.
    environment.stop_daemon();
    environment.start_daemon(&DaemonOptions::default());
    assert!(is_cached(&environment, context));
    assert_eq!(web.answers(), [(304, 0)]);
    web.set(|state| state.tag = Some("\"e2\""));
    assert!(!is_cached(&environment, context));
    assert_eq!(web.answers(), [(200, 3)]);
    assert_eq!(content(&environment), "/in/file.txt 600 1704243723 two");
    // The first content is back: the step is known, and so is the tag.
    web.set(|state| (state.tag, state.body) = (Some("W/\"e1\""), "one".to_owned()));
    assert!(is_cached(&environment, context));
    assert_eq!(web.answers(), [(304, 0)]);
    // A server that knows no conditions is asked as well: its tag says enough.
    web.set(|state| state.conditions = false);
    assert!(is_cached(&environment, context));
    assert_eq!(web.answers(), [(200, 3)]);
    // Without a tag the content counts, and nothing else.
    web.set(|state| (state.tag, state.date) = (None, Some("Thu, 04 Jan 2024 00:00:00 GMT")));
    assert!(is_cached(&environment, context));
    web.set(|state| state.body = "three".to_owned());
    assert!(!is_cached(&environment, context));
    assert_eq!(content(&environment), "/in/file.txt 600 1704326400 three");
    web.set(|state| (state.body, state.date) = ("four".to_owned(), None));
    assert!(!is_cached(&environment, context));
    assert_eq!(content(&environment), "/in/file.txt 600 0 four");
    assert_eq!(web.answers(), [(200, 3), (200, 5), (200, 4)]);
    web.stop(&environment);
    clean_up(environment, &["web:1"]);
}

#[test]
fn privileged_what_was_not_fetched_is_fetched_for_a_step_that_is_done_anew() {
    let environment = TestEnvironment::with_starter();
    let web = Web::start(&environment);
    let write = |more: &str| {
        let text = format!("FROM {STARTER}\n{more}ADD http://{}/file /file\n", web.address);
        lay_out(&environment, "context", &[("Dockerfile", &text)])
    };
    let path = write("");
    let path = path.as_str();
    web.set(|state| {
        state.body = "content".to_owned();
        state.tag = Some("\"t\"");
        state.conditions = true;
    });
    assert!(!is_cached(&environment, path));
    write("RUN echo 1 >/number\n");
    assert!(!is_cached(&environment, path));
    assert_eq!(web.answers(), [(200, 7), (304, 0), (200, 7)]);
    // The server says "as before" and gives something else: what is made of it is not kept as what it was.
    web.set(|state| state.body = "another".to_owned());
    write("RUN echo 2 >/number\n");
    let _refused = environment
        .hb(["build", "-t", "web:1", path])
        .exits_with(1)
        .complains("has changed since this build looked at it");
    web.stop(&environment);
    clean_up(environment, &["web:1"]);
}
