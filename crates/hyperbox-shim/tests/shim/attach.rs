// SPDX-License-Identifier: MIT
//! Attached streams: several at once, input and its end, clients that leave or do not read.

use hyperbox_core::seam::TaskRuntime as _;
use hyperbox_testkit::conformance::task::{exit_code, read_frames};
use hyperbox_testkit::{container_id, wait_for_async};
use hyperbox_types::Signal;
use hyperbox_types::run::Streams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::bench::{ALL, Bench};

#[tokio::test]
async fn privileged_the_end_of_the_only_input_reaches_the_process() {
    let bench = Bench::new();
    let container = container_id();
    let mut launch = bench.script(&container, "cat; echo done");
    launch.stdio.stdin = true;
    launch.stdio.stdin_once = true;
    let mut client = bench.attach(&mut launch);
    // More than pipe and buffers hold, so that the way back must work meanwhile.
    let input = "a line of input\n".repeat(40_000);
    let task = bench.runtime.launch(launch).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let write = async {
        writer.write_all(input.as_bytes()).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let ((stdout, _), ()) = tokio::join!(read_frames(&mut reader), write);
    assert!(stdout == input + "done\n", "{} bytes", stdout.len());
    assert_eq!(exit_code(&*task).await, 0);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_input_stays_open_when_a_client_leaves() {
    let bench = Bench::new();
    let container = container_id();
    let mut launch = bench.script(&container, "read a; read b; echo $a $b; cat; echo end");
    launch.stdio.stdin = true;
    let mut first = bench.attach(&mut launch);
    let task = bench.runtime.launch(launch).await.unwrap();
    first.write_all(b"one\n").await.unwrap();
    drop(first);
    let mut second = task.attach(None, ALL).await.unwrap();
    second.write_all(b"two\n").await.unwrap();
    second.shutdown().await.unwrap();
    let mut buffer = [0; 8 + 8];
    second.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"\x01\0\0\0\0\0\0\x08one two\n");
    // Half-closed, but not once: the process still has its input.
    let mut third = task.attach(None, ALL).await.unwrap();
    third.write_all(b"three\n").await.unwrap();
    let mut buffer = [0; 8 + 6];
    third.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer[8..], b"three\n");
    task.signal(None, Signal::KILL, false).await.unwrap();
    assert_eq!(exit_code(&*task).await, 137);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_every_client_gets_what_it_asked_for() {
    let bench = Bench::new();
    let container = container_id();
    let mut launch = bench.script(&container, "read go; echo out; echo err >&2");
    launch.stdio.stdin = true;
    let mut all = bench.attach(&mut launch);
    let task = bench.runtime.launch(launch).await.unwrap();
    let mut stdout = task
        .attach(
            None,
            Streams {
                stdout: true,
                ..Streams::default()
            },
        )
        .await
        .unwrap();
    let mut stderr = task
        .attach(
            None,
            Streams {
                stderr: true,
                ..Streams::default()
            },
        )
        .await
        .unwrap();
    let mut input = task
        .attach(
            None,
            Streams {
                stdin: true,
                ..Streams::default()
            },
        )
        .await
        .unwrap();
    input.write_all(b"go\n").await.unwrap();
    assert_eq!(read_frames(&mut all).await, ("out\n".to_owned(), "err\n".to_owned()));
    assert_eq!(read_frames(&mut stdout).await, ("out\n".to_owned(), String::new()));
    assert_eq!(read_frames(&mut stderr).await, (String::new(), "err\n".to_owned()));
    assert_eq!(read_frames(&mut input).await, (String::new(), String::new()));
    assert_eq!(exit_code(&*task).await, 0);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_client_that_does_not_read_holds_the_output_back() {
    let bench = Bench::new();
    let (container, task, slow) = bench.run("i=0; while :; do echo $i; i=$((i+1)); done").await;
    // Pipe, socket and backlog fill up; then the process waits for room in its pipe, and goes on waiting.
    let wait_channel = format!("/proc/{}/wchan", task.pid());
    let mut waiting = 0;
    hyperbox_testkit::wait_for("the output to be held back", || {
        let channel = std::fs::read_to_string(&wait_channel).unwrap();
        waiting = if channel.contains("pipe_write") { waiting + 1 } else { 0 };
        if waiting > 20 {
            Ok(())
        } else {
            Err(format!("the process is in {channel:?}"))
        }
    });
    drop(slow);
    let length = bench.read_log(&container).await.len();
    wait_for_async("the output to go on", || {
        let log = bench.read_log(&container);
        async move {
            if log.await.len() > length {
                Ok(())
            } else {
                Err("it does not".to_owned())
            }
        }
    })
    .await;
    task.signal(None, Signal::KILL, false).await.unwrap();
    assert_eq!(exit_code(&*task).await, 137);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_output_waits_for_a_client_that_reads_late() {
    let bench = Bench::new();
    let (container, task, mut late) = bench.run("seq 1 10000").await;
    assert_eq!(exit_code(&*task).await, 0);
    bench.runtime.discard(&container).await.unwrap();
    let (stdout, _) = read_frames(&mut late).await;
    assert_eq!(stdout.lines().count(), 10_000);
    drop(task);
    bench.finish(&[&container]).await;
}
