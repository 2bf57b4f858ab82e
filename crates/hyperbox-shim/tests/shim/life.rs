// SPDX-License-Identifier: MIT
//! Launch, output, exit.

use hyperbox_core::seam::TaskRuntime as _;
use hyperbox_testkit::conformance::task::{exit_code, read_frames};
use hyperbox_testkit::container_id;
use hyperbox_types::shim::CommandFault;

use crate::bench::Bench;

#[tokio::test]
async fn privileged_output_and_exit_code_arrive() {
    let bench = Bench::new();
    let (container, task, mut client) = bench.run("echo out; echo err >&2; exit 7").await;
    assert_eq!(read_frames(&mut client).await, ("out\n".to_owned(), "err\n".to_owned()));
    assert_eq!(exit_code(&*task).await, 7);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_megabyte_arrives_whole() {
    let bench = Bench::new();
    let (container, task, mut client) = bench.run("seq 1 150000; echo end >&2").await;
    let (stdout, stderr) = read_frames(&mut client).await;
    let expected: String = (1..=150_000).map(|number| format!("{number}\n")).collect();
    assert!(
        stdout == expected,
        "{} bytes instead of {}",
        stdout.len(),
        expected.len()
    );
    assert_eq!(stderr, "end\n");
    assert_eq!(exit_code(&*task).await, 0);
    let log = bench.read_log(&container).await;
    assert!(log.replace("end\n", "") == expected);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_command_that_cannot_run_leaves_nothing() {
    let bench = Bench::new();
    let mut containers = Vec::new();
    for (command, fault) in [
        ("nosuch", CommandFault::NotFound),
        ("/etc/plain", CommandFault::NotExecutable),
    ] {
        let container = container_id();
        let error = bench
            .runtime
            .launch(bench.command(&container, &[command]))
            .await
            .unwrap_err();
        assert_eq!(error.command, Some(fault), "{error}");
        assert!(error.message.contains(command), "{error}");
        assert!(bench.runtime.remains().unwrap().is_empty());
        containers.push(container);
    }
    bench.finish(&containers.iter().collect::<Vec<_>>()).await;
}
