// SPDX-License-Identifier: MIT
//! External runtimes, with crun: output, errors, and that nothing of them is left.

use hyperbox_core::seam::{RuntimeInfo, TaskRuntime as _};
use hyperbox_testkit::conformance::task::{exit_code, read_frames};
use hyperbox_testkit::container_id;
use hyperbox_types::shim::{CommandFault, RuntimeChoice};
use hyperbox_types::{RootMount, Signal, WritableLayer};

use crate::bench::Bench;

#[tokio::test]
async fn privileged_crun_runs_containers_in_a_mounted_root() {
    let bench = Bench::with_crun();
    let container = container_id();
    let mut launch = bench.script(&container, "echo data > /tmp/file; cat /tmp/file; echo err >&2; exit 7");
    launch.user.user = "user".to_owned();
    let (upper, work) = (bench.path().join("upper"), bench.path().join("work"));
    std::fs::create_dir_all(upper.join("tmp")).unwrap();
    std::os::unix::fs::chown(upper.join("tmp"), Some(1000), Some(1000)).unwrap();
    std::fs::create_dir(&work).unwrap();
    launch.rootfs = RootMount::Overlay {
        lower: vec![bench.path().join("root")],
        writable: Some(WritableLayer {
            upper: upper.clone(),
            work,
            volatile: false,
        }),
    };
    let mut client = bench.attach(&mut launch);
    let task = bench.runtime.launch(launch).await.unwrap();
    assert_eq!(
        read_frames(&mut client).await,
        ("data\n".to_owned(), "err\n".to_owned())
    );
    assert_eq!(exit_code(&*task).await, 7);
    assert_eq!(std::fs::read_to_string(upper.join("tmp/file")).unwrap(), "data\n");
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_crun_explains_what_it_cannot_run() {
    let bench = Bench::with_crun();
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
        assert!(bench.runtime.remains().unwrap().is_empty());
        containers.push(container);
    }
    bench.finish(&containers.iter().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn privileged_a_runtime_that_is_none_is_an_error() {
    let mut bench = Bench::new();
    bench.choice = RuntimeChoice::External {
        program: "/bin/false".into(),
        arguments: Vec::new(),
    };
    let container = container_id();
    let error = bench
        .runtime
        .launch(bench.script(&container, "true"))
        .await
        .unwrap_err();
    assert!(error.message.contains("false"), "{error}");
    bench.choice = RuntimeChoice::External {
        program: "/nowhere/runtime".into(),
        arguments: Vec::new(),
    };
    let error = bench
        .runtime
        .launch(bench.script(&container, "true"))
        .await
        .unwrap_err();
    assert!(error.message.contains("/nowhere/runtime"), "{error}");
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_process_of_crun_takes_signals() {
    let bench = Bench::with_crun();
    let (container, task, _client) = bench.run("trap 'exit 42' TERM; while :; do sleep 0.01; done").await;
    hyperbox_testkit::wait_for_async("the trap", || async {
        task.signal(None, Signal::TERM, false)
            .await
            .map_err(|error| error.to_string())
            .ok();
        let status = task.status().borrow().clone();
        match status {
            hyperbox_core::seam::TaskStatus::Running => Err("it still runs".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    assert!(matches!(exit_code(&*task).await, 42 | 143));
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_crun_is_found() {
    let bench = Bench::new();
    let names: Vec<RuntimeInfo> = bench.runtime.runtimes();
    assert_eq!(names[0].name, "hyperbox");
    assert!(names.iter().any(|runtime| runtime.name == "crun"));
    bench.finish(&[]).await;
}
