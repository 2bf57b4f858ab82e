// SPDX-License-Identifier: MIT
//! What outlives what: the daemon side goes and comes back, the shim is killed, the launcher is killed.

use hyperbox_core::seam::{LaunchTask, Reattached, Task, TaskRuntime as _, TaskStatus};
use hyperbox_testkit::conformance::task::exit_code;
use hyperbox_testkit::{container_id, wait_for, wait_for_async};
use hyperbox_types::shim::{LAUNCH_FILE, LaunchRecord};
use hyperbox_types::{ContainerId, ErrorKind, Signal};
use rustix::process::Pid;
use std::sync::Arc;

use crate::bench::Bench;

async fn reattached(bench: &Bench, container: &ContainerId) -> Arc<dyn Task> {
    match bench.runtime.reattach(container).await.unwrap() {
        Reattached::Running { task, .. } => task,
        other => panic!("{other:?}"),
    }
}

fn record(bench: &Bench, container: &ContainerId) -> LaunchRecord {
    let text = std::fs::read_to_string(bench.run_dir(container).join(LAUNCH_FILE)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')')
        .unwrap()
        .1
        .split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Waits until there is more in the log than now.
async fn more_lines(bench: &Bench, container: &ContainerId) {
    let before = bench.read_log(container).await.len();
    wait_for_async("more output", || async move {
        let now = bench.read_log(container).await.len();
        if now > before {
            Ok(())
        } else {
            Err(format!("the log has {now} bytes"))
        }
    })
    .await;
}

#[tokio::test]
async fn privileged_nothing_is_lost_while_the_daemon_is_away() {
    let mut bench = Bench::new();
    let script = "i=0; while [ ! -e /tmp/stop ]; do echo $i; i=$((i+1)); sleep 0.002; done; echo $i; exit 9";
    let (container, task, client) = bench.run(script).await;
    let stop = bench.path().join("root/tmp/stop");
    let reader = tokio::spawn(async move { tokio::io::copy(&mut { client }, &mut tokio::io::sink()).await });
    more_lines(&bench, &container).await;
    // As with a daemon that was killed, nobody reads any more, and the streams are gone.
    reader.abort();
    drop(task);
    bench.restart();
    more_lines(&bench, &container).await;
    let task = reattached(&bench, &container).await;
    more_lines(&bench, &container).await;
    std::fs::write(stop, "").unwrap();
    assert_eq!(exit_code(&*task).await, 9);
    let log = bench.read_log(&container).await;
    let numbers: Vec<u32> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert!(
        numbers.iter().copied().eq((0..).take(numbers.len())),
        "{} lines",
        numbers.len()
    );
    drop(task);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_an_end_while_nobody_is_connected_is_remembered() {
    let mut bench = Bench::new();
    let (container, task, client) = bench.run("read -t 1 x < /dev/null; sleep 0.2; exit 4").await;
    let shim = record(&bench, &container).shim_pid;
    drop((task, client));
    bench.restart();
    wait_for("the shim to end", || match std::fs::exists(format!("/proc/{shim}")) {
        Ok(false) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    match bench.runtime.reattach(&container).await.unwrap() {
        Reattached::Exited(exit) => assert_eq!((exit.code, exit.out_of_memory), (4, false)),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.runtime.remains().unwrap(), std::slice::from_ref(&container));
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_paused_container_is_found_paused_and_can_be_discarded() {
    let mut bench = Bench::new();
    let (container, task, client) = bench.run("sleep 100000").await;
    task.pause().await.unwrap();
    drop((task, client));
    bench.restart();
    let Reattached::Running { task, paused } = bench.runtime.reattach(&container).await.unwrap() else {
        panic!("it runs");
    };
    assert!(paused);
    assert_eq!(*task.status().borrow(), TaskStatus::Running);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_killed_shim_is_noticed_and_cleaned_up_after() {
    let bench = Bench::new();
    let (container, task, _client) = bench.run("sleep 100000").await;
    let record = record(&bench, &container);
    kill(record.shim_pid);
    let mut status = task.status();
    let ended = status
        .wait_for(|status| *status != TaskStatus::Running)
        .await
        .unwrap()
        .clone();
    assert_eq!(ended, TaskStatus::Lost);
    assert!(
        std::fs::exists(format!("/proc/{}", record.init_pid)).unwrap(),
        "the container itself lives on"
    );
    assert_eq!(task.pause().await.unwrap_err().kind, ErrorKind::FailedPrecondition);
    bench.finish(&[&container]).await;
    assert!(record.cgroups.iter().all(|path| !path.exists()));
}

/// Sends the path of a FIFO, which is no namespace: opening it keeps the shim waiting after it has made the cgroups.
fn waiting_for(bench: &Bench, container: &ContainerId, fifo: &std::path::Path) -> LaunchTask {
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, rustix::fs::Mode::RUSR).unwrap();
    let mut launch = bench.script(container, "true");
    let mut spec: serde_json::Value = serde_json::from_str(&launch.spec).unwrap();
    let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "ipc");
    namespaces.push(serde_json::json!({"type": "ipc", "path": fifo}));
    launch.spec = spec.to_string();
    launch
}

/// Waits until a shim that starts a container has made a cgroup; returns its process id.
async fn starting_shim(bench: &Bench, container: &ContainerId) -> u32 {
    wait_for_async("the cgroup of a container that is being started", || async move {
        let text = std::fs::read_to_string(bench.run_dir(container).join(LAUNCH_FILE));
        let text = text.map_err(|error| error.to_string())?;
        let record: LaunchRecord = serde_json::from_str(&text).unwrap();
        assert_eq!((record.init_pid, record.init_start_time), (0, 0));
        let made = record.cgroups.iter().any(|path| path.is_dir());
        made.then_some(record.shim_pid).ok_or(text)
    })
    .await
}

#[tokio::test]
async fn privileged_a_shim_that_is_killed_while_it_starts_leaves_nothing() {
    let bench = Bench::new();
    let container = container_id();
    let launch = waiting_for(&bench, &container, &bench.path().join("fifo"));
    let (result, ()) = tokio::join!(bench.runtime.launch(launch), async {
        kill(starting_shim(&bench, &container).await);
    });
    assert_eq!(result.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(bench.runtime.remains().unwrap().is_empty());
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_daemon_and_a_shim_that_are_killed_during_a_start_leave_nothing() {
    let mut bench = Bench::new();
    let container = container_id();
    let launch = waiting_for(&bench, &container, &bench.path().join("fifo"));
    let shim = tokio::select! {
        result = bench.runtime.launch(launch) => panic!("it waits for the shim: {result:?}"),
        shim = starting_shim(&bench, &container) => shim,
    };
    bench.restart();
    kill(shim);
    assert_eq!(bench.runtime.remains().unwrap(), std::slice::from_ref(&container));
    assert!(matches!(
        bench.runtime.reattach(&container).await.unwrap(),
        Reattached::Gone
    ));
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_paused_container_of_a_killed_shim_goes_too() {
    let bench = Bench::new();
    let (container, task, _client) = bench.run("sleep 100000").await;
    task.pause().await.unwrap();
    kill(record(&bench, &container).shim_pid);
    drop(task);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_an_orphan_is_ended_at_reattachment() {
    let mut bench = Bench::new();
    let (container, task, client) = bench.run("sleep 100000").await;
    kill(record(&bench, &container).shim_pid);
    drop((task, client));
    bench.restart();
    match bench.runtime.reattach(&container).await.unwrap() {
        Reattached::Exited(exit) => assert_eq!(exit.code, 137),
        other => panic!("{other:?}"),
    }
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_killed_launcher_is_replaced() {
    let bench = Bench::new();
    let (first, task, _client) = bench.run("sleep 100000").await;
    kill(parent_of(record(&bench, &first).shim_pid));
    let (second, other, _client) = bench.run("exit 0").await;
    assert_eq!(exit_code(&*other).await, 0);
    assert_eq!(*task.status().borrow(), TaskStatus::Running, "shims do not mind");
    task.signal(None, Signal::TERM, true).await.unwrap();
    task.signal(None, Signal::KILL, true).await.unwrap();
    assert_eq!(exit_code(&*task).await, 137);
    bench.finish(&[&first, &second]).await;
}

#[tokio::test]
async fn privileged_many_containers_at_once() {
    let bench = Bench::new();
    let mut running = Vec::new();
    for number in 0..20 {
        running.push((number, bench.run(&format!("exit {number}")).await));
    }
    let mut containers = Vec::new();
    for (number, (container, task, _client)) in running {
        assert_eq!(exit_code(&*task).await, number);
        containers.push(container);
    }
    assert_eq!(bench.runtime.remains().unwrap().len(), 20);
    bench.finish(&containers.iter().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn privileged_what_was_never_launched_is_gone() {
    let bench = Bench::new();
    let container = container_id();
    assert!(matches!(
        bench.runtime.reattach(&container).await.unwrap(),
        Reattached::Gone
    ));
    bench.finish(&[&container]).await;
}
