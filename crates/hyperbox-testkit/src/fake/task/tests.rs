// SPDX-License-Identifier: MIT
//! The fake task runtime keeps the contract of the seam.

use futures_util::StreamExt as _;
use hyperbox_core::seam::{LaunchTask, LogQuery, Reattached, TaskRuntime as _, TaskStatus};
use hyperbox_types::run::Streams;
use hyperbox_types::shim::{LogTarget, RuntimeChoice, Stdio, UserSpec};
use hyperbox_types::{ContainerId, RootMount, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::{FakeTaskRuntime, Script};
use crate::{container_id, wait_for_async};

const ALL: Streams = Streams {
    stdin: true,
    stdout: true,
    stderr: true,
};

fn log_target() -> LogTarget {
    LogTarget::JsonFile {
        path: "/log".into(),
        max_bytes: None,
        max_files: 1,
        compress: false,
        attributes: Default::default(),
    }
}

fn launch(container: &ContainerId) -> LaunchTask {
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
        log: log_target(),
        runtime: RuntimeChoice::Embedded,
        init: false,
        network_namespace: None,
        attached: Vec::new(),
        files: Vec::new(),
        trace: None,
    }
}

#[tokio::test]
async fn streams_carry_frames_and_end_with_the_task() {
    let runtime = FakeTaskRuntime::new();
    let container = container_id();
    let (mut client, pending) = runtime.prepare_attach(ALL).unwrap();
    let task = runtime
        .launch(LaunchTask {
            attached: vec![pending],
            ..launch(&container)
        })
        .await
        .unwrap();
    let fake = runtime.task(&container).unwrap();
    client.write_all(b"input").await.unwrap();
    wait_for_async("the input", || async {
        let input = fake.input();
        if input == b"input" {
            Ok(())
        } else {
            Err(format!("{input:?} arrived"))
        }
    })
    .await;
    fake.write_stdout(b"hi");
    task.signal(None, Signal::TERM, false).await.unwrap();
    let mut output = Vec::new();
    client.read_to_end(&mut output).await.unwrap();
    assert_eq!(output, b"\x01\0\0\0\0\0\0\x02hi");
    assert!(matches!(&*task.status().borrow(), TaskStatus::Exited(exit) if exit.code == 143));
    assert!(matches!(
        runtime.reattach(&container).await.unwrap(),
        Reattached::Exited(_)
    ));
    runtime.discard(&container).await.unwrap();
    assert!(runtime.remains().unwrap().is_empty());
}

#[tokio::test]
async fn logs_follow_until_the_end() {
    let runtime = FakeTaskRuntime::new();
    let container = container_id();
    runtime.script_next(Script {
        stdout: b"one\ntwo\n".to_vec(),
        ..Script::default()
    });
    runtime.launch(launch(&container)).await.unwrap();
    let (ended, receiver) = watch::channel(false);
    let query = LogQuery {
        stdout: true,
        tail: Some(1),
        follow: true,
        ..LogQuery::default()
    };
    let mut logs = runtime.logs(&log_target(), query, receiver).await.unwrap();
    assert_eq!(logs.next().await.unwrap().unwrap().bytes, b"two\n");
    let fake = runtime.task(&container).unwrap();
    fake.write_stderr(b"unwanted\n");
    fake.write_stdout(b"three\n");
    assert_eq!(logs.next().await.unwrap().unwrap().bytes, b"three\n");
    ended.send_replace(true);
    assert!(logs.next().await.is_none());
}

#[tokio::test]
async fn execs_end_apart() {
    let runtime = FakeTaskRuntime::new();
    let container = container_id();
    let task = runtime.launch(launch(&container)).await.unwrap();
    let exec = crate::exec_id();
    let stdio = launch(&container).stdio;
    task.exec(&exec, "{}".to_owned(), UserSpec::default(), stdio, Vec::new())
        .await
        .unwrap();
    runtime.task(&container).unwrap().exit_exec(&exec, 3);
    assert_eq!(task.wait_exec(&exec).await.unwrap(), 3);
    assert!(task.wait_exec(&crate::exec_id()).await.is_err());
    assert_eq!(*task.status().borrow(), TaskStatus::Running);
}
