// SPDX-License-Identifier: MIT
//! Launch, output, exit.

use hyperbox_core::seam::{TaskRuntime as _, TaskStatus};
use hyperbox_core::trace::Trace;
use hyperbox_testkit::conformance::task::{exit_code, read_frames};
use hyperbox_testkit::{container_id, wait_for_async};
use hyperbox_types::Signal;
use hyperbox_types::shim::CommandFault;
use hyperbox_types::trace::Party;

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
async fn privileged_who_asks_for_a_timeline_gets_one() {
    let bench = Bench::new();
    let container = container_id();
    let mut launch = bench.script(&container, "true");
    let trace = Trace::default();
    launch.trace = Some(trace.clone());
    let task = bench.runtime.launch(launch).await.unwrap();
    assert_eq!(exit_code(&*task).await, 0);
    let steps: Vec<(Party, String)> = trace.marks().into_iter().map(|mark| (mark.party, mark.step)).collect();
    let at = |party, step: &str| {
        let found = steps.iter().position(|mark| *mark == (party, step.to_owned()));
        found.unwrap_or_else(|| panic!("{step} is not in {steps:?}"))
    };
    let order = [
        at(Party::Launcher, "request read"),
        at(Party::Shim, "begun"),
        at(Party::Shim, "root filesystem mounted"),
        at(Party::Shim, "first process cloned"),
        at(Party::Container, "command executed"),
        at(Party::Daemon, "shim heard"),
    ];
    assert!(order.is_sorted(), "{steps:?}");
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

#[tokio::test]
async fn privileged_kills_for_want_of_memory_are_told_while_the_container_lives() {
    let bench = Bench::new();
    let container = container_id();
    let script = "sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1'; echo goes on; trap 'exit 3' TERM; \
                  while :; do sleep 0.02; done";
    let mut launch = bench.script(&container, script);
    let mut spec: serde_json::Value = serde_json::from_str(&launch.spec).unwrap();
    let limit = 16 << 20;
    spec["linux"]["resources"] = serde_json::json!({"memory": {"limit": limit, "swap": limit}});
    launch.spec = spec.to_string();
    let task = bench.runtime.launch(launch).await.unwrap();
    let mut kills = task.memory_kills();
    assert_eq!(*kills.wait_for(|kills| *kills > 0).await.unwrap(), 1);
    wait_for_async("the first process to go on", || async {
        let log = bench.read_log(&container).await;
        if log.contains("goes on") { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(*task.status().borrow(), TaskStatus::Running);
    task.signal(None, Signal::TERM, false).await.unwrap();
    let mut status = task.status();
    let ended = status
        .wait_for(|status| *status != TaskStatus::Running)
        .await
        .unwrap()
        .clone();
    assert!(
        matches!(&ended, TaskStatus::Exited(exit) if exit.code == 3 && exit.out_of_memory),
        "{ended:?}"
    );
    bench.finish(&[&container]).await;
}
