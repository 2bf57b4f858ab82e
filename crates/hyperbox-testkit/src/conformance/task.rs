// SPDX-License-Identifier: MIT
//! What every [`TaskRuntime`] does, whether there are processes behind it or not.

use futures_util::StreamExt as _;
use hyperbox_core::seam::{LaunchTask, LogQuery, Reattached, Task, TaskRuntime, TaskStatus};
use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::stream::{Channel, HEADER_LEN, parse_header};
use hyperbox_types::{ContainerId, ErrorKind, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

use crate::{container_id, exec_id};

/// What the process of a container shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Writes this and ends.
    Ends {
        /// To standard output.
        stdout: &'static str,
        /// To standard error.
        stderr: &'static str,
        /// With this code.
        code: i32,
    },
    /// Runs until it is killed.
    Waits,
}

/// An implementation under test, with what it needs to launch something.
pub trait Bench: Send + Sync {
    /// Returns the runtime.
    fn runtime(&self) -> &dyn TaskRuntime;

    /// Describes a container without terminal, with open standard input and a json-file log of its own, that behaves like this.
    /// Called right before the launch.
    fn launch(&self, container: &ContainerId, behaviour: &Behaviour) -> LaunchTask;
}

const ALL: Streams = Streams {
    stdin: true,
    stdout: true,
    stderr: true,
};

const WHOLE_LOG: LogQuery = LogQuery {
    stdout: true,
    stderr: true,
    since_ns: None,
    until_ns: None,
    tail: None,
    follow: false,
};

/// Runs the suite.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn run(bench: &dyn Bench) {
    output_and_exit_are_complete(bench).await;
    tasks_outlive_their_object(bench).await;
    discard_ends_what_runs(bench).await;
    what_has_ended_takes_no_requests(bench).await;
    unknown_execs_are_not_found(bench).await;
    a_follower_gets_everything_and_ends(bench).await;
    runtimes_are_chosen_by_name(bench.runtime()).await;
}

async fn output_and_exit_are_complete(bench: &dyn Bench) {
    let (runtime, container) = (bench.runtime(), container_id());
    let behaviour = Behaviour::Ends {
        stdout: "one\ntwo\n",
        stderr: "three\n",
        code: 7,
    };
    let (mut client, pending) = runtime.prepare_attach(ALL).expect("prepare");
    let (mut errors, pending_errors) = runtime
        .prepare_attach(Streams {
            stderr: true,
            ..Streams::default()
        })
        .expect("prepare");
    let mut launch = bench.launch(&container, &behaviour);
    launch.attached = vec![pending, pending_errors];
    let log = launch.log.clone();
    let task = runtime.launch(launch).await.expect("launch");
    assert_eq!(
        read_frames(&mut client).await,
        ("one\ntwo\n".to_owned(), "three\n".to_owned())
    );
    assert_eq!(read_frames(&mut errors).await, (String::new(), "three\n".to_owned()));
    assert_eq!(exit_code(&*task).await, 7);
    let mut lines = read_log(runtime, &log, WHOLE_LOG).await;
    lines.sort();
    assert_eq!(
        lines,
        ["one\n", "three\n", "two\n"],
        "the log is complete once the exit is known"
    );
    assert_eq!(
        read_log(
            runtime,
            &log,
            LogQuery {
                stdout: false,
                ..WHOLE_LOG
            }
        )
        .await,
        ["three\n"]
    );
    assert_eq!(
        read_log(
            runtime,
            &log,
            LogQuery {
                stderr: false,
                tail: Some(1),
                ..WHOLE_LOG
            }
        )
        .await,
        ["two\n"]
    );
    assert!(
        matches!(runtime.reattach(&container).await.expect("reattach"), Reattached::Exited(exit) if exit.code == 7)
    );
    assert!(runtime.remains().expect("remains").contains(&container));
    runtime.discard(&container).await.expect("discard");
    runtime.discard(&container).await.expect("discarding what is not there");
    assert!(!runtime.remains().expect("remains").contains(&container));
    assert!(matches!(
        runtime.reattach(&container).await.expect("reattach"),
        Reattached::Gone
    ));
    assert_eq!(read_log(runtime, &log, WHOLE_LOG).await.len(), 3, "the log stays");
    runtime.remove_logs(&log).await.expect("remove logs");
    runtime.remove_logs(&log).await.expect("removing what is not there");
    assert!(read_log(runtime, &log, WHOLE_LOG).await.is_empty());
}

