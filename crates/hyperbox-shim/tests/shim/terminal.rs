// SPDX-License-Identifier: MIT
//! Terminals: raw bytes both ways, size, end.

use hyperbox_core::seam::{AttachIo, TaskRuntime as _};
use hyperbox_testkit::conformance::task::exit_code;
use hyperbox_testkit::container_id;
use hyperbox_types::run::TerminalSize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::bench::{Bench, with_terminal};

/// Reads until `end` has come.
async fn read_until(client: &mut Box<dyn AttachIo>, end: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 1024];
    while !seen.contains(end) {
        let count = client.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the stream ended after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    seen
}

async fn a_terminal_works(bench: Bench) {
    let container = container_id();
    let mut launch = bench.script(&container, "stty size; while read line; do eval \"$line\"; done");
    with_terminal(&mut launch, 25, 80);
    let mut client = bench.attach(&mut launch);
    let task = bench.runtime.launch(launch).await.unwrap();
    read_until(&mut client, "25 80\r\n").await;
    task.resize(None, TerminalSize { rows: 40, columns: 132 })
        .await
        .unwrap();
    client.write_all(b"stty size\n").await.unwrap();
    // The terminal echoes what is typed.
    assert!(read_until(&mut client, "40 132\r\n").await.starts_with("stty size\r\n"));
    client.write_all(b"exit 3\n").await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(exit_code(&*task).await, 3);
    assert!(bench.read_log(&container).await.contains("40 132\r\n"));
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_terminal_works() {
    a_terminal_works(Bench::new()).await;
}

#[tokio::test]
async fn privileged_a_terminal_of_crun_works() {
    a_terminal_works(Bench::with_crun()).await;
}

#[tokio::test]
async fn privileged_without_a_terminal_there_is_no_size() {
    let bench = Bench::new();
    let (container, task, _client) = bench.run("sleep 100000").await;
    let error = task
        .resize(None, TerminalSize { rows: 1, columns: 1 })
        .await
        .unwrap_err();
    assert_eq!(error.kind, hyperbox_types::ErrorKind::InvalidArgument, "{error}");
    bench.finish(&[&container]).await;
}
