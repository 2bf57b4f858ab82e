// SPDX-License-Identifier: MIT
//! Further processes in a running container.

use hyperbox_core::seam::{Task, TaskRuntime as _};
use hyperbox_testkit::conformance::task::{exit_code, read_frames};
use hyperbox_testkit::exec_id;
use hyperbox_types::run::TerminalSize;
use hyperbox_types::shim::{CommandFault, Stdio, UserSpec};
use hyperbox_types::{ErrorKind, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::bench::{ALL, Bench, process};

const PIPES: Stdio = Stdio {
    stdin: true,
    stdin_once: true,
    terminal: None,
};

/// Runs a command to its end and returns its code and output.
async fn run(bench: &Bench, task: &dyn Task, command: &[&str], user: &str, input: &[u8]) -> (i32, String, String) {
    let exec = exec_id();
    let (mut client, pending) = bench.runtime.prepare_attach(ALL).unwrap();
    let user = UserSpec {
        user: user.to_owned(),
        additional_groups: Vec::new(),
    };
    task.exec(&exec, process(command, false).to_string(), user, PIPES, vec![pending])
        .await
        .unwrap();
    client.write_all(input).await.unwrap();
    client.shutdown().await.unwrap();
    let (stdout, stderr) = read_frames(&mut client).await;
    (task.wait_exec(&exec).await.unwrap(), stdout, stderr)
}

async fn execs_work(bench: Bench) {
    let (container, task, mut client) = bench.run("sleep 100000").await;
    let task = &*task;
    let (code, stdout, stderr) = run(&bench, task, &["sh", "-c", "cat; echo e >&2; exit 5"], "", b"input").await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (5, "input", "e\n"));
    let (_, stdout, _) = run(&bench, task, &["id", "-u"], "user", b"").await;
    assert_eq!(stdout, "1000\n");
    let (_, stdout, _) = run(&bench, task, &["cat", "/proc/1/comm"], "", b"").await;
    assert_eq!(stdout, "sleep\n", "it is in the container's pid namespace");

    let exec = exec_id();
    let pid = task
        .exec(
            &exec,
            process(&["sleep", "100000"], false).to_string(),
            UserSpec::default(),
            PIPES,
            Vec::new(),
        )
        .await
        .unwrap();
    assert!(task.processes().await.unwrap().contains(&pid));
    let again = task
        .exec(
            &exec,
            process(&["true"], false).to_string(),
            UserSpec::default(),
            PIPES,
            Vec::new(),
        )
        .await
        .unwrap_err();
    assert_eq!(again.kind, ErrorKind::AlreadyExists);
    task.signal(Some(&exec), Signal::TERM, false).await.unwrap();
    assert_eq!(task.wait_exec(&exec).await.unwrap(), 143);

    let error = task
        .exec(
            &exec_id(),
            process(&["nosuch"], false).to_string(),
            UserSpec::default(),
            PIPES,
            Vec::new(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.command, Some(CommandFault::NotFound), "{error}");
    task.signal(None, Signal::KILL, false).await.unwrap();
    assert_eq!(
        read_frames(&mut client).await,
        (String::new(), String::new()),
        "execs have streams of their own"
    );
    assert_eq!(exit_code(task).await, 137);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_execs_work() {
    execs_work(Bench::new()).await;
}

#[tokio::test]
async fn privileged_execs_of_crun_work() {
    execs_work(Bench::with_crun()).await;
}

/// `first` prints the size that the terminal has in the beginning.
async fn an_exec_has_a_terminal(bench: Bench, first: &str) {
    let (container, task, _client) = bench.run("sleep 100000").await;
    let exec = exec_id();
    let stdio = Stdio {
        terminal: Some(TerminalSize { rows: 12, columns: 34 }),
        ..PIPES
    };
    let script = format!("{first}; read line; stty size");
    let command = process(&["sh", "-c", &script], true).to_string();
    let (mut client, pending) = bench.runtime.prepare_attach(ALL).unwrap();
    task.exec(&exec, command, UserSpec::default(), stdio, vec![pending])
        .await
        .unwrap();
    let mut first = Vec::new();
    while !first.ends_with(b"\n") {
        first.push(client.read_u8().await.unwrap());
    }
    assert_eq!(String::from_utf8_lossy(&first), "12 34\r\n");
    task.resize(Some(&exec), TerminalSize { rows: 56, columns: 78 })
        .await
        .unwrap();
    client.write_all(b"\n").await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "\r\n56 78\r\n");
    assert_eq!(task.wait_exec(&exec).await.unwrap(), 0);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_an_exec_has_a_terminal() {
    an_exec_has_a_terminal(Bench::new(), "stty size").await;
}

#[tokio::test]
async fn privileged_an_exec_of_crun_has_a_terminal() {
    // crun lets the process begin and sets the size beside it.
    let first = r#"until [ "$(stty size 2>/dev/null)" ]; do :; done; stty size"#;
    an_exec_has_a_terminal(Bench::with_crun(), first).await;
}

#[tokio::test]
async fn privileged_an_exec_ends_though_its_child_keeps_the_pipes() {
    let bench = Bench::new();
    let (container, task, _client) = bench.run("sleep 100000").await;
    let (code, stdout, _) = run(&bench, &*task, &["sh", "-c", "sleep 100000 & echo started"], "", b"").await;
    assert_eq!((code, stdout.as_str()), (0, "started\n"));
    assert_eq!(task.processes().await.unwrap().len(), 2, "the child lives on");
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_frozen_container_starts_nothing_and_can_be_thawed() {
    let bench = Bench::new();
    let (container, task, _client) = bench.run("sleep 100000").await;
    task.pause().await.unwrap();
    let command = process(&["true"], false).to_string();
    let refused = task
        .exec(&exec_id(), command, UserSpec::default(), PIPES, Vec::new())
        .await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::FailedPrecondition);
    task.resume().await.unwrap();
    let (code, ..) = run(&bench, &*task, &["true"], "", b"").await;
    assert_eq!(code, 0);
    bench.finish(&[&container]).await;
}