async fn tasks_outlive_their_object(bench: &dyn Bench) {
    let (runtime, container) = (bench.runtime(), container_id());
    let task = runtime
        .launch(bench.launch(&container, &Behaviour::Waits))
        .await
        .expect("launch");
    let pid = task.pid();
    assert_eq!(*task.status().borrow(), TaskStatus::Running);
    assert!(
        runtime
            .launch(bench.launch(&container, &Behaviour::Waits))
            .await
            .is_err(),
        "one task per container"
    );
    drop(task);
    let Reattached::Running { task, paused } = runtime.reattach(&container).await.expect("reattach") else {
        panic!("the task is gone with its object");
    };
    assert_eq!((task.pid(), paused), (pid, false));
    let mut first = task.attach(None, ALL).await.expect("attach");
    let mut second = task.attach(None, ALL).await.expect("attach");
    task.signal(None, Signal::KILL, false).await.expect("signal");
    assert_eq!(exit_code(&*task).await, 137);
    for client in [&mut first, &mut second] {
        assert_eq!(read_frames(client).await, (String::new(), String::new()));
    }
    runtime.discard(&container).await.expect("discard");
}

async fn discard_ends_what_runs(bench: &dyn Bench) {
    let (runtime, container) = (bench.runtime(), container_id());
    let task = runtime
        .launch(bench.launch(&container, &Behaviour::Waits))
        .await
        .expect("launch");
    let mut client = task.attach(None, ALL).await.expect("attach");
    runtime.discard(&container).await.expect("discard");
    assert_eq!(read_frames(&mut client).await, (String::new(), String::new()));
    assert!(matches!(
        runtime.reattach(&container).await.expect("reattach"),
        Reattached::Gone
    ));
    let again = runtime
        .launch(bench.launch(&container, &Behaviour::Waits))
        .await
        .expect("the id is free again");
    assert_eq!(*again.status().borrow(), TaskStatus::Running);
    runtime.discard(&container).await.expect("discard");
}

async fn what_has_ended_takes_no_requests(bench: &dyn Bench) {
    let (runtime, container) = (bench.runtime(), container_id());
    let behaviour = Behaviour::Ends {
        stdout: "",
        stderr: "",
        code: 0,
    };
    let task = runtime
        .launch(bench.launch(&container, &behaviour))
        .await
        .expect("launch");
    assert_eq!(exit_code(&*task).await, 0);
    let refused = [
        task.signal(None, Signal::TERM, false).await.err(),
        task.attach(None, ALL).await.err(),
        task.pause().await.err(),
        task.update("{}".to_owned()).await.err(),
    ];
    for (index, error) in refused.into_iter().enumerate() {
        assert_eq!(
            error.map(|error| error.kind),
            Some(ErrorKind::FailedPrecondition),
            "request {index}"
        );
    }
    runtime.discard(&container).await.expect("discard");
}

async fn unknown_execs_are_not_found(bench: &dyn Bench) {
    let (runtime, container, exec) = (bench.runtime(), container_id(), exec_id());
    let task = runtime
        .launch(bench.launch(&container, &Behaviour::Waits))
        .await
        .expect("launch");
    let size = TerminalSize { rows: 10, columns: 10 };
    let errors = [
        task.wait_exec(&exec).await.err(),
        task.signal(Some(&exec), Signal::TERM, false).await.err(),
        task.resize(Some(&exec), size).await.err(),
        task.attach(Some(&exec), ALL).await.err(),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        assert_eq!(
            error.map(|error| error.kind),
            Some(ErrorKind::NotFound),
            "request {index}"
        );
    }
    runtime.discard(&container).await.expect("discard");
}

async fn a_follower_gets_everything_and_ends(bench: &dyn Bench) {
    let (runtime, container) = (bench.runtime(), container_id());
    let behaviour = Behaviour::Ends {
        stdout: "a\nb\nc\n",
        stderr: "",
        code: 0,
    };
    let launch = bench.launch(&container, &behaviour);
    let log = launch.log.clone();
    let (ended, receiver) = watch::channel(false);
    let follow = LogQuery {
        follow: true,
        ..WHOLE_LOG
    };
    let task = runtime.launch(launch).await.expect("launch");
    let mut stream = runtime.logs(&log, follow, receiver).await.expect("logs");
    let first = stream.next().await.expect("an entry").expect("readable");
    assert_eq!((first.bytes.as_slice(), first.stderr), (b"a\n".as_slice(), false));
    exit_code(&*task).await;
    ended.send_replace(true);
    let rest: Vec<_> = stream.map(|entry| entry.expect("readable").bytes).collect().await;
    assert_eq!(rest, [b"b\n", b"c\n"]);
    runtime.discard(&container).await.expect("discard");
    runtime.remove_logs(&log).await.expect("remove logs");
}

