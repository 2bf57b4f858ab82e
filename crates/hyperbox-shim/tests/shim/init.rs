// SPDX-License-Identifier: MIT
//! The init that is put before a command, with both kinds of runtime.

use hyperbox_core::seam::TaskRuntime as _;
use hyperbox_testkit::conformance::task::{exit_code, read_frames};
use hyperbox_testkit::{container_id, wait_for_async};
use hyperbox_types::Signal;

use crate::bench::Bench;

async fn looks_after_the_command(bench: Bench) {
    let container = container_id();
    let script = "tr '\\0' ' ' </proc/1/cmdline; echo; echo $$ $PPID; trap 'echo usr1; exit 5' USR1; \
                  sh -c 'sleep 0.01 & exec true'; echo re''ady; while :; do sleep 0.02; done";
    let mut launch = bench.script(&container, script);
    launch.init = true;
    launch.user.user = "user".to_owned();
    let mut client = bench.attach(&mut launch);
    let task = bench.runtime.launch(launch).await.unwrap();
    let reader = tokio::spawn(async move { read_frames(&mut client).await });
    wait_for_async("the command to be ready", || async {
        let log = bench.read_log(&container).await;
        if log.contains("ready") { Ok(()) } else { Err(log) }
    })
    .await;
    wait_for_async("orphans to be reaped", || async {
        let pids = task.processes().await.unwrap();
        let zombies = pids.iter().filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| stat.contains(") Z"))
        });
        match zombies.count() {
            0 => Ok(()),
            count => Err(format!("{count} zombies")),
        }
    })
    .await;
    task.signal(None, Signal::parse("USR1").unwrap(), false).await.unwrap();
    assert_eq!(exit_code(&*task).await, 5);
    let (output, errors) = reader.await.unwrap();
    assert!(output.starts_with("/sbin/docker-init -- sh -c tr"), "{output}{errors}");
    assert!(output.contains(" 1\nready\nusr1\n"), "{output}");
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_init_looks_after_the_command() {
    looks_after_the_command(Bench::new()).await;
}

#[tokio::test]
async fn privileged_init_looks_after_the_command_with_crun() {
    looks_after_the_command(Bench::with_crun()).await;
}

#[tokio::test]
async fn privileged_a_missing_command_ends_its_init() {
    for bench in [Bench::new(), Bench::with_crun()] {
        let container = container_id();
        let mut launch = bench.command(&container, &["nosuch"]);
        launch.init = true;
        let task = bench.runtime.launch(launch).await.unwrap();
        assert_eq!(exit_code(&*task).await, 127, "as with Docker");
        assert_eq!(bench.read_log(&container).await, "cannot execute nosuch\n");
        bench.finish(&[&container]).await;
    }
}