async fn runtimes_are_chosen_by_name(runtime: &dyn TaskRuntime) {
    let runtimes = runtime.runtimes();
    assert!(!runtimes.is_empty());
    for known in &runtimes {
        assert!(runtime.choose(&known.name).is_ok(), "{}", known.name);
        let version = runtime.runtime_version(&known.name).await;
        assert!(version.is_some(), "{} tells its version", known.name);
    }
    assert_eq!(runtime.runtime_version("no-such").await, None);
    let error = runtime.choose("no-such").expect_err("there is none");
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    assert_eq!(error.to_string(), "unknown or invalid runtime name: no-such");
}

/// Waits for the end of a task and returns its code.
///
/// # Panics
/// When the task is lost.
pub async fn exit_code(task: &dyn Task) -> i32 {
    let mut status = task.status();
    let ended = status
        .wait_for(|status| *status != TaskStatus::Running)
        .await
        .expect("the task lives");
    match &*ended {
        TaskStatus::Exited(exit) => exit.code,
        other => panic!("the task is {other:?}"),
    }
}

/// Reads an attached stream to its end and takes it apart into standard output and standard error.
///
/// # Panics
/// When the stream is not made of frames.
pub async fn read_frames(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("read the stream");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut rest = bytes.as_slice();
    while let Some((header, after)) = rest.split_first_chunk::<HEADER_LEN>() {
        let (channel, length) = parse_header(*header).expect("a frame");
        let (payload, after) = after.split_at(usize::try_from(length).expect("a length"));
        match channel {
            Channel::Stderr => stderr.extend_from_slice(payload),
            _ => stdout.extend_from_slice(payload),
        }
        rest = after;
    }
    assert!(rest.is_empty(), "the stream ends inside a frame");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(stdout), text(stderr))
}

async fn read_log(runtime: &dyn TaskRuntime, log: &hyperbox_types::shim::LogTarget, query: LogQuery) -> Vec<String> {
    let (_keep, ended) = watch::channel(false);
    let stream = runtime.logs(log, query, ended).await.expect("logs");
    let entries: Vec<_> = stream.map(|entry| entry.expect("readable").bytes).collect().await;
    entries
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).expect("text"))
        .collect()
}

#[cfg(test)]
mod tests {
    use hyperbox_types::RootMount;
    use hyperbox_types::shim::{LogTarget, RuntimeChoice, Stdio, UserSpec};

    use super::*;
    use crate::fake::{FakeTaskRuntime, Script};

    #[tokio::test]
    async fn the_fake_conforms() {
        run(&FakeTaskRuntime::new()).await;
    }

    impl Bench for FakeTaskRuntime {
        fn runtime(&self) -> &dyn TaskRuntime {
            self
        }

        fn launch(&self, container: &ContainerId, behaviour: &Behaviour) -> LaunchTask {
            // Without a script a fake waits: a launch that is refused then leaves no script for the next one.
            if let Behaviour::Ends { stdout, stderr, code } = behaviour {
                self.script_next(Script {
                    stdout: stdout.as_bytes().to_vec(),
                    stderr: stderr.as_bytes().to_vec(),
                    exit: Some(*code),
                });
            }
            LaunchTask {
                container: container.clone(),
                spec: "{}".to_owned(),
                seccomp: None,
                rootfs: RootMount::Bind {
                    source: "/".into(),
                    read_only: true,
                },
                user: UserSpec::default(),
                stdio: Stdio {
                    stdin: true,
                    stdin_once: false,
                    terminal: None,
                },
                log: LogTarget::JsonFile {
                    path: format!("/log/{container}").into(),
                    max_bytes: None,
                    max_files: 1,
                    compress: false,
                    attributes: Default::default(),
                },
                runtime: RuntimeChoice::Embedded,
                init: false,
                network_namespace: None,
                attached: Vec::new(),
                files: Vec::new(),
                trace: None,
            }
        }
    }
}
